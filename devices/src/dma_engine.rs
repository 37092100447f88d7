//! A DMA engine: a device with a thread of its own that works through its DMA port.
//!
//! Invariant: the engine owns its port; nobody else issues requests through it. Its thread ends when its work says
//! so or a stop is requested, and [`DmaEngine::join`] returns what the work left, or its panic as an error.

use std::io;
use std::thread;

use iommu::sva::port::DmaPort;
use thiserror::Error;

use crate::worker::{Hooks, Panicked, Stop, Worker};

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
    worker: Worker<W>,
}

impl<W: Work> DmaEngine<W> {
    /// Starts engine `number` on `work`.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub fn start(number: u16, port: DmaPort, work: W) -> io::Result<Self> {
        // Whoever joins it is told of its panic.
        let worker =
            Worker::start(format!("dma-engine-{number}"), Hooks::default(), |stop| run(port, work, stop))?;
        Ok(Self { number, worker })
    }

    /// Asks it to end after the piece of work at hand.
    pub fn request_stop(&self) {
        self.worker.request_stop();
    }

    /// Whether its work is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    /// Stops it and returns its work.
    ///
    /// # Errors
    /// [`BrokeDown`] if the work panicked.
    pub fn join(self) -> Result<W, BrokeDown> {
        let number = self.number;
        self.worker.join().map_err(|Panicked| BrokeDown { number })
    }
}

fn run<W: Work>(mut port: DmaPort, mut work: W, stop: &Stop) -> W {
    while !stop.is_requested() {
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
