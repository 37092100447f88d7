//! The reports of stale uses while a guest runs and when it has ended.
//!
//! Invariant: what the unit noticed is printed soon after, and all of it before the summary; the summary counts also
//! what was too much to print. Standard error only: standard output is the guest's.

use std::fmt::Display;
use std::io::{Write, stderr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use iommu::stale::StaleUse;
use iommu::stale::interrupt::StaleInterrupt;
use iommu::vtd::Vtd;
use serde_json::json;

use crate::machine::console::Round;
use crate::machine::ending::Ending;

/// How often the unit is asked.
const EVERY: Duration = Duration::from_millis(20);
/// Reports that are printed at most: a guest must not fill a disk.
const MOST_PRINTED: u64 = 1000;

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
    printed: u64,
}

impl Reports {
    /// Those of `unit`, of which none has been taken.
    pub(super) fn new(unit: Arc<Vtd>, format: Format, severity: Severity) -> Self {
        Self { unit, format, severity, printed: 0 }
    }

    /// Lends itself to a machine that runs.
    pub(super) fn watching<T>(&mut self, run: impl FnOnce(Round<'_>) -> T) -> T {
        run(Round { every: EVERY, act: &mut || self.look() })
    }

    fn look(&mut self) -> ControlFlow<Ending> {
        self.print_new();
        match self.is_fatal() {
            true => ControlFlow::Break(Ending::StaleUse),
            false => ControlFlow::Continue(()),
        }
    }

    /// Prints the rest and the summary. Whether a stale use decides the exit status, however the guest ended.
    pub(super) fn conclude(mut self) -> bool {
        self.print_new();
        self.print(&self.summary());
        self.is_fatal()
    }

    fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal && self.unit.stale_use_count() > 0
    }

    fn print_new(&mut self) {
        let (uses, interrupts) = (self.unit.take_stale_uses(), self.unit.take_stale_interrupts());
        let uses = uses.iter().map(|stale| self.format.text(stale, StaleUse::to_json));
        let interrupts = interrupts.iter().map(|stale| self.format.text(stale, StaleInterrupt::to_json));
        for text in uses.chain(interrupts).collect::<Vec<_>>() {
            if self.printed < MOST_PRINTED {
                self.printed += 1;
                self.print(&text);
            }
        }
    }

    fn summary(&self) -> String {
        let (count, printed) = (self.unit.stale_use_count(), self.printed);
        match (self.format, count) {
            (Format::Json, _) => {
                json!({ "event": "stale-uses", "count": count, "printed": printed }).to_string()
            }
            (_, 0) => "stale uses: none".to_owned(),
            _ if printed < count => format!("stale uses: {count}, of which {printed} are printed"),
            _ => format!("stale uses: {count}"),
        }
    }

    /// Nobody may be there to read it.
    fn print(&self, text: &str) {
        if self.format != Format::Off {
            let _read = writeln!(stderr().lock(), "{text}");
        }
    }
}
