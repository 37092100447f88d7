//! The operator: the thread that shares, breaks and merges the pages that everybody else uses, and gives turns.
//!
//! Invariant: all turns of a round are taken before the next round. A page whose turn was taken is at rest: what is
//! published must stand in the mapped frame. A value that does not is lost, is counted, and is put back, so that one
//! loss is counted once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mmu::address::{PAGE_SIZE, VirtAddr};
use mmu::address_space::SpaceId;
use mmu::cpu::Cpu;
use mmu::ksm::Ksm;
use mmu::trace::{Action, Agent, Event};
use steps::program::Program;

use super::board::{LONGEST_DELAY, Turn};
use super::party::{UserError, page_address};
use super::stage::{PAGES, Stage, StageError};
use super::window::Windows;

/// How long a user may take for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where a page's twin lies, in pages behind it.
const TWIN: u64 = 256;
/// The operator's number among the CPUs.
const OPERATOR: u16 = 0;
/// The number of each child.
const CHILD: SpaceId = SpaceId(2);

/// Operates on one stage.
pub struct Operator<'stage> {
    stage: &'stage Stage,
    windows: &'stage Windows,
    cpu: Cpu,
    random: fastrand::Rng,
}

/// When a turn comes, against the operation on its page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    Before,
    InAWindow,
    After,
}

impl<'stage> Operator<'stage> {
    /// The operator of `stage`, who gives turns in `windows`; its choices come from `seed`.
    ///
    /// # Errors
    /// [`StageError::Cache`] if the host has no room for its CPU.
    pub fn new(stage: &'stage Stage, windows: &'stage Windows, seed: u64) -> Result<Self, StageError> {
        let cpu = Cpu::try_new(OPERATOR, Arc::clone(&stage.space))?;
        Ok(Self { stage, windows, cpu, random: fastrand::Rng::with_seed(seed) })
    }

    /// Shares all pages with a child and breaks COW on each by `break_cow`, while users whose turn it is write.
    ///
    /// # Errors
    /// [`StageError`] if somebody is in trouble.
    pub fn cow_round(&mut self, break_cow: &Program) -> Result<(), StageError> {
        let child = self.stage.space.fork(CHILD)?;
        let lines = break_cow.visible_lines();
        self.round(lines, |operator, page| {
            // Another word of the page: a CPU breaks COW, whoever writes the counter.
            operator.store(page_address(page).offset(8), 1)
        })?;
        for page in 0..PAGES {
            self.announce(Agent::Mm, Action::Exit, page);
        }
        drop(child);
        Ok(())
    }

    /// What cannot be timed where it happens.
    fn announce(&self, agent: Agent, action: Action, page: u64) {
        self.stage.space.observer().record(Event::now(agent, action, page_address(page), None));
    }

    /// Makes a twin of each page and merges the two: a write during the merge is what a wrong order loses, one after
    /// it breaks the merged page. Returns how many were merged.
    ///
    /// # Errors
    /// [`StageError`] if somebody is in trouble.
    pub fn ksm_round(&mut self, merge: &Program) -> Result<u64, StageError> {
        let ksm = Ksm::with_order(Arc::clone(&self.stage.frames), merge.clone());
        for page in 0..PAGES {
            self.copy_page(page, twin(page))?;
        }
        self.round(merge.visible_lines(), |operator, page| {
            operator.merge(&ksm, page_address(page), twin(page))
        })?;
        Ok(ksm.statistics().merged)
    }

    /// Operates on page after page, by programs of so many visible `lines`; each page's turn comes before, in or after
    /// its operation.
    fn round(
        &mut self,
        lines: usize,
        mut operate: impl FnMut(&mut Self, u64) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let mut turns = Vec::new();
        for page in 0..PAGES {
            let (turn, moment) = self.choose_turn(page);
            // The last round's turns are over: the next value is known.
            let value = self.stage.board.published(page).wrapping_add(1);
            self.announce(turn.user.agent, Action::Turn(value), page);
            match moment {
                Moment::Before => turn.give(),
                Moment::InAWindow => self.windows.plan(page_address(page), turn.clone(), lines),
                Moment::After => {}
            }
            operate(self, page)?;
            if moment == Moment::After || self.windows.take_back(page_address(page)).is_some() {
                turn.give();
            }
            turns.push(turn);
        }
        self.settle(&turns)
    }

    /// Most turns wait for a window; CPUs, vCPUs and devices get as many each, however many there are.
    fn choose_turn(&mut self, page: u64) -> (Turn, Moment) {
        let users = &self.stage.users[self.random.usize(0..self.stage.users.len())];
        let user = users[self.random.usize(0..users.len())];
        let moment = match self.random.u8(0..6) {
            0 => Moment::Before,
            1 => Moment::After,
            _ => Moment::InAWindow,
        };
        let delay = if moment == Moment::Before { self.spins() } else { 0 };
        (self.stage.board.turn(page, user, delay), moment)
    }

    /// Short waits as often as long ones: every order of magnitude is as likely as any other.
    fn spins(&mut self) -> u64 {
        let magnitude = self.random.u32(0..=LONGEST_DELAY.ilog2());
        self.random.u64(0..1 << magnitude)
    }

    /// Both pages are looked at twice: a page is a candidate only if it did not change since the last time.
    fn merge(&self, ksm: &Ksm, page: VirtAddr, twin: VirtAddr) -> Result<(), StageError> {
        for address in [twin, page, twin, page] {
            ksm.scan_page(&self.stage.space, address).map_err(trouble)?;
        }
        Ok(())
    }

    /// The twin gets the words the users know of; nobody else uses it.
    fn copy_page(&mut self, page: u64, twin: VirtAddr) -> Result<(), StageError> {
        for offset in [0, 8] {
            let word = self.cpu.load(page_address(page).offset(offset)).map_err(trouble)?;
            self.store(twin.offset(offset), word.value)?;
        }
        Ok(())
    }

    fn store(&mut self, address: VirtAddr, value: u64) -> Result<(), StageError> {
        self.cpu.store(address, value).map_err(trouble)?;
        Ok(())
    }

    /// Waits until every turn was taken, then looks whether what was written is there.
    fn settle(&mut self, turns: &[Turn]) -> Result<(), StageError> {
        self.cpu.pause();
        let begun = Instant::now();
        for turn in turns {
            self.await_turn(turn, begun)?;
            self.account(turn.page);
        }
        Ok(())
    }

    fn await_turn(&self, turn: &Turn, begun: Instant) -> Result<(), StageError> {
        while !turn.is_over() {
            self.stage.check()?;
            if begun.elapsed() > PATIENCE {
                let agent = turn.user.agent;
                let activity = self.stage.activity(agent);
                return Err(StageError::NoProgress { agent, page: turn.page, activity });
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// What is published must stand in the mapped frame.
    fn account(&self, page: u64) {
        let address = page_address(page);
        let published = self.stage.board.published(page);
        let Some(value) = self.stage.space.mapped_word(address) else { return };
        if value < published {
            let action = Action::LostStore { value, published };
            let entry = self.stage.space.entry(address);
            let event = Event::now(Agent::Mm, action, address, Some(entry.pfn()));
            self.stage.space.observer().record(event);
            self.stage.space.set_mapped_word(address, published);
        }
    }
}

/// The address of a page's twin.
fn twin(page: u64) -> VirtAddr {
    page_address(page).offset(TWIN * PAGE_SIZE)
}

fn trouble(source: impl Into<UserError>) -> StageError {
    StageError::User { agent: Agent::Cpu(OPERATOR), source: source.into() }
}
