//! The words of a vCPU's frame through which host and stub agree on zaps.
//!
//! Invariant: bits are set before the summary, the summary before the count; the stub takes them the other way round,
//! so what it acknowledges it has applied. Each word is changed atomically, as stub and host threads may meet there.

use std::sync::Arc;

use guest_images::layout::frame;
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;

use super::PageSet;

/// In the steal-time record: the thread is not on a CPU.
const PREEMPTED: u64 = 1;

/// The zap part of a vCPU's frame.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) memory: Arc<PhysicalMemory>,
    pub(super) at: PhysAddr,
}

impl Mailbox {
    /// Sets the bits, then the summary, then raises the count, which it returns.
    pub(super) fn request(&self, pages: &PageSet) -> u64 {
        for (word, bits) in (0..).zip(pages.words()) {
            if bits != 0 {
                self.update(frame::ZAP_BITS + 8 * word, |old| old | bits);
                self.update(frame::ZAP_SUMMARY, |old| old | 1 << word);
            }
        }
        self.memory.fetch_add(self.at.offset(frame::ZAP_REQUEST), 1) + 1
    }

    /// Takes back an answer for one of `pages` that the stub has not taken: the vCPU faults again.
    pub(super) fn revoke_answer(&self, pages: &PageSet) {
        let posted = self.load(frame::ANSWER_ENTRY);
        let address = VirtAddr(self.load(frame::ANSWER_ADDRESS));
        if posted > frame::ANSWER_TAKEN && pages.contains(address) {
            // If the stub was faster, it has taken the answer, and is waited for.
            let _revoked = self.memory.compare_exchange(self.at.offset(frame::ANSWER_ENTRY), posted, 0);
        }
    }

    /// Whether the stub has taken an answer and not yet written it.
    pub(super) fn is_answer_taken(&self) -> bool {
        self.load(frame::ANSWER_ENTRY) == frame::ANSWER_TAKEN
    }

    pub(super) fn cancel(&self, page: u64) {
        self.update(frame::ZAP_BITS + 8 * (page / 64), |old| old & !(1 << (page % 64)));
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.load(frame::ZAP_ACK)
    }

    pub(super) fn is_preempted(&self) -> bool {
        self.load(frame::STEAL_TIME_PREEMPTED) & PREEMPTED != 0
    }

    fn load(&self, offset: u64) -> u64 {
        self.memory.load(self.at.offset(offset))
    }

    /// Replaces the word at `offset` by `change` of it, atomically against the stub and other threads.
    fn update(&self, offset: u64, change: impl Fn(u64) -> u64) {
        let at = self.at.offset(offset);
        let mut old = self.memory.load(at);
        while let Err(found) = self.memory.compare_exchange(at, old, change(old)) {
            old = found;
        }
    }
}
