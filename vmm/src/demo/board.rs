//! The board: memory that does not move, where the users of a page publish what they wrote and are told whose turn
//! it is.
//!
//! Invariant: a value is on the board only after it is in the page (unless the positive control asks for the
//! opposite), so a load that begins after it was seen on the board must return at least that value.

use std::sync::Arc;

use guest_images::layout::{CONTROL_VA, control};
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use mmu::trace::Agent;

/// The longest that a user waits before it writes, in spins.
pub const LONGEST_DELAY: u64 = 1 << 14;

/// A user of the pages, by the number that stands on the board when it is its turn. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UserId(pub u64);

/// A user of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User {
    /// In traces.
    pub agent: Agent,
    /// On the board.
    pub id: UserId,
}

impl User {
    /// The user that is `agent`. The guest's programs know vCPU n as n + 1.
    #[must_use]
    pub fn of(agent: Agent) -> Self {
        let id = match agent {
            Agent::Mm => 0x1000,
            Agent::Vcpu(number) => u64::from(number) + 1,
            Agent::Cpu(number) => 0x1_0000 + u64::from(number),
            Agent::Device(number) => 0x2_0000 + u64::from(number),
        };
        Self { agent, id: UserId(id) }
    }
}

/// The right to write one value into a page.
#[derive(Clone, Debug)]
pub struct Turn {
    board: Board,
    /// Who.
    pub user: User,
    /// Where.
    pub page: u64,
    /// How long the user waits before it writes, in spins.
    pub delay: u64,
}

impl Turn {
    /// Gives it.
    pub fn give(&self) {
        let slot = self.page * control::SLOT_BYTES;
        self.board.store(slot + control::DELAY, self.delay);
        self.board.store(slot + control::TURN, self.user.id.0);
    }

    /// Whether it was given and used.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.board.load(self.page * control::SLOT_BYTES + control::TURN) == 0
    }
}

/// A word of the board, as an address that users load and store.
#[must_use]
pub fn word(page: u64, offset: u64) -> VirtAddr {
    VirtAddr(CONTROL_VA + page * control::SLOT_BYTES + offset)
}

/// The operator's view of the board.
#[derive(Clone, Debug)]
pub struct Board {
    memory: Arc<PhysicalMemory>,
    at: PhysAddr,
}

impl Board {
    /// The board in the frame at `at`.
    #[must_use]
    pub fn new(memory: Arc<PhysicalMemory>, at: PhysAddr) -> Self {
        Self { memory, at }
    }

    /// Says how many pages there are and how often a vCPU lets others run, in accesses.
    pub fn set_up(&self, pages: u64, yield_every: u64) {
        self.store(control::PAGE_COUNT, pages);
        self.store(control::YIELD_EVERY, yield_every);
    }

    /// Makes every writer publish before it stores: the positive control.
    pub fn publish_early(&self) {
        self.store(control::PUBLISH_EARLY, 1);
    }

    /// Whether the positive control is on, as users see it.
    #[must_use]
    pub fn early_word() -> VirtAddr {
        VirtAddr(CONTROL_VA + control::PUBLISH_EARLY)
    }

    /// Ends the programs of the guest.
    pub fn stop(&self) {
        self.store(control::STOP, 1);
    }

    /// The newest published value of a page.
    #[must_use]
    pub fn published(&self, page: u64) -> u64 {
        self.load(page * control::SLOT_BYTES + control::PUBLISHED)
    }

    /// A turn of `user` at `page`, not given yet.
    #[must_use]
    pub fn turn(&self, page: u64, user: User, delay: u64) -> Turn {
        Turn { board: self.clone(), user, page, delay }
    }

    fn load(&self, offset: u64) -> u64 {
        self.memory.load(self.at.offset(offset))
    }

    fn store(&self, offset: u64, value: u64) {
        self.memory.store(self.at.offset(offset), value);
    }
}
