//! A console: one port, whose other end is the user's.
//!
//! Invariant: nobody waits for a reader. While there is no room for what the guest says, its buffers stay where they are, also
//! in the middle of a chain, and nothing is lost; what the guest has not taken of the user's input is bounded, and what is
//! beyond is refused. Source: VIRTIO 1.2, 5.3.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use virtio_bindings::virtio_ids::VIRTIO_ID_CONSOLE;

use super::VirtioFunction;
use super::broken::Broken;
use super::chain::Chain;
use super::identity::Identity;
use super::model::Model;
use super::service::Queues;
use crate::serial::Output;

/// VIRTIO_CONSOLE_F_SIZE: the configuration says how large the user's window is.
const SIZE: u64 = 1 << 0;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const QUEUE_ENTRIES: u16 = 64;
/// Input that is kept at most, and what is moved at once.
const MOST_BYTES: usize = 4096;

/// How large the user's window is, in characters; 0 if it has no size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowSize {
    /// Characters of a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// The user's end.
pub struct UserEnd {
    output: Mutex<Output>,
    input: Mutex<VecDeque<u8>>,
    size: Mutex<WindowSize>,
    device: OnceLock<Weak<VirtioFunction>>,
}

/// The device.
#[derive(Debug)]
pub struct Console {
    user: Arc<UserEnd>,
    piece: Box<[u8]>,
    /// What the guest says, of which a part may have been sent.
    saying: Option<Chain>,
}

impl UserEnd {
    /// One whose output goes to `output`.
    #[must_use]
    pub fn new(output: Output) -> Arc<Self> {
        Arc::new(Self {
            output: Mutex::new(output),
            input: Mutex::default(),
            size: Mutex::default(),
            device: OnceLock::new(),
        })
    }

    /// It belongs to `device`, to the first one if this is called again.
    pub fn connect(&self, device: &Arc<VirtioFunction>) {
        let _first = self.device.get_or_init(|| Arc::downgrade(device));
    }

    /// Whether a driver listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.device().is_some_and(|device| device.is_live())
    }

    /// Offers input; how much of it was taken.
    pub fn offer(&self, bytes: &[u8]) -> usize {
        let mut input = self.input.lock();
        let taken = bytes.len().min(MOST_BYTES.saturating_sub(input.len()));
        input.extend(&bytes[..taken]);
        drop(input);
        if let Some(device) = self.device().filter(|_| taken > 0) {
            device.look();
        }
        taken
    }

    /// There may be room for output again, and the window has this size now.
    pub fn look(&self, size: WindowSize) {
        let Some(device) = self.device() else { return };
        let mut known = self.size.lock();
        if *known != size {
            *known = size;
            device.change_config(&configuration(size));
        }
        drop(known);
        device.look();
    }

    fn device(&self) -> Option<Arc<VirtioFunction>> {
        self.device.get().and_then(Weak::upgrade)
    }
}

impl Console {
    /// What it is.
    #[must_use]
    pub fn identity() -> Identity {
        Identity {
            name: "virtio-console",
            device: super::device(VIRTIO_ID_CONSOLE),
            class: [7, 0x80, 0],
            features: SIZE,
            queues: vec![QUEUE_ENTRIES; 2],
            config: configuration(WindowSize::default()),
        }
    }

    /// The device before `user`.
    #[must_use]
    pub fn new(user: Arc<UserEnd>) -> Self {
        Self { user, piece: vec![0; MOST_BYTES].into_boxed_slice(), saying: None }
    }

    fn transmit(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while self.has_room() {
            let next = if self.saying.is_some() { self.saying.take() } else { queues.take(TRANSMIT)? };
            let Some(mut chain) = next else { return Ok(()) };
            if !self.send(&mut chain, queues)? {
                self.saying = Some(chain);
                return Ok(());
            }
            queues.give_back(TRANSMIT, &chain, 0)?;
        }
        Ok(())
    }

    /// Sends as much of the chain as there is room for; whether that was all.
    fn send(&mut self, chain: &mut Chain, queues: &Queues<'_>) -> Result<bool, Broken> {
        while chain.readable.left() > 0 {
            if queues.gives_up() || !self.has_room() {
                return Ok(false);
            }
            let len = usize::try_from(chain.readable.left()).map_or(MOST_BYTES, |left| left.min(MOST_BYTES));
            chain.readable.read(queues.view(), &mut self.piece[..len])?;
            self.user.output.lock().send(&self.piece[..len]);
        }
        Ok(true)
    }

    /// Whether a piece finds room. Nobody else takes room meanwhile, but for the serial port of a guest that uses both.
    fn has_room(&self) -> bool {
        self.user.output.lock().room_bytes() >= MOST_BYTES
    }

    fn receive(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while !self.user.input.lock().is_empty() {
            let Some(mut chain) = queues.take(RECEIVE)? else { return Ok(()) };
            let room = usize::try_from(chain.writable.left()).unwrap_or(usize::MAX);
            if room == 0 {
                return Err(Broken::NoRequest("for input has no room for it"));
            }
            let bytes: Vec<u8> = {
                let mut input = self.user.input.lock();
                let len = input.len().min(room);
                input.drain(..len).collect()
            };
            chain.writable.write(queues.view(), &bytes)?;
            queues.give_back(RECEIVE, &chain, chain.writable.done())?;
        }
        Ok(())
    }
}

impl Model for Console {
    fn start(&mut self, _: u64) {
        // That of another driver, before a reset.
        self.saying = None;
    }

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        self.transmit(queues)?;
        self.receive(queues)
    }
}

impl fmt::Debug for UserEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserEnd").field("size", &*self.size.lock()).finish_non_exhaustive()
    }
}

/// The configuration as a driver reads it (VIRTIO 1.2, 5.3.4): the window, one port, nothing else.
fn configuration(size: WindowSize) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes[..2].copy_from_slice(&size.columns.to_le_bytes());
    bytes[2..4].copy_from_slice(&size.rows.to_le_bytes());
    bytes[4] = 1;
    bytes
}

#[cfg(test)]
mod tests;
