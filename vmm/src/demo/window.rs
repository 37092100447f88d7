//! Windows: an operation is held up between two of its steps, and somebody's turn to write comes just then.
//!
//! Invariant: right and wrong orders are treated alike. Each planned turn opens one window, before a line that is
//! chosen evenly among those that users of the page can see, for a time that comes from the seed; while it is open
//! the CPU is offered to others, because on a machine of few CPUs the window must also hold a switch of threads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mmu::address::VirtAddr;
use mmu::program::Line;
use parking_lot::Mutex;

use super::board::Turn;

/// How long each width of [`Widening::AsFound`] lasts.
const PHASE: Duration = Duration::from_millis(60);
/// The widest waits of [`Widening::AsFound`], in turn, in microseconds.
const WIDTHS_US: [u64; 4] = [0, 100, 400, 1600];

/// How wide the windows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widening {
    /// Up to this many microseconds; 0 never waits.
    Fixed {
        /// The widest wait.
        width_us: u64,
    },
    /// From not at all to 1600 µs and round again: narrow windows are found by many operations, wide ones by few.
    AsFound,
}

/// Opens the windows of one run.
#[derive(Debug)]
pub struct Windows {
    widening: Widening,
    begun: Instant,
    random: Mutex<fastrand::Rng>,
    planned: Mutex<HashMap<VirtAddr, Planned>>,
}

/// A turn that waits for its window.
#[derive(Debug)]
struct Planned {
    turn: Turn,
    /// Visible lines to let pass before.
    lines: usize,
}

impl Windows {
    /// Windows of `widening`, chosen from `seed`.
    #[must_use]
    pub fn new(widening: Widening, seed: u64) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { widening, begun: Instant::now(), random, planned: Mutex::default() }
    }

    /// Keeps `turn` for a window in the next operation on `page`, of which `lines` lines are visible.
    pub fn plan(&self, page: VirtAddr, turn: Turn, lines: usize) {
        let lines = self.random.lock().usize(0..lines.max(1));
        self.planned.lock().insert(page, Planned { turn, lines });
    }

    /// Takes back a turn that no window came for.
    pub fn take_back(&self, page: VirtAddr) -> Option<Turn> {
        self.planned.lock().remove(&page).map(|planned| planned.turn)
    }

    /// Opens the window that was planned before this line of the operation on `page`, if one was.
    pub fn open_before(&self, page: VirtAddr, line: &Line) {
        let width_us = self.width_us();
        if width_us == 0 || !line.is_visible() || !self.is_due(page) {
            return;
        }
        if let Some(turn) = self.take_back(page) {
            turn.give();
        }
        let wait = Duration::from_micros(self.random.lock().u64(1..=width_us));
        let opened = Instant::now();
        while opened.elapsed() < wait {
            std::thread::yield_now();
        }
    }

    fn is_due(&self, page: VirtAddr) -> bool {
        match self.planned.lock().get_mut(&page) {
            None => false,
            Some(Planned { lines: 0, .. }) => true,
            Some(planned) => {
                planned.lines -= 1;
                false
            }
        }
    }

    /// The widest window now, in microseconds.
    #[must_use]
    pub fn width_us(&self) -> u64 {
        match self.widening {
            Widening::Fixed { width_us } => width_us,
            Widening::AsFound => {
                let phases = self.begun.elapsed().as_millis() / PHASE.as_millis();
                WIDTHS_US[usize::try_from(phases).unwrap_or(0) % WIDTHS_US.len()]
            }
        }
    }
}
