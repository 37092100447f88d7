//! An access that is asked of a vCPU through its mailbox, and the answer.
//!
//! Invariant: nobody asks before the answer to what was asked before is there, so that both counts are the same at rest.
//! Layout: [`guest_images::layout::player`].

use std::sync::Arc;

use guest_images::layout::player;
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;

/// What a vCPU is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Nothing but an answer.
    Wait,
    /// The word at an address.
    Load(VirtAddr),
    /// To store a value to an address.
    Store(VirtAddr, u64),
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It was done; what a load has read.
    Done(u64),
    /// No entry allows it.
    Refused,
}

/// A vCPU's mailbox.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) memory: Arc<PhysicalMemory>,
    pub(super) at: PhysAddr,
}

impl Exchange {
    /// Asks; the number of the answer to come.
    pub(super) fn ask(&self, deed: Deed) -> u64 {
        let (what, address, value) = match deed {
            Deed::Wait => (player::WAIT, VirtAddr(0), 0),
            Deed::Load(address) => (player::LOAD, address, 0),
            Deed::Store(address, value) => (player::STORE, address, value),
        };
        self.store(player::DEED, what);
        self.store(player::ADDRESS, address.0);
        self.store(player::VALUE, value);
        self.memory.fetch_add(self.at.offset(player::ASKED), 1) + 1
    }

    /// The answer of that number, once it is there.
    pub(super) fn answer(&self, number: u64) -> Option<Answer> {
        if self.load(player::ANSWERED) < number {
            return None;
        }
        let is_done = self.load(player::OUTCOME) == player::DONE;
        Some(if is_done { Answer::Done(self.load(player::VALUE)) } else { Answer::Refused })
    }

    fn load(&self, offset: u64) -> u64 {
        self.memory.load(self.at.offset(offset))
    }

    fn store(&self, offset: u64, value: u64) {
        self.memory.store(self.at.offset(offset), value);
    }
}

#[cfg(test)]
mod tests;
