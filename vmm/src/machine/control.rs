//! What somebody outside may ask of a machine that runs: how it goes, to pause, to power off, to end.
//!
//! Invariant: nothing here waits for the guest for longer than `MOST_WAIT`. While the guest is paused no processor is inside
//! it and no time passes in which it should have invalidated something; devices finish what they were told. It runs when nobody holds
//! it: of a client and a debugger neither undoes the other's hold.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use iommu::stale::watch::Passage;
use iommu::vtd::Vtd;
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use super::board::Board;
use super::ending::{End, Ending};
use super::power_button::Pressed;
use crate::kvm::processor::debug::Bell;
use crate::kvm::{Holder, ProcessorHandle};

/// How long a pause waits for the processors.
const MOST_WAIT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_micros(500);

/// How a machine goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs.
    Running,
    /// It is held.
    Paused,
    /// It was asked to power off, or has ended.
    Ending,
}

/// The same, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// How it goes.
    pub state: State,
    /// Its processors.
    pub processors: usize,
    /// Those that are held and outside the guest.
    pub at_rest: usize,
    /// Since it was built.
    pub time: Duration,
}

/// A machine, for whoever is outside.
pub struct Control {
    processors: Vec<ProcessorHandle>,
    memory: Arc<PhysicalMemory>,
    board: Arc<Board>,
    end: Arc<End>,
    bell: Option<Arc<Bell>>,
    begun: Instant,
    /// Locked throughout a change, so that of two the last counts.
    holds: Mutex<Holds>,
}

/// Who holds the machine.
#[derive(Clone, Copy, Debug, Default)]
struct Holds {
    client: bool,
    debugger: bool,
}

impl Holds {
    const fn any(self) -> bool {
        self.client || self.debugger
    }

    const fn of(&mut self, holder: Holder) -> &mut bool {
        match holder {
            Holder::Client => &mut self.client,
            Holder::Debugger => &mut self.debugger,
        }
    }
}

impl Control {
    pub(super) fn new(
        processors: Vec<ProcessorHandle>,
        memory: Arc<PhysicalMemory>,
        board: Arc<Board>,
        end: Arc<End>,
        bell: Option<Arc<Bell>>,
    ) -> Self {
        let (begun, holds) = (Instant::now(), Mutex::default());
        Self { processors, memory, board, end, bell, begun, holds }
    }

    /// Its processors, by their numbers.
    #[must_use]
    pub fn processors(&self) -> &[ProcessorHandle] {
        &self.processors
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> &PhysicalMemory {
        &self.memory
    }

    /// Rings when a processor has stopped for a debugger, if there may be one.
    #[must_use]
    pub fn bell(&self) -> Option<&Bell> {
        self.bell.as_deref()
    }

    /// The remapping unit, if there is one.
    #[must_use]
    pub fn unit(&self) -> Option<&Arc<Vtd>> {
        self.board.unit()
    }

    /// The machine's end, to come or come already.
    #[must_use]
    pub fn end(&self) -> &End {
        &self.end
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = if self.end.is_over() || self.board.power_button().was_heard() {
            State::Ending
        } else if self.holds.lock().any() {
            State::Paused
        } else {
            State::Running
        };
        let (processors, at_rest) = (self.processors.len(), self.at_rest());
        Status { state, processors, at_rest, time: self.begun.elapsed() }
    }

    /// Holds all processors; whether all are at rest. One may still wait for a device.
    pub fn pause(&self, holder: Holder) -> bool {
        let mut holds = self.holds.lock();
        self.hold(&mut holds, holder);
        let begun = Instant::now();
        while self.at_rest() < self.processors.len() && begun.elapsed() < MOST_WAIT && !self.end.is_over() {
            thread::sleep(LOOK);
        }
        self.let_time(Passage::Stop);
        self.at_rest() == self.processors.len()
    }

    /// Holds processors that have not begun.
    pub(super) fn hold_from_the_beginning(&self, holder: Holder) {
        self.hold(&mut self.holds.lock(), holder);
        self.let_time(Passage::Stop);
    }

    fn hold(&self, holds: &mut Holds, holder: Holder) {
        *holds.of(holder) = true;
        self.processors.iter().for_each(|processor| processor.hold(holder));
    }

    /// Lets them go on, unless another holds them.
    pub fn resume(&self, holder: Holder) {
        self.resume_some(holder, |_| true);
    }

    /// Lets those go on that `goes` names by their index.
    pub fn resume_some(&self, holder: Holder, goes: impl Fn(usize) -> bool) {
        let mut holds = self.holds.lock();
        *holds.of(holder) = false;
        if !holds.any() {
            self.let_time(Passage::GoOn);
        }
        let going = (0..).zip(&self.processors).filter(|(index, _)| goes(*index));
        going.for_each(|(_, processor)| processor.release(holder));
    }

    /// Presses the power button.
    pub fn press_power_button(&self) -> Pressed {
        self.board.power_button().press()
    }

    /// Ends the machine, as its user does.
    pub fn leave(&self) {
        self.end.finish(Ending::Left);
    }

    fn at_rest(&self) -> usize {
        self.processors.iter().filter(|processor| processor.is_at_rest()).count()
    }

    fn let_time(&self, passage: Passage) {
        if let Some(unit) = self.unit() {
            unit.let_time(passage);
        }
    }
}
