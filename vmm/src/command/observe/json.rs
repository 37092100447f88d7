//! What was observed, as one JSON object.
//!
//! Invariant: a field keeps its meaning while [`SCHEMA`] stays; new fields may come. Lines count from 1.

use std::collections::BTreeMap;

use observe::collect::Found;
use observe::judge::{Explored, Judged, Match, Ruling, Standing};
use observe::order::{Seen, Who};
use serde::Serialize;

use super::super::outcome::as_json;
use super::record::{ROUNDS, Visible};

/// Goes up when a field goes or means something else.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    kernel: Option<String>,
    lines: u64,
    events: u64,
    unreadable: u64,
    lost: u64,
    /// Times that go back within a thread.
    backwards: u64,
    /// Ranges in which no change was seen.
    unchanged: u64,
    /// Steps outside of any operation.
    stray: u64,
    /// Operations whose order was one too many to be told apart.
    uncounted: u64,
    /// Number of the first line that cannot be read.
    first_unreadable: Option<u64>,
    /// What a line says instead of a kernel's version.
    no_kernel: Option<&'a str>,
    /// What was recorded, if it was.
    record: Option<Recorded<'a>>,
    orders: Vec<Order<'a>>,
    /// Events that the vocabulary does not have, and how often each came.
    unknown: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Recorded<'a> {
    operation: String,
    /// How often it happened, and how often it was done.
    happened: u32,
    rounds: u32,
    /// By what.
    recorded: &'a [String],
    /// What could not be recorded, and why.
    missing: &'a [String],
    /// Steps that were seen, and others that kernels take and that were not.
    seen: Vec<&'static str>,
    unseen: Vec<&'static str>,
    /// Why an order that is refuted or proved need not be the kernel's.
    crowded: Option<&'static str>,
}

#[derive(Serialize)]
struct Order<'a> {
    operation: &'a str,
    times: u64,
    line: u64,
    thread: &'a str,
    label: Option<&'a str>,
    pages: Vec<[String; 2]>,
    rows: Vec<Row<'a>>,
    /// `right`, `wrong`, `new` or `not judged`.
    ruling: &'static str,
    /// `proved`, `new`, `untold`, `refuted` or `unknown`: what it counts as.
    standing: &'static str,
    /// Whether it counts as wrong.
    is_wrong: bool,
    /// The scenario that it is, or the name of the new one.
    scenario: Option<&'a str>,
    file: Option<&'a str>,
    verdict: Option<String>,
    /// The steps of that scenario's run, with the number of the operator's row that is each, from 0.
    steps: Vec<Step<'a>>,
    /// Other scenarios that have the order.
    also: &'a [String],
    /// Refuted ones that the trace does not tell from it.
    untold: &'a [String],
    /// Nobody would see if it were not flushed.
    flush_unseen: bool,
    /// Scenarios of which it is not known whether they have it.
    undecided: &'a [String],
    /// Scenarios that have a part of it.
    partly: &'a [String],
    /// The text of the new scenario.
    proposal: Option<&'a str>,
    /// Why it is not judged, or why no scenario could be made of it.
    why: Option<&'a str>,
    /// The counterexample: who does what.
    counterexample: Vec<[String; 2]>,
}

#[derive(Serialize)]
struct Row<'a> {
    /// `operator` or `vcpu`.
    who: &'static str,
    step: &'a str,
    functions: &'a [String],
    /// Whether it was seen later than the call that began it.
    late: bool,
}

#[derive(Serialize)]
struct Step<'a> {
    step: &'a str,
    row: Option<usize>,
}

/// The whole report.
pub(super) fn json(judged: &[Judged], found: &Found, visible: Option<&Visible>) -> String {
    let totals = &found.totals;
    as_json(&Report {
        schema: SCHEMA,
        kernel: found.kernel.map(|kernel| kernel.to_string()),
        lines: totals.lines,
        events: totals.events,
        unreadable: totals.unreadable,
        lost: totals.lost,
        backwards: totals.backwards,
        unchanged: totals.unchanged,
        stray: totals.stray,
        uncounted: totals.uncounted,
        first_unreadable: totals.first_unreadable,
        no_kernel: found.no_kernel.as_deref(),
        record: visible.map(|visible| recorded(visible, found)),
        orders: judged.iter().map(order).collect(),
        unknown: &found.unknown,
    })
}

fn recorded<'a>(visible: &'a Visible, found: &Found) -> Recorded<'a> {
    Recorded {
        operation: visible.deed.to_string(),
        happened: visible.happened,
        rounds: ROUNDS,
        recorded: &visible.recorded,
        missing: &visible.missing,
        seen: Visible::steps(found, true),
        unseen: Visible::steps(found, false),
        crowded: visible.crowded(),
    }
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Proved => "proved",
        Standing::New => "new",
        Standing::Untold => "untold",
        Standing::Refuted => "refuted",
        Standing::Unknown => "unknown",
    }
}

fn order(judged: &Judged) -> Order<'_> {
    let example = &judged.count.example;
    let bare = Order {
        operation: &judged.title,
        times: judged.count.times,
        line: example.line,
        thread: &example.thread,
        label: example.label.as_deref(),
        pages: example
            .pages
            .iter()
            .map(|(first, last)| [first, last].map(|end| format!("{end:#x}")))
            .collect(),
        rows: judged.order.rows.iter().map(row).collect(),
        ruling: "not judged",
        standing: standing(judged.ruling.standing()),
        is_wrong: judged.ruling.is_wrong(),
        scenario: None,
        file: None,
        verdict: None,
        steps: Vec::new(),
        also: &[],
        untold: &[],
        flush_unseen: false,
        undecided: &[],
        partly: &[],
        proposal: None,
        why: None,
        counterexample: Vec::new(),
    };
    match &judged.ruling {
        Ruling::Right { best, explored, others, untold, flush_unseen, unknown } => Order {
            flush_unseen: *flush_unseen,
            ruling: "right",
            also: others,
            untold,
            undecided: unknown,
            ..matched(bare, best, explored)
        },
        Ruling::Wrong { best, explored, others, unknown } => {
            Order { ruling: "wrong", also: others, undecided: unknown, ..matched(bare, best, explored) }
        }
        Ruling::New { proposal, explored, flush_unseen, partly, unknown } => {
            let known = explored.as_ref().ok();
            Order {
                ruling: "new",
                scenario: Some(&proposal.name),
                flush_unseen: *flush_unseen,
                partly,
                undecided: unknown,
                proposal: Some(&proposal.text),
                verdict: known.map(|explored| explored.answered.to_string()),
                counterexample: known.map(counterexample).unwrap_or_default(),
                why: explored.as_ref().err().map(String::as_str),
                ..bare
            }
        }
        Ruling::Unjudged { why, unknown } => Order { why: Some(why), undecided: unknown, ..bare },
    }
}

fn matched<'a>(bare: Order<'a>, best: &'a Match, explored: &Explored) -> Order<'a> {
    Order {
        scenario: Some(&best.scenario),
        file: Some(best.file),
        verdict: Some(explored.answered.to_string()),
        steps: best.steps.iter().map(|(step, row)| Step { step, row: *row }).collect(),
        counterexample: counterexample(explored),
        ..bare
    }
}

fn counterexample(explored: &Explored) -> Vec<[String; 2]> {
    let rows = explored.table.iter().flat_map(|table| table.rows());
    rows.map(|(agent, row)| [agent.to_owned(), row.text.clone()]).collect()
}

fn row(seen: &Seen) -> Row<'_> {
    let who = match seen.who {
        Who::Operator => "operator",
        Who::Vcpu => "vcpu",
    };
    Row { who, step: &seen.text, functions: &seen.functions, late: seen.late }
}
