//! What somebody outside may ask of a machine that runs: how it goes, to pause, to power off, to end.
//!
//! Invariant: nothing here waits for the guest for longer than `MOST_WAIT`. While the guest is paused no processor is inside
//! it and no time passes in which it should have invalidated something; devices finish what they were told.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use iommu::stale::watch::Passage;
use iommu::vtd::Vtd;
use parking_lot::Mutex;

use super::board::Board;
use super::ending::{End, Ending};
use super::power_button::Pressed;
use crate::kvm::ProcessorHandle;

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
    board: Arc<Board>,
    end: Arc<End>,
    begun: Instant,
    /// Held throughout a change, so that of two the last counts.
    is_paused: Mutex<bool>,
}

impl Control {
    pub(super) fn new(processors: Vec<ProcessorHandle>, board: Arc<Board>, end: Arc<End>) -> Self {
        Self { processors, board, end, begun: Instant::now(), is_paused: Mutex::new(false) }
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
        } else if *self.is_paused.lock() {
            State::Paused
        } else {
            State::Running
        };
        let (processors, at_rest) = (self.processors.len(), self.at_rest());
        Status { state, processors, at_rest, time: self.begun.elapsed() }
    }

    /// Holds all processors; whether all are at rest. One may still wait for a device.
    pub fn pause(&self) -> bool {
        let mut is_paused = self.is_paused.lock();
        *is_paused = true;
        self.processors.iter().for_each(ProcessorHandle::hold);
        let begun = Instant::now();
        while self.at_rest() < self.processors.len() && begun.elapsed() < MOST_WAIT && !self.end.is_over() {
            thread::sleep(LOOK);
        }
        self.let_time(Passage::Stop);
        self.at_rest() == self.processors.len()
    }

    /// Lets them go on.
    pub fn resume(&self) {
        let mut is_paused = self.is_paused.lock();
        *is_paused = false;
        self.let_time(Passage::GoOn);
        self.processors.iter().for_each(ProcessorHandle::release);
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
