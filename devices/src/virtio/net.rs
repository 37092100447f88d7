//! A network interface: frames between a guest and what its cable leads to.
//!
//! Invariant: one frame is in hand in each direction, whatever its driver or the other end offers. A frame for which the
//! driver has no room is lost and counted, as the cable has it, and nobody waits. What a driver puts before a frame is
//! held against what it accepted: no offload is offered. Source: VIRTIO 1.2, 5.1.

pub mod address;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_LINK_UP,
};

use super::broken::Broken;
use super::chain::Chain;
use super::identity::Identity;
use super::model::Model;
use super::service::Queues;
use crate::link::bell::Bell;
use crate::link::{FRAME_BYTES, HEADER_BYTES, Link, MTU, Received, Sent};
use address::MacAddress;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const QUEUE_ENTRIES: u16 = 256;
/// Bytes before each frame (struct virtio_net_hdr_v1), and where in them the number of buffers stands.
const PREFIX_BYTES: usize = 12;
const BUFFERS_AT: usize = 10;

/// Frames that nobody got.
#[derive(Debug, Default)]
pub struct Losses {
    sent: AtomicU64,
    received: AtomicU64,
}

/// The device.
pub struct Net {
    link: Box<dyn Link>,
    bell: Arc<Bell>,
    /// What a frame is carried in.
    piece: Box<[u8; PREFIX_BYTES + FRAME_BYTES]>,
    /// Where the next frame for the guest goes.
    room: Option<Chain>,
    losses: Arc<Losses>,
}

impl Losses {
    /// How many the guest sent, and how many were for it.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

impl Net {
    /// What it is, with that address.
    #[must_use]
    pub fn identity(address: MacAddress) -> Identity {
        Identity {
            name: "virtio-net",
            device: super::device(VIRTIO_ID_NET),
            class: [2, 0, 0],
            features: 1 << VIRTIO_NET_F_MAC | 1 << VIRTIO_NET_F_STATUS | 1 << VIRTIO_NET_F_MTU,
            queues: vec![QUEUE_ENTRIES; 2],
            config: configuration(address),
        }
    }

    /// The device whose cable is `link`, on a thread that `bell` wakes.
    #[must_use]
    pub fn new(link: Box<dyn Link>, bell: Bell) -> Self {
        let piece = Box::new([0; PREFIX_BYTES + FRAME_BYTES]);
        Self { link, bell: Arc::new(bell), piece, room: None, losses: Arc::default() }
    }

    /// The count of what is lost.
    #[must_use]
    pub fn losses(&self) -> Arc<Losses> {
        Arc::clone(&self.losses)
    }

    /// Sends what the driver offers; whether it offered something.
    fn transmit(&mut self, queues: &mut Queues<'_>) -> Result<bool, Broken> {
        let mut has_sent = false;
        while let Some(mut chain) = queues.take(TRANSMIT)? {
            if self.send(&mut chain, queues)? == Sent::Lost {
                self.losses.sent.fetch_add(1, Ordering::Relaxed);
            }
            queues.give_back(TRANSMIT, &chain, 0)?;
            has_sent = true;
        }
        Ok(has_sent)
    }

    fn send(&mut self, chain: &mut Chain, queues: &Queues<'_>) -> Result<Sent, Broken> {
        if chain.writable.left() > 0 {
            return Err(Broken::NoRequest("to send has a buffer to be written"));
        }
        let mut prefix = [0; PREFIX_BYTES];
        chain.readable.read(queues.view(), &mut prefix)?;
        let [flags, segmentation, ..] = prefix;
        if (flags, segmentation) != (0, 0) {
            return Err(Broken::NoRequest("to send names an offload that was not offered"));
        }
        let len = usize::try_from(chain.readable.left()).map_err(|_| Broken::TooManyBytes)?;
        if len < HEADER_BYTES {
            return Err(Broken::NoRequest("to send has no frame"));
        }
        // Behind the prefix, which is that of frames for the guest.
        let Some(frame) = self.piece.get_mut(PREFIX_BYTES..PREFIX_BYTES.saturating_add(len)) else {
            return Ok(Sent::Lost);
        };
        chain.readable.read(queues.view(), frame)?;
        Ok(self.link.send(frame))
    }

    /// Puts what has come where the driver has room; whether there was something.
    fn receive(&mut self, queues: &mut Queues<'_>) -> Result<bool, Broken> {
        let mut has_come = false;
        while !queues.gives_up() {
            if self.room.is_none() {
                self.room = room(queues)?;
            }
            let Some(chain) = &mut self.room else {
                self.losses.received.fetch_add(self.link.lose(), Ordering::Relaxed);
                break;
            };
            let Some(frame) = self.piece.last_chunk_mut() else { break };
            let came = match self.link.receive(frame) {
                Received::Nothing => break,
                Received::Lost => None,
                Received::Frame(len) => self.piece.get(..PREFIX_BYTES + len).filter(|_| len <= FRAME_BYTES),
            };
            has_come = true;
            let fits = |bytes: &&[u8]| bytes.len() as u64 <= chain.writable.left().into();
            let Some(bytes) = came.filter(fits) else {
                self.losses.received.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            chain.writable.write(queues.view(), bytes)?;
            queues.give_back(RECEIVE, chain, chain.writable.done())?;
            self.room = None;
        }
        Ok(has_come)
    }
}

impl Model for Net {
    fn start(&mut self, _: u64) {
        // That of another driver, before a reset.
        self.room = None;
        self.piece[..PREFIX_BYTES].fill(0);
        self.piece[BUFFERS_AT] = 1;
    }

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        // What was sent may be answered at once.
        while !queues.gives_up() {
            let has_sent = self.transmit(queues)?;
            if !self.receive(queues)? && !has_sent {
                break;
            }
        }
        Ok(())
    }

    fn bell(&self) -> Option<Arc<Bell>> {
        Some(Arc::clone(&self.bell))
    }

    fn wait(&mut self) {
        self.link.wait(&self.bell);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let (sent, received) = self.losses.counts();
        if sent + received > 0 {
            log::info!("virtio-net: {sent} frames of the guest's were lost, and {received} for it");
        }
    }
}

/// The next chain that the driver offers for a frame.
fn room(queues: &mut Queues<'_>) -> Result<Option<Chain>, Broken> {
    let Some(chain) = queues.take(RECEIVE)? else { return Ok(None) };
    if chain.readable.left() > 0 {
        return Err(Broken::NoRequest("for a frame has a buffer to be read"));
    }
    if u64::from(chain.writable.left()) < (PREFIX_BYTES + HEADER_BYTES) as u64 {
        return Err(Broken::NoRequest("for a frame has no room for one"));
    }
    Ok(Some(chain))
}

/// The configuration as a driver reads it (VIRTIO 1.2, 5.1.4): address, state of the cable, one pair of queues, longest packet.
fn configuration(address: MacAddress) -> Vec<u8> {
    let up = u16::try_from(VIRTIO_NET_S_LINK_UP).unwrap_or(1);
    let words = [up, 1, MTU].map(u16::to_le_bytes);
    [&address.bytes()[..], words.as_flattened()].concat()
}

#[cfg(test)]
mod tests;
