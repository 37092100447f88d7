//! The reports of stale uses, and of devices that do not answer, while a guest runs and when it has ended.
//!
//! Invariant: what the unit noticed is printed soon after, and all of it before the summary; the summary counts also
//! what was too much to print, of each kind for itself. A report waits a moment for the guest to end its line, and no
//! longer. A file of reports has every object at once, and nothing else.

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
use picture::report::Report;
use serde_json::json;

use super::journal::Journal;
use super::page::{self, Drawn};
use super::screen::Screen;
use crate::machine::ending::Ending;
use crate::machine::tracer::Tracer;

/// How long a report waits for the end of the guest's line: a prompt has none.
const PATIENCE: Duration = Duration::from_millis(200);
/// Reports of a kind that are printed at most: a guest must not fill a disk.
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

/// Kinds of reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    ChangeInPlace,
    Use,
    Interrupt,
    TimeOut,
}

const KINDS: usize = 4;

/// What the first stale use does to the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    /// Nothing.
    Reported,
    /// It ends it.
    Fatal,
}

/// What is known when all is told.
pub(super) struct Concluded {
    /// Stale uses and changes in place.
    pub(super) stale: u64,
    /// What is drawn, if that was asked for.
    pub(super) drawn: Option<Vec<Report>>,
}

/// The reports of one run.
pub(super) struct Reports {
    unit: Arc<Vtd>,
    format: Format,
    severity: Severity,
    screen: Arc<Screen>,
    /// For whoever asks while the guest runs.
    journal: Option<Arc<Journal>>,
    /// For whoever looks at a page afterwards.
    drawn: Option<Drawn>,
    /// Who writes them into a trace.
    tracer: Option<Arc<Tracer>>,
    pending: Vec<String>,
    /// Since when the oldest of them waits.
    waiting_since: Option<Instant>,
    /// Of each kind; those that are pending count.
    printed: [u64; KINDS],
}

impl Reports {
    /// Those of `unit`, of which none has been taken, on `screen`.
    pub(super) fn new(unit: Arc<Vtd>, format: Format, severity: Severity, screen: Arc<Screen>) -> Self {
        let (pending, printed) = (Vec::new(), [0; KINDS]);
        let (journal, drawn, tracer, waiting_since) = (None, None, None, None);
        Self { unit, format, severity, screen, journal, drawn, tracer, pending, waiting_since, printed }
    }

    /// The same, of which whoever asks is told.
    pub(super) fn with_journal(self, journal: Option<Arc<Journal>>) -> Self {
        Self { journal, ..self }
    }

    /// The same, which are drawn.
    pub(super) fn with_drawings(self) -> Self {
        Self { drawn: Some(Drawn::default()), ..self }
    }

    /// The same, and they are traced as well.
    pub(super) fn with_tracer(self, tracer: Option<Arc<Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// Tells what is new, and ends the guest if that is to.
    pub(super) fn look(&mut self) -> ControlFlow<Ending> {
        self.take_new();
        if !self.has_to_wait() {
            self.print_pending();
        }
        match self.is_fatal() {
            true => ControlFlow::Break(Ending::StaleUse),
            false => ControlFlow::Continue(()),
        }
    }

    /// Prints the rest and the summary. Of a guest that was stopped nobody knows what it was about to invalidate.
    pub(super) fn conclude(mut self, ended_by_itself: bool) -> Concluded {
        if ended_by_itself {
            self.unit.judge_the_rest();
        }
        self.take_new();
        let told = [self.tell_judged(), self.tell_unused(), self.tell_unwatched(), Some(self.tell_summary())];
        let told: Vec<String> = told.into_iter().flatten().collect();
        self.print_pending();
        let stale = self.count();
        Concluded { stale, drawn: self.drawn.map(|drawn| drawn.conclude(stale, &told)) }
    }

    fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal && self.count() > 0
    }

    /// Stale uses and changes in place so far.
    fn count(&self) -> u64 {
        self.unit.stale_use_count() + self.unit.change_in_place_count()
    }

    fn take_new(&mut self) {
        let (changes, uses) = (self.unit.take_changes_in_place(), self.unit.take_stale_uses());
        let (interrupts, time_outs) = (self.unit.take_stale_interrupts(), self.unit.take_time_outs());
        if let Some(tracer) = &self.tracer {
            changes.iter().for_each(|change| tracer.changed_in_place(change));
            uses.iter().for_each(|stale| tracer.stale_use(stale));
            interrupts.iter().for_each(|stale| tracer.stale_interrupt(stale));
        }
        self.tell_all(Kind::ChangeInPlace, &changes, ChangedInPlace::to_json, page::change_in_place);
        self.tell_all(Kind::Use, &uses, StaleUse::to_json, page::stale_use);
        self.tell_all(Kind::Interrupt, &interrupts, StaleInterrupt::to_json, page::interrupt);
        // No stale uses, so nothing depends on them.
        self.tell_all(Kind::TimeOut, &time_outs, TimeOut::to_json, page::time_out);
    }

    fn tell_all<T: Display>(
        &mut self,
        kind: Kind,
        reports: &[T],
        json: impl Fn(&T) -> String,
        draw: impl Fn(&T, usize) -> Report,
    ) {
        // All of them: what is not drawn is counted, however much is printed.
        if let Some(drawn) = &mut self.drawn {
            reports.iter().for_each(|report| drawn.add(|number| draw(report, number)));
        }
        for report in reports {
            let printed = &mut self.printed[kind as usize];
            // What is too much is not even put into words.
            if *printed == MOST_PRINTED {
                return;
            }
            *printed += 1;
            self.tell(|| report.to_string(), || json(report));
        }
    }

    fn tell(&mut self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) {
        match (self.format, self.screen.has_file() || self.journal.is_some()) {
            (Format::Off, false) => {}
            (Format::Text, false) => self.pending.push(text()),
            (Format::Json, false) => self.pending.push(json()),
            (Format::Off, true) => self.record(&json()),
            (Format::Text, true) => {
                self.record(&json());
                self.pending.push(text());
            }
            (Format::Json, true) => {
                let json = json();
                self.record(&json);
                self.pending.push(json);
            }
        }
    }

    fn record(&self, json: &str) {
        self.screen.record(json);
        if let Some(journal) = &self.journal {
            journal.push(json);
        }
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
            self.screen.report(&text);
        }
    }

    /// What is cached in vain. No stale use, so nothing depends on it.
    fn tell_unused(&mut self) -> Option<String> {
        let unused = self.unit.audit();
        if unused.is_empty() {
            return None;
        }
        let objects: Vec<_> = unused.iter().map(Unused::to_json).take(MOST_UNUSED).collect();
        let text = note(&unused);
        self.tell(|| text.clone(), || objects.join("\n"));
        Some(text)
    }

    /// What became of the uses that did not count at once, if there were any.
    fn tell_judged(&mut self) -> Option<String> {
        let Tally { kept, dropped, unjudged, open } = self.unit.tally();
        if kept == 0 {
            return None;
        }
        let object = json!({
            "event": "judged", "kept": kept, "dropped": dropped, "unjudged": unjudged, "open": open,
        });
        let mut text = format!(
            "note: {kept} changed entries were used before their invalidation was complete; {dropped} were invalidated in time"
        );
        if open + unjudged > 0 {
            text += &format!(", of {} nobody can say", open + unjudged);
        }
        self.tell(|| text.clone(), || object.to_string());
        Some(text)
    }

    /// What the unit could not keep in mind.
    fn tell_unwatched(&mut self) -> Option<String> {
        let count = self.unit.unwatched_count();
        if count == 0 {
            return None;
        }
        let text = format!(
            "note: {count} cached translations were too many to keep in mind; if they were used when they were stale, \
             that was not noticed"
        );
        self.tell(|| text.clone(), || json!({ "event": "unwatched", "count": count }).to_string());
        Some(text)
    }

    fn tell_summary(&mut self) -> String {
        let (uses, changes) = (self.unit.stale_use_count(), self.unit.change_in_place_count());
        let told = [Kind::ChangeInPlace, Kind::Use, Kind::Interrupt];
        let printed: u64 = told.iter().map(|kind| self.printed[*kind as usize]).sum();
        let mut text = if uses == 0 { "stale uses: none".to_owned() } else { format!("stale uses: {uses}") };
        if changes > 0 {
            text += &format!("; entries changed in place: {changes}");
        }
        if printed < self.count() {
            text += &format!(", of which {printed} are printed");
        }
        let object = json!({
            "event": "stale-uses", "count": uses, "changes_in_place": changes, "printed": printed,
        });
        self.tell(|| text.clone(), || object.to_string());
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

#[cfg(test)]
mod tests;
