//! The page request queue, as the unit is told of it.
//!
//! Invariant: the unit writes up to the tail, software reads up to the head, and the unit leaves one place free.
//! Source: VT-d 7.4, 11.4.10 (PQH, PQT, PQA, PRS).

use super::{BASE, Unit};
use crate::hardware::{load32, load64, store32, store64};
use crate::memory::{FRAME_BYTES, Frame};
use crate::page_request::{Asked, REQUEST_BYTES};
use crate::patience::wait_until;

const PQH: u64 = 0xc0;
const PQT: u64 = 0xc8;
const PQA: u64 = 0xd0;
const PRS: u64 = 0xdc;
/// In PRS: a request was written; one had no place.
const PENDING: u32 = 1;
const OVERFLOW: u32 = 1 << 1;

/// The queue: one frame.
#[derive(Clone, Copy, Debug)]
pub struct Requests(Frame);

impl Unit {
    /// Devices may ask for pages (ECAP.PRS).
    #[must_use]
    pub const fn has_page_requests(&self) -> bool {
        self.extended >> 29 & 1 != 0
    }
}

impl Requests {
    /// An empty queue, which the unit takes over.
    #[must_use]
    pub fn start(queue: Frame) -> Self {
        store64(BASE + PQA, queue.address());
        store64(BASE + PQH, 0);
        store64(BASE + PQT, 0);
        store32(BASE + PRS, PENDING | OVERFLOW);
        Self(queue)
    }

    /// The oldest request, if there is one; takes it.
    #[must_use]
    pub fn take(&self) -> Option<Asked> {
        store32(BASE + PRS, PENDING);
        let [head, tail] = [load64(BASE + PQH), load64(BASE + PQT)];
        if head == tail {
            return None;
        }
        let asked = Asked::decode(self.0.load(head / 8), self.0.load(head / 8 + 1));
        store64(BASE + PQH, behind(head));
        Some(asked)
    }

    /// Waits for the next one, and takes it.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    pub fn wait(&self) -> Asked {
        wait_until("a page request", || load64(BASE + PQH) != load64(BASE + PQT));
        self.take().expect("one stands there")
    }

    /// Whether a request had no place.
    #[must_use]
    pub fn has_overflowed(&self) -> bool {
        load32(BASE + PRS) & OVERFLOW != 0
    }

    /// Says that there is no place, although nothing stands in the queue.
    pub fn block(&self) {
        store64(BASE + PQH, behind(load64(BASE + PQT)));
    }

    /// Says that there is place again.
    pub fn unblock(&self) {
        store64(BASE + PQH, load64(BASE + PQT));
        store32(BASE + PRS, OVERFLOW);
    }
}

const fn behind(offset: u64) -> u64 {
    (offset + REQUEST_BYTES) % FRAME_BYTES
}
