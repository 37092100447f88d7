//! Windows: an operation is held up between two of its steps, and somebody's turn to write comes just then.
//!
//! Invariant: right and wrong orders are treated alike. A planned turn opens two windows, before lines that are chosen
//! evenly among those that users of the page can see, for times that come from the seed, and comes in one of the two:
//! a stale use needs a moment to cache the old page, and one to use it. While a window is open the CPU is offered to
//! others, because on a machine of few CPUs it must also hold a switch of threads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mmu::address::VirtAddr;
use parking_lot::Mutex;
use steps::program::Line;

use super::board::Turn;

/// How long each width of [`Widening::AsFound`] lasts.
const PHASE: Duration = Duration::from_millis(60);
/// The widest waits of [`Widening::AsFound`], in turn, in microseconds.
const WIDTHS_US: [u64; 4] = [0, 100, 400, 1600];
/// After this time they begin to double, each time it has passed again by a quarter, up to [`MOST_DOUBLINGS`] times: on a
/// machine where threads wait long for a CPU, a window must hold that wait.
const CALM: Duration = Duration::from_secs(2);
const MOST_DOUBLINGS: u32 = 3;

/// How wide the windows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widening {
    /// Up to this many microseconds; 0 never waits.
    Fixed {
        /// The widest wait.
        width_us: u64,
    },
    /// From not at all to 1600 µs and round again: narrow windows are found by many operations, wide ones by few. After
    /// two seconds wider still.
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

/// The windows of the next operation on a page.
#[derive(Debug)]
struct Planned {
    /// Visible lines that have passed.
    passed: usize,
    /// Before which of them a window opens.
    opens_at: [usize; 2],
    /// Before which of them the turn comes; one of the two.
    turn_at: usize,
    /// The turn, until it was given.
    turn: Option<Turn>,
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
        let planned = {
            let mut random = self.random.lock();
            let opens_at = [(); 2].map(|()| random.usize(0..lines.max(1)));
            let turn_at = opens_at[random.usize(0..2)];
            Planned { passed: 0, opens_at, turn_at, turn: Some(turn) }
        };
        self.planned.lock().insert(page, planned);
    }

    /// Closes the plan of `page` and takes back its turn, if no window came for it.
    pub fn take_back(&self, page: VirtAddr) -> Option<Turn> {
        self.planned.lock().remove(&page)?.turn
    }

    /// Opens the window that was planned before this line of the operation on `page`, if one was.
    pub fn open_before(&self, page: VirtAddr, line: &Line) {
        let width_us = self.width_us();
        if width_us == 0 || !line.is_visible() || !self.is_due(page) {
            return;
        }
        let wait = Duration::from_micros(self.random.lock().u64(1..=width_us));
        let opened = Instant::now();
        while opened.elapsed() < wait {
            std::thread::yield_now();
        }
    }

    /// Counts one visible line; gives the turn if it comes here.
    fn is_due(&self, page: VirtAddr) -> bool {
        let mut planned = self.planned.lock();
        let Some(planned) = planned.get_mut(&page) else { return false };
        let line = planned.passed;
        planned.passed += 1;
        if line == planned.turn_at
            && let Some(turn) = planned.turn.take()
        {
            turn.give();
        }
        planned.opens_at.contains(&line)
    }

    /// The widest window now, in microseconds.
    #[must_use]
    pub fn width_us(&self) -> u64 {
        match self.widening {
            Widening::Fixed { width_us } => width_us,
            Widening::AsFound => {
                let elapsed = self.begun.elapsed();
                let phases = elapsed.as_millis() / PHASE.as_millis();
                let width_us = WIDTHS_US[usize::try_from(phases).unwrap_or(0) % WIDTHS_US.len()];
                width_us << doublings(elapsed)
            }
        }
    }
}

/// How often the widths have doubled by now.
fn doublings(elapsed: Duration) -> u32 {
    let restless = elapsed.saturating_sub(CALM);
    let quarters = restless.as_millis() / (CALM / 4).as_millis();
    u32::try_from(quarters).unwrap_or(MOST_DOUBLINGS).min(MOST_DOUBLINGS)
}
