//! The recorder: keeps the last events of each page, and all of them once something went wrong.
//!
//! Invariant: its locks are held for one push or one copy, never while waiting; memory is bounded by
//! `KEPT_EVENTS` a page, and as many behind the first violation: what had begun by then may be told of later.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use guest_images::layout::AREA_VA;
use mmu::address::VirtAddr;
use mmu::trace::{Action, Event, Observer};
use parking_lot::Mutex;
use steps::one_page::{Protection, Role, Step, set_pte};
use steps::program::Line;

use super::window::Windows;

/// The step by which a COW break is done.
const BROKEN: Step = set_pte(Role::New, Protection::ReadWrite);
/// Events kept of each page.
const KEPT_EVENTS: usize = 1024;

/// Watches one run.
pub struct Recorder {
    windows: Windows,
    pages: Vec<Mutex<VecDeque<Event>>>,
    first: OnceLock<Event>,
    broken: AtomicU64,
    lost: AtomicU64,
}

/// The first thing that went wrong, with what happened to the page before.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What went wrong.
    pub event: Event,
    /// The page's events that had begun by then, by when they began.
    pub before: Vec<Event>,
}

impl Recorder {
    /// A recorder of `pages` pages whose operations are widened by `windows`.
    #[must_use]
    pub fn new(pages: u64, windows: Windows) -> Self {
        let pages = (0..pages).map(|_| Mutex::new(VecDeque::with_capacity(KEPT_EVENTS))).collect();
        Self { windows, pages, first: OnceLock::new(), broken: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    /// The windows between the steps of its operations.
    #[must_use]
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// COW breaks that were completed.
    #[must_use]
    pub fn cow_breaks(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// Published values that no mapped frame held.
    #[must_use]
    pub fn lost_writes(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The first violation, if there was one. Complete once all users have stopped.
    #[must_use]
    pub fn first_violation(&self) -> Option<Violation> {
        let event = *self.first.get()?;
        let kept = self.events(event.page).map(|events| events.lock().iter().copied().collect());
        let mut before: Vec<Event> = kept.unwrap_or_default();
        before.retain(|earlier| earlier.began <= event.ended);
        before.sort_by_key(|earlier| earlier.began);
        Some(Violation { event, before })
    }

    /// Whether something went wrong.
    #[must_use]
    pub fn has_violation(&self) -> bool {
        self.first.get().is_some()
    }

    fn events(&self, page: VirtAddr) -> Option<&Mutex<VecDeque<Event>>> {
        let index = page.vpn().checked_sub(VirtAddr(AREA_VA).vpn())?;
        self.pages.get(usize::try_from(index).ok()?)
    }

    /// Only the first is kept.
    fn keep_first(&self, event: Event) {
        let _first = self.first.get_or_init(|| event);
    }
}

impl Observer for Recorder {
    fn record(&self, event: Event) {
        match event.action {
            Action::StaleLoad { .. } | Action::FreedUse => return self.keep_first(event),
            Action::LostStore { .. } => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return self.keep_first(event);
            }
            Action::Line { line: Line::Step(step), .. } if step == BROKEN => {
                self.broken.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        if let Some(events) = self.events(event.page) {
            let goes_on = self.first.get().is_none_or(|first| first.page != event.page);
            let mut events = events.lock();
            if goes_on && events.len() >= KEPT_EVENTS {
                events.pop_front();
            }
            if goes_on || events.len() < 2 * KEPT_EVENTS {
                events.push_back(event);
            }
        }
    }

    fn before(&self, page: VirtAddr, line: &Line) {
        self.windows.open_before(page, line);
    }
}
