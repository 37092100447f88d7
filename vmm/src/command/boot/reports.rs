//! The reports of stale uses, and of devices that do not answer, while a guest runs and when it has ended.
//!
//! Invariant: what the unit noticed is printed soon after, and all of it before the summary; the summary counts also
//! what was too much to print. A report waits a moment for the guest to end its line, and no longer.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use iommu::stale::StaleUse;
use iommu::stale::in_place::ChangedInPlace;
use iommu::stale::interrupt::StaleInterrupt;
use iommu::stale::unused::Unused;
use iommu::stale::watch::Tally;
use iommu::vtd::{TimeOut, Vtd};
use serde_json::json;

use super::screen::Screen;
use crate::machine::console::Round;
use crate::machine::ending::Ending;

/// How often the unit is asked.
const EVERY: Duration = Duration::from_millis(20);
/// How long a report waits for the end of the guest's line: a prompt has none.
const PATIENCE: Duration = Duration::from_millis(200);
/// Reports that are printed at most: a guest must not fill a disk.
const MOST_PRINTED: u64 = 1000;

/// Cached translations that are listed at most when the guest has ended.
const MOST_UNUSED: usize = 8;

/// How stale uses are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One object a line
    Json,
    /// Not at all
    Off,
}

impl Format {
    fn text<T: Display>(self, report: &T, json: impl Fn(&T) -> String) -> String {
        match self {
            Self::Json => json(report),
            Self::Text | Self::Off => report.to_string(),
        }
    }
}

/// What the first stale use does to the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    /// Nothing.
    Reported,
    /// It ends it.
    Fatal,
}

/// See the module.
pub(super) struct Reports {
    unit: Arc<Vtd>,
    format: Format,
    severity: Severity,
    screen: Arc<Screen>,
    pending: Vec<String>,
    /// Since when the oldest of them waits.
    waiting_since: Option<Instant>,
    /// Those that are pending count.
    printed: u64,
    /// Devices that did not answer, as they were told.
    time_outs: u64,
}

impl Reports {
    /// Those of `unit`, of which none has been taken, on `screen`.
    pub(super) fn new(unit: Arc<Vtd>, format: Format, severity: Severity, screen: Arc<Screen>) -> Self {
        Self {
            unit,
            format,
            severity,
            screen,
            pending: Vec::new(),
            waiting_since: None,
            printed: 0,
            time_outs: 0,
        }
    }

    /// Lends itself to a machine that runs.
    pub(super) fn watching<T>(&mut self, run: impl FnOnce(Round<'_>) -> T) -> T {
        run(Round { every: EVERY, act: &mut || self.look() })
    }

    fn look(&mut self) -> ControlFlow<Ending> {
        self.take_new();
        if !self.has_to_wait() {
            self.print_pending();
        }
        match self.is_fatal() {
            true => ControlFlow::Break(Ending::StaleUse),
            false => ControlFlow::Continue(()),
        }
    }

    /// Prints the rest and the summary. Whether a stale use decides the exit status, however the guest ended. Of a guest
    /// that was stopped nobody knows what it was about to invalidate.
    pub(super) fn conclude(mut self, ended_by_itself: bool) -> bool {
        if ended_by_itself {
            self.unit.judge_the_rest();
        }
        self.take_new();
        self.pending.extend(self.judged());
        self.pending.extend(self.unused());
        self.pending.extend(self.unwatched());
        self.pending.push(self.summary());
        self.print_pending();
        self.is_fatal()
    }

    fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal && self.count() > 0
    }

    /// Stale uses and changes in place so far.
    fn count(&self) -> u64 {
        self.unit.stale_use_count() + self.unit.change_in_place_count()
    }

    fn take_new(&mut self) {
        let (uses, interrupts) = (self.unit.take_stale_uses(), self.unit.take_stale_interrupts());
        let uses = uses.iter().map(|stale| self.format.text(stale, StaleUse::to_json));
        let interrupts = interrupts.iter().map(|stale| self.format.text(stale, StaleInterrupt::to_json));
        let changes = self.unit.take_changes_in_place();
        let changes = changes.iter().map(|change| self.format.text(change, ChangedInPlace::to_json));
        // What is too much is not even put into words.
        let room = usize::try_from(MOST_PRINTED - self.printed).unwrap_or(usize::MAX);
        let new: Vec<_> = changes.chain(uses).chain(interrupts).take(room).collect();
        self.printed += new.len() as u64;
        self.pending.extend(new);
        self.take_time_outs();
    }

    /// No stale uses, so nothing depends on them.
    fn take_time_outs(&mut self) {
        let room = usize::try_from(MOST_PRINTED - self.time_outs).unwrap_or(usize::MAX);
        let time_outs = self.unit.take_time_outs();
        let new = time_outs.iter().map(|told| self.format.text(told, TimeOut::to_json)).take(room);
        let new: Vec<_> = new.collect();
        self.time_outs += new.len() as u64;
        self.pending.extend(new);
    }

    fn has_to_wait(&mut self) -> bool {
        if self.pending.is_empty() || !self.screen.is_line_open() {
            return false;
        }
        self.waiting_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }

    fn print_pending(&mut self) {
        self.waiting_since = None;
        for text in self.pending.drain(..) {
            if self.format != Format::Off {
                self.screen.report(&text);
            }
        }
    }

    /// What is cached in vain. No stale use, so nothing depends on it.
    fn unused(&self) -> Vec<String> {
        let unused = self.unit.audit();
        match self.format {
            Format::Json => unused.iter().map(Unused::to_json).take(MOST_UNUSED).collect(),
            Format::Text if !unused.is_empty() => vec![note(&unused)],
            Format::Text | Format::Off => Vec::new(),
        }
    }

    /// What became of the uses that did not count at once, if there were any.
    fn judged(&self) -> Option<String> {
        let Tally { kept, dropped, unjudged, open } = self.unit.tally();
        if kept == 0 {
            return None;
        }
        if self.format == Format::Json {
            let value = json!({
                "event": "judged", "kept": kept, "dropped": dropped, "unjudged": unjudged, "open": open,
            });
            return Some(value.to_string());
        }
        let mut text = format!(
            "note: {kept} changed entries were used before their invalidation was complete; {dropped} were invalidated in time"
        );
        if open + unjudged > 0 {
            text += &format!(", of {} nobody can say", open + unjudged);
        }
        Some(text)
    }

    /// What the unit could not keep in mind.
    fn unwatched(&self) -> Option<String> {
        let count = self.unit.unwatched_count();
        (count > 0).then(|| match self.format {
            Format::Json => json!({ "event": "unwatched", "count": count }).to_string(),
            Format::Text | Format::Off => format!(
                "note: {count} cached translations were too many to keep in mind; if they were used when they were stale, \
                 that was not noticed"
            ),
        })
    }

    fn summary(&self) -> String {
        let (uses, changes) = (self.unit.stale_use_count(), self.unit.change_in_place_count());
        let (count, printed) = (self.count(), self.printed);
        if self.format == Format::Json {
            return json!({
                "event": "stale-uses", "count": uses, "changes_in_place": changes, "printed": printed,
            })
            .to_string();
        }
        let mut text = if uses == 0 { "stale uses: none".to_owned() } else { format!("stale uses: {uses}") };
        if changes > 0 {
            text += &format!("; entries changed in place: {changes}");
        }
        if printed < count {
            text += &format!(", of which {printed} are printed");
        }
        text
    }
}

fn note(unused: &[Unused]) -> String {
    let count = unused.len();
    let listed: String = unused.iter().take(MOST_UNUSED).map(|unused| format!("\n  {unused}")).collect();
    let rest = if count > MOST_UNUSED { "\n  ..." } else { "" };
    format!(
        "note: {count} cached translations no longer agree with the tables, and no use of them was seen since: uses that \
         wait to happen, unless the guest ended before it came to invalidate them{listed}{rest}"
    )
}
