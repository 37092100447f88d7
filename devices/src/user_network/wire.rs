//! The cable between the stack and the guest.
//!
//! Invariant: one frame of the guest's is on it at most, and `MOST_FRAMES` of the gateway's; the stack sends no more until
//! there is room, and takes none in that it could not answer. Source: smoltcp, `phy`.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::link::{HEADER_BYTES, MTU};

/// Frames that wait for the guest.
const MOST_FRAMES: usize = 64;

/// The cable.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// What the guest sent.
    pub(super) inbound: Option<Vec<u8>>,
    /// What it is to receive.
    outbound: VecDeque<Vec<u8>>,
}

/// A frame of the guest's.
pub(super) struct Taken(Vec<u8>);

/// Room for one of the gateway's.
pub(super) struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl Wire {
    pub(super) fn is_full(&self) -> bool {
        self.outbound.len() >= MOST_FRAMES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outbound.is_empty()
    }

    /// Whether there was room for `frame`.
    pub(super) fn put(&mut self, frame: Vec<u8>) -> bool {
        let has_room = !self.is_full();
        if has_room {
            self.outbound.push_back(frame);
        }
        has_room
    }

    /// The next frame for the guest.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.outbound.pop_front()
    }
}

impl Device for Wire {
    type RxToken<'a> = Taken;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Taken, Room<'_>)> {
        if self.is_full() {
            return None;
        }
        let frame = self.inbound.take()?;
        Some((Taken(frame), Room(&mut self.outbound)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        if self.is_full() { None } else { Some(Room(&mut self.outbound)) }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = HEADER_BYTES + usize::from(MTU);
        capabilities
    }
}

impl RxToken for Taken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let done = f(&mut frame);
        self.0.push_back(frame);
        done
    }
}
