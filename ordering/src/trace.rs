//! A violation as a table: rows are time, the memory manager and the CPUs on the left, whoever was harmed on the
//! right, and what changed in the last column.
//!
//! Invariant: rows stand in the order of their time stamps; nothing is left out between the first and the last row
//! except the deeds of third parties that changed nothing on the page.

mod words;

use std::fmt;
use std::time::Instant;

use mmu::address::{Pfn, VirtAddr};
use mmu::trace::{Action, Agent, Event};
use steps::one_page::{ALLOCATE, Role, lock_page};
use steps::program::Line;

use self::words::{Names, deed, state_change};

/// Rows of a trace at most: an operation that was abandoned and repeated would otherwise fill pages.
const MAX_ROWS: usize = 40;

/// A trace that can be printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    names: Names,
    victim: String,
    rows: Vec<Row>,
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Time since the first row, in nanoseconds.
    pub at_ns: u128,
    /// What the memory manager or a CPU did.
    pub left: String,
    /// What the victim did.
    pub right: String,
    /// What changed.
    pub change: String,
}

impl Trace {
    /// The trace of a violation: the last operation on the page before it, with the walks that led to it.
    #[must_use]
    pub fn of_violation(before: &[Event], violation: &Event) -> Self {
        let victim = victim(before, violation);
        let names = names(before, violation.page);
        let first = first_event(before, victim, &names);
        let shown: Vec<&Event> = before[first..]
            .iter()
            .filter(|event| concerns(event, victim))
            .chain(std::iter::once(violation))
            .collect();
        let shown = &shown[shown.len().saturating_sub(MAX_ROWS)..];
        let begun = shown.first().map_or(violation.at, |event| event.at);
        let rows = shown.iter().map(|event| row(event, victim, begun, &names)).collect();
        Self { victim: column(victim), names, rows }
    }

    /// Its rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Who was harmed: who loaded, or who stored what was lost.
fn victim(before: &[Event], violation: &Event) -> Agent {
    let Action::LostStore { published, .. } = violation.action else { return violation.agent };
    let stored = |event: &&Event| event.action == Action::Store(published);
    before.iter().rev().find(stored).map_or(violation.agent, |event| event.agent)
}

/// The frames of the last operation that named both.
fn names(before: &[Event], page: VirtAddr) -> Names {
    let named = before.iter().rev().find(|event| event.frame.is_some() && event.new_frame.is_some());
    Names { page, old: named.and_then(|event| event.frame), new: named.and_then(|event| event.new_frame) }
}

/// The last walk of the victim that reached the old frame, or the beginning of the last operation, whichever is
/// earlier.
fn first_event(before: &[Event], victim: Agent, names: &Names) -> usize {
    let begins = |event: &Event| {
        let first_lines = [Line::Step(ALLOCATE), Line::Step(lock_page(Role::Old))];
        matches!(event.action, Action::Line { line, .. } if first_lines.contains(&line))
    };
    let walks = |event: &Event| {
        event.agent == victim && matches!(event.action, Action::Walk(_)) && event.frame == names.old
    };
    let operation = before.iter().rposition(begins);
    let walk = before.iter().rposition(walks);
    // Without an operation the story begins with the first event.
    operation.map_or(0, |operation| walk.map_or(operation, |walk| walk.min(operation)))
}

/// A third party matters if it stored; a jump that was taken is seen by where it led.
fn concerns(event: &Event, victim: Agent) -> bool {
    if matches!(event.action, Action::Line { line: Line::Goto(_), .. }) {
        return false;
    }
    let left = matches!(event.agent, Agent::Mm | Agent::Cpu(_));
    left || event.agent == victim || matches!(event.action, Action::Store(_))
}

fn row(event: &Event, victim: Agent, begun: Instant, names: &Names) -> Row {
    let is_victim = event.agent == victim && victim != Agent::Mm;
    let text = deed(event, is_victim || event.agent == Agent::Mm);
    let (left, right) = if is_victim { (String::new(), text) } else { (text, String::new()) };
    let at_ns = event.at.saturating_duration_since(begun).as_nanos();
    Row { at_ns, left, right, change: state_change(event, names) }
}

fn column(victim: Agent) -> String {
    match victim {
        Agent::Device(number) => format!("IOMMU (device {number})"),
        Agent::Mm => "other users".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = |pfn: Option<Pfn>| pfn.map_or("?".to_owned(), |pfn| pfn.to_string());
        let Names { page, old, new } = self.names;
        writeln!(f, "page A = {page}, old = frame {}, new = frame {}", frame(old), frame(new))?;
        let width = |cell: fn(&Row) -> &str, title: &str| {
            self.rows.iter().map(|row| cell(row).len()).fold(title.len(), usize::max)
        };
        let left = width(|row| &row.left, "CPU");
        let right = width(|row| &row.right, &self.victim);
        writeln!(f, "{:>10} | {:left$} | {:right$} | state change", "µs", "CPU", self.victim)?;
        for row in &self.rows {
            let at_us = format!("{}.{:03}", row.at_ns / 1000, row.at_ns % 1000);
            let line = format!("{at_us:>10} | {:left$} | {:right$} | {}", row.left, row.right, row.change);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
