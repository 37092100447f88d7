//! Widening: waits between two steps of an operation, so that others run in the window between them, and turns that
//! are given just then.
//!
//! Invariant: right and wrong orders are widened alike. Which step waits, and for how long, comes from the seed;
//! a wait offers the CPU to others, because on a machine of few CPUs the window must also hold a switch of threads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mmu::address::VirtAddr;
use mmu::program::Line;
use parking_lot::Mutex;

use super::board::Turn;

/// One step in this many waits.
const ONE_IN: u64 = 10;
/// How long each width of [`Widening::AsFound`] lasts.
const PHASE: Duration = Duration::from_millis(60);
/// The widest waits of [`Widening::AsFound`], in turn, in microseconds.
const WIDTHS_US: [u64; 6] = [0, 50, 100, 200, 400, 800];

/// How wide the windows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widening {
    /// Up to this many microseconds; 0 never waits.
    Fixed {
        /// The widest wait.
        width_us: u64,
    },
    /// From not at all to 800 µs and round again: narrow windows are found by many operations, wide ones by few.
    AsFound,
}

/// Widens the windows of one run.
#[derive(Debug)]
pub struct Windows {
    widening: Widening,
    begun: Instant,
    random: Mutex<fastrand::Rng>,
    /// Somebody whose turn to write comes when the next window of a page opens.
    planned: Mutex<HashMap<VirtAddr, Turn>>,
}

impl Windows {
    /// Windows of `widening`, chosen from `seed`.
    #[must_use]
    pub fn new(widening: Widening, seed: u64) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { widening, begun: Instant::now(), random, planned: Mutex::default() }
    }

    /// Keeps `turn` until a window of its page opens, or it is taken back.
    pub fn plan(&self, page: VirtAddr, turn: Turn) {
        self.planned.lock().insert(page, turn);
    }

    /// Takes back a turn that no window came for.
    pub fn take_back(&self, page: VirtAddr) -> Option<Turn> {
        self.planned.lock().remove(&page)
    }

    /// Perhaps opens a window before `line`: the planned turn is given, and others run. Labels and jumps are no steps.
    pub fn open_before(&self, page: VirtAddr, line: &Line) {
        let width_us = self.width_us();
        if width_us == 0 || !matches!(line, Line::Step(_) | Line::Check(..)) {
            return;
        }
        let wait_us = {
            let mut random = self.random.lock();
            if random.u64(0..ONE_IN) == 0 { random.u64(1..=width_us) } else { return }
        };
        if let Some(turn) = self.take_back(page) {
            turn.give();
        }
        let until = Instant::now() + Duration::from_micros(wait_us);
        while Instant::now() < until {
            std::thread::yield_now();
        }
    }

    /// The widest wait now, in microseconds.
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
