//! A run of a guest as a page: each stale use with what was filled, changed and invalidated, oldest first.
//!
//! Invariant: rows stand in the order of the unit's events. Nobody saw the moment of a change, which lies between the reading
//! of the entry and the first use of what it said: its row stands behind the reading, and says so.

use iommu::stale::in_place::ChangedInPlace;
use iommu::stale::interrupt::StaleInterrupt;
use iommu::stale::{Missed, StaleUse};
use iommu::vtd::TimeOut;
use picture::report::{Report, Tone};
use picture::timeline::{Arrow, Column, End, Kind, Lane, Part, Row, Segment, Timeline};

/// Reports that are drawn at most: a page is to be looked at.
const MOST_DRAWN: usize = 24;
/// Invalidations of one report that are drawn at most; the text has more.
const MOST_ROWS: usize = 16;

/// The columns of a picture.
const DRIVER: usize = 0;
const DEVICE: usize = 1;

/// What is drawn of a run.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    reports: Vec<Report>,
    /// How many there was no room for.
    left_out: u64,
}

impl Drawn {
    /// Draws one more, if there is room.
    pub(super) fn add(&mut self, report: impl FnOnce(usize) -> Report) {
        if self.reports.len() == MOST_DRAWN {
            self.left_out += 1;
            return;
        }
        let report = report(self.reports.len() + 1);
        self.reports.push(report);
    }

    /// All of it, the run first; `told` is what stands below the reports of its text, a line each.
    pub(super) fn conclude(self, stale: u64, told: &[String]) -> Vec<Report> {
        let (verdict, tone) = match stale {
            0 => ("no stale use".to_owned(), Tone::Good),
            1 => ("1 stale use".to_owned(), Tone::Bad),
            2.. => (format!("{stale} stale uses"), Tone::Bad),
        };
        let mut remarks: Vec<String> = told.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
        if self.left_out > 0 {
            remarks.push(format!("{} further reports are not drawn", self.left_out));
        }
        let run = Report { verdict, tone, remarks, ..named("the run".to_owned(), "") };
        std::iter::once(run).chain(self.reports).collect()
    }
}

/// A stale use, the `number`th report.
pub(super) fn stale_use(found: &StaleUse, number: usize) -> Report {
    let run = timeline(found);
    let uses = [("uses", found.uses), ("invalidations that are not listed", found.forgotten)];
    let counts = uses.into_iter().filter(|(_, count)| *count > 0);
    Report {
        verdict: "STALE USE".to_owned(),
        detail: format!("first in {}", found.used),
        counts: counts.map(|(name, count)| (name.to_owned(), count.to_string())).collect(),
        remarks: vec![format!("It counts because {}.", found.ground)],
        title: "What the unit saw".to_owned(),
        run: Some(run),
        ..named(format!("{number}: {}", found.requester.source), &found.headline())
    }
}

/// An entry that was changed while it was present.
pub(super) fn change_in_place(found: &ChangedInPlace, number: usize) -> Report {
    told(number, "CHANGED IN PLACE", &found.to_string())
}

/// An interrupt by an entry that the table does not have any more.
pub(super) fn interrupt(found: &StaleInterrupt, number: usize) -> Report {
    told(number, "STALE USE", &found.to_string())
}

/// A device that did not answer.
pub(super) fn time_out(found: &TimeOut, number: usize) -> Report {
    Report { tone: Tone::Open, ..told(number, "TIME-OUT", &found.to_string()) }
}

/// A report as its text has it.
pub(super) fn told(number: usize, verdict: &str, text: &str) -> Report {
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let remarks = lines.map(str::to_owned).collect();
    Report { verdict: verdict.to_owned(), remarks, ..named(format!("report {number}"), first) }
}

fn named(name: String, about: &str) -> Report {
    Report {
        name,
        place: None,
        about: Some(about.to_owned()).filter(|about| !about.is_empty()),
        source: None,
        like: None,
        verdict: String::new(),
        tone: Tone::Bad,
        detail: String::new(),
        counts: Vec::new(),
        remarks: Vec::new(),
        title: String::new(),
        run: None,
    }
}

/// The rows of a stale use, what the tables and the cache held, and the arrow from the change to the use.
fn timeline(found: &StaleUse) -> Timeline {
    let shown = &found.received[found.received.len().saturating_sub(MOST_ROWS)..];
    let (before, after): (Vec<&Missed>, Vec<&Missed>) =
        shown.iter().partition(|missed| missed.at < found.used);
    let used = 3 + before.len();
    let mut rows = vec![fill(found), change(found)];
    rows.extend(before.iter().map(|missed| invalidation(missed)));
    rows.push(used_by_device(found));
    rows.extend(after.iter().map(|missed| invalidation(missed)));
    let device = match found.requester.pasid {
        Some(pasid) => format!("{} {pasid}", found.requester.source),
        None => found.requester.source.to_string(),
    };
    let mistake = format!("mistake: {}", found.mistake());
    let missing = found.would_have_helped().into_iter().map(|one| format!("missing: {one}"));
    Timeline {
        agents: ["driver".to_owned(), device].map(|name| Column { name, on: None }).into(),
        rows,
        lanes: vec![table(found), cache(found, used)],
        arrows: vec![Arrow { from: 2, to: used, end: End::Used, lanes: vec![1] }],
        broken: None,
        why: std::iter::once(mistake).chain(missing).collect(),
    }
}

fn row(agent: usize, text: String, changes: Vec<String>) -> Row {
    Row { agent, text, changes, line: None, part: Part::Run }
}

fn fill(found: &StaleUse) -> Row {
    let text = format!("walk {}", found.request.address);
    row(DEVICE, text, vec![format!("{}: {}", found.holder, found.held()), found.filled.to_string()])
}

fn change(found: &StaleUse) -> Row {
    let text = format!("change {} at {}", found.change.table, found.change.place);
    let changes = vec![format!("{}", found.change), "some time before the first use".to_owned()];
    row(DRIVER, text, changes)
}

fn invalidation(missed: &Missed) -> Row {
    row(DRIVER, missed.to_string(), vec![missed.at.to_string()])
}

fn used_by_device(found: &StaleUse) -> Row {
    let access = match found.request.access {
        mmu::address::Access::Read => "read",
        mmu::address::Access::Write => "write",
    };
    row(DEVICE, format!("{access} {}", found.request.address), vec![found.used.to_string()])
}

fn table(found: &StaleUse) -> Lane {
    let said = |value: u64| format!("{value:#x}");
    let is = found.change.is.map_or_else(|| "outside memory".to_owned(), said);
    let segment = |from, to, holds| Segment { from, to, holds, stale: false };
    Lane {
        name: format!("entry at {}", found.change.place),
        what: found.change.table.to_string(),
        kind: Kind::Table,
        segments: vec![segment(0, Some(2), said(found.change.was)), segment(2, None, is)],
        emptied: Vec::new(),
        used: Vec::new(),
    }
}

fn cache(found: &StaleUse, used: usize) -> Lane {
    let segment = |from, to, stale| Segment { from, to, holds: found.held(), stale };
    Lane {
        name: format!("page {}", found.page()),
        what: found.holder.to_string(),
        kind: Kind::Cache,
        segments: vec![segment(1, Some(2), false), segment(2, None, true)],
        emptied: Vec::new(),
        used: vec![used],
    }
}
