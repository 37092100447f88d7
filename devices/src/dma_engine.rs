//! A DMA engine: a device with a thread of its own that works through its DMA port.
//!
//! Invariant: the engine owns its port; nobody else issues requests through it. Its thread ends when its work says
//! so or a stop is requested, and [`DmaEngine::join`] returns what the work left, or its panic as an error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use iommu::dma::DmaPort;
use thiserror::Error;

/// What a piece of work says when it is asked to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is more to do.
    Busy,
    /// There is nothing to do at the moment; the engine lets others run.
    Idle,
    /// All is done.
    Done,
}

/// What an engine works on.
pub trait Work: Send + 'static {
    /// Does some of it.
    fn proceed(&mut self, port: &mut DmaPort) -> Progress;
}

/// An engine whose work did not come back.
#[derive(Debug, Error)]
#[error("DMA engine {number} broke down: its work panicked")]
pub struct BrokeDown {
    /// Which engine.
    pub number: u16,
}

/// A running engine.
#[derive(Debug)]
pub struct DmaEngine<W> {
    number: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<W>>,
}

impl<W: Work> DmaEngine<W> {
    /// Starts engine `number` on `work`.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub fn start(number: u16, port: DmaPort, work: W) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let name = format!("dma-engine-{number}");
        let thread = thread::Builder::new().name(name).spawn(move || run(port, work, &seen))?;
        Ok(Self { number, stop, thread: Some(thread) })
    }

    /// Asks it to end after the piece of work at hand.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether its work is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops it and returns its work.
    ///
    /// # Errors
    /// [`BrokeDown`] if the work panicked.
    pub fn join(mut self) -> Result<W, BrokeDown> {
        self.request_stop();
        let broke_down = BrokeDown { number: self.number };
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| broke_down),
            None => Err(broke_down),
        }
    }
}

impl<W> Drop for DmaEngine<W> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been printed by its own thread.
            let _ended = thread.join();
        }
    }
}

fn run<W: Work>(mut port: DmaPort, mut work: W, stop: &AtomicBool) -> W {
    while !stop.load(Ordering::Acquire) {
        match work.proceed(&mut port) {
            Progress::Busy => {}
            Progress::Idle => {
                port.pause();
                thread::yield_now();
            }
            Progress::Done => break,
        }
    }
    work
}

#[cfg(test)]
mod tests;
