//! What every user does with the pages: read them round and round, and write when it is its turn.
//!
//! Invariant: the board is read before the page, so a page that says less than the board did is stale. The guest's
//! program does the same in assembler (`coherence` in guest-images).

use std::sync::Arc;
use std::time::Instant;

use guest_images::layout::{AREA_VA, control};
use iommu::sva::port::{DmaError, DmaPort};
use mmu::address::{PAGE_SIZE, VirtAddr};
use mmu::address_space::FaultError;
use mmu::cpu::Cpu;
use mmu::frame::POISON;
use mmu::port::{Accessed, Reached};
use mmu::shadow::{ShadowError, SoftwareVcpu};
use mmu::trace::{Action, Event, Observer};
use thiserror::Error;

use super::board::{Board, LONGEST_DELAY, User, word};
use super::tally::{Counts, Tally};

/// Rounds over the pages in one piece of work.
const ROUNDS: u64 = 64;

/// A way to memory that may be stale.
pub trait Memory {
    /// Loads an aligned word; none if the access must be tried again.
    ///
    /// # Errors
    /// [`UserError`] if it never can succeed.
    fn load(&mut self, address: VirtAddr) -> Result<Option<Accessed>, UserError>;

    /// Stores an aligned word; none if the access must be tried again.
    ///
    /// # Errors
    /// [`UserError`] if it never can succeed.
    fn store(&mut self, address: VirtAddr, value: u64) -> Result<Option<Accessed>, UserError>;

    /// Nothing is accessed for a while.
    fn pause(&mut self);
}

/// Why a user cannot go on.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum UserError {
    /// A CPU's fault was refused.
    #[error(transparent)]
    Cpu(#[from] FaultError),
    /// A device's request was blocked, or its page request refused.
    #[error(transparent)]
    Device(#[from] DmaError),
    /// A vCPU's fault was refused.
    #[error(transparent)]
    Vcpu(#[from] ShadowError),
    /// The run is over.
    #[error("the run ended")]
    Stopped,
}

/// One user of the pages.
pub struct Party {
    user: User,
    pages: u64,
    tally: Arc<Tally>,
    observer: Arc<dyn Observer>,
    counts: Counts,
}

impl Party {
    /// `user` of the first `pages` pages.
    #[must_use]
    pub fn new(user: User, pages: u64, tally: Arc<Tally>, observer: Arc<dyn Observer>) -> Self {
        Self { user, pages, tally, observer, counts: Counts::default() }
    }

    /// Some rounds over all pages; `stopped` is asked whenever an access must be tried again.
    ///
    /// # Errors
    /// [`UserError`] if an access can never succeed, or the run ended.
    pub fn play(&mut self, memory: &mut impl Memory, stopped: &dyn Fn() -> bool) -> Result<(), UserError> {
        for _ in 0..ROUNDS {
            for page in 0..self.pages {
                self.visit(memory, page, stopped)?;
            }
        }
        self.tally.add(std::mem::take(&mut self.counts));
        Ok(())
    }

    fn visit(
        &mut self,
        memory: &mut impl Memory,
        page: u64,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), UserError> {
        let published = load(memory, word(page, control::PUBLISHED), stopped)?.value;
        let seen = load(memory, page_address(page), stopped)?;
        self.judge(page, published, seen);
        if load(memory, word(page, control::TURN), stopped)?.value == self.user.id.0 {
            self.write(memory, page, stopped)?;
        }
        Ok(())
    }

    fn judge(&mut self, page: u64, published: u64, seen: Accessed) {
        self.counts.accesses += 1;
        if seen.reached == Reached::Freed || seen.value == POISON {
            self.counts.freed += 1;
            self.report(page, Action::FreedUse, seen);
        } else if seen.value < published {
            self.counts.stale += 1;
            self.report(page, Action::StaleLoad { value: seen.value, published }, seen);
        }
    }

    /// The turn: one value more than the newest, stored and then published. The positive control swaps the two.
    fn write(
        &mut self,
        memory: &mut impl Memory,
        page: u64,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), UserError> {
        let delay = load(memory, word(page, control::DELAY), stopped)?.value;
        // The board is the guest's memory too: whatever stands there, nobody waits for ever.
        for _ in 0..delay.min(LONGEST_DELAY) {
            std::hint::spin_loop();
        }
        let value = load(memory, word(page, control::PUBLISHED), stopped)?.value.wrapping_add(1);
        let early = load(memory, Board::early_word(), stopped)?.value != 0;
        if early {
            store(memory, word(page, control::PUBLISHED), value, stopped)?;
        }
        let began = Instant::now();
        let written = store(memory, page_address(page), value, stopped)?;
        self.counts.accesses += 1;
        if written.reached == Reached::Freed {
            self.counts.freed += 1;
            self.report(page, Action::FreedUse, written);
        } else {
            let (agent, frame) = (self.user.agent, Some(written.frame));
            let stored = Event::since(began, agent, Action::Store(value), page_address(page), frame);
            self.observer.record(stored);
        }
        if !early {
            store(memory, word(page, control::PUBLISHED), value, stopped)?;
        }
        store(memory, word(page, control::TURN), 0, stopped)?;
        Ok(())
    }

    fn report(&self, page: u64, action: Action, met: Accessed) {
        self.observer.record(Event::now(self.user.agent, action, page_address(page), Some(met.frame)));
    }
}

/// The address of a page under test.
#[must_use]
pub fn page_address(page: u64) -> VirtAddr {
    VirtAddr(AREA_VA + page * PAGE_SIZE)
}

fn load(
    memory: &mut impl Memory,
    address: VirtAddr,
    stopped: &dyn Fn() -> bool,
) -> Result<Accessed, UserError> {
    loop {
        if let Some(accessed) = memory.load(address)? {
            return Ok(accessed);
        }
        wait(memory, stopped)?;
    }
}

fn store(
    memory: &mut impl Memory,
    address: VirtAddr,
    value: u64,
    stopped: &dyn Fn() -> bool,
) -> Result<Accessed, UserError> {
    loop {
        if let Some(accessed) = memory.store(address, value)? {
            return Ok(accessed);
        }
        wait(memory, stopped)?;
    }
}

fn wait(memory: &mut impl Memory, stopped: &dyn Fn() -> bool) -> Result<(), UserError> {
    if stopped() {
        return Err(UserError::Stopped);
    }
    memory.pause();
    std::thread::yield_now();
    Ok(())
}

impl Memory for Cpu {
    fn load(&mut self, address: VirtAddr) -> Result<Option<Accessed>, UserError> {
        Ok(Some(Self::load(self, address)?))
    }

    fn store(&mut self, address: VirtAddr, value: u64) -> Result<Option<Accessed>, UserError> {
        Ok(Some(Self::store(self, address, value)?))
    }

    fn pause(&mut self) {
        Self::pause(self);
    }
}

impl Memory for DmaPort {
    fn load(&mut self, address: VirtAddr) -> Result<Option<Accessed>, UserError> {
        Ok(Some(self.read(address)?))
    }

    fn store(&mut self, address: VirtAddr, value: u64) -> Result<Option<Accessed>, UserError> {
        Ok(Some(self.write(address, value)?))
    }

    fn pause(&mut self) {
        Self::pause(self);
    }
}

impl Memory for SoftwareVcpu {
    fn load(&mut self, address: VirtAddr) -> Result<Option<Accessed>, UserError> {
        Ok(Self::load(self, address)?)
    }

    fn store(&mut self, address: VirtAddr, value: u64) -> Result<Option<Accessed>, UserError> {
        Ok(Self::store(self, address, value)?)
    }

    fn pause(&mut self) {
        Self::pause(self);
    }
}
