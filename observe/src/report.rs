//! What was found, as text: each order as a table, with the kernel's functions beside its steps, and what is said of it.

use std::fmt;

use ordering::answer::Answered;

use crate::collect::Found;
use crate::judge::{Explored, Judged, Match, Ruling};
use crate::order::{Order, Seen, Who};

/// Names at most in one line.
const MOST_NAMES: usize = 5;
/// Before the scenarios of which it is not known whether they have the order.
const UNDECIDED: &str = "not decided within the limit:";

/// An order with its verdict, to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a>(pub &'a Judged);

/// What was not used, to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'a>(pub &'a Found);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judged { order, count, title, ruling } = self.0;
        let times = if count.times == 1 { "once".to_owned() } else { format!("{} times", count.times) };
        write!(f, "{title}, {times}, first in line {} ({}", count.example.line, count.example.thread)?;
        count.example.label.iter().try_for_each(|label| write!(f, ", \"{label}\""))?;
        writeln!(f, ")")?;
        for (page, (first, last)) in count.example.pages.iter().enumerate() {
            writeln!(f, "  {} = {first:#x} to {last:#x}", crate::order::letter(page))?;
        }
        let best = match ruling {
            Ruling::Right { best, .. } | Ruling::Wrong { best, .. } => Some(best.as_ref()),
            Ruling::New { .. } | Ruling::Unjudged { .. } => None,
        };
        table(f, order, best, &count.example.thread)?;
        told(f, ruling)
    }
}

/// The rows: what was seen, between steps of the scenario's run that nobody saw.
fn table(f: &mut fmt::Formatter<'_>, order: &Order, best: Option<&Match>, thread: &str) -> fmt::Result {
    let mut rows: Vec<[String; 3]> = vec![[thread.to_owned(), "vCPU".to_owned(), "kernel".to_owned()]];
    let own: Vec<&Seen> = order.operator().collect();
    let mut told = 0;
    // What was seen, up to that row of the operator.
    let mut up_to = |rows: &mut Vec<[String; 3]>, last: usize| {
        let mut number = 0;
        for seen in &order.rows {
            if seen.who == Who::Operator {
                number += 1;
            }
            let place = if seen.who == Who::Operator { number } else { number + 1 };
            if place > told && place <= last {
                rows.push(row(seen));
            }
        }
        told = told.max(last);
    };
    for (text, seen) in best.iter().flat_map(|best| &best.steps) {
        match seen {
            Some(number) => up_to(&mut rows, number + 1),
            None => rows.push([format!("({text})"), String::new(), String::new()]),
        }
    }
    up_to(&mut rows, own.len() + 1);
    let is_there = |column: usize| rows[1..].iter().any(|row| !row[column].is_empty());
    let shown = [true, is_there(1), true];
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1)];
    for [operator, vcpu, kernel] in &rows {
        let mut line = format!("  {operator:0$}", widths[0]);
        if shown[1] {
            line.push_str(&format!(" | {vcpu:0$}", widths[1]));
        }
        line.push_str(&format!(" | {kernel}"));
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(seen: &Seen) -> [String; 3] {
    let late = if seen.late { " (seen late)" } else { "" };
    let kernel = format!("{}{late}", seen.functions.join(", "));
    match seen.who {
        Who::Operator => [seen.text.clone(), String::new(), kernel],
        Who::Vcpu => [String::new(), seen.text.clone(), kernel],
    }
}

fn told(f: &mut fmt::Formatter<'_>, ruling: &Ruling) -> fmt::Result {
    match ruling {
        Ruling::Right { best, explored, others, untold, flush_unseen, unknown } => {
            writeln!(f, "as {} ({}): {}", best.scenario, best.file, explored.answered)?;
            names(f, "also as", others)?;
            names(f, "not told from, by what this trace shows, and VIOLATED:", untold)?;
            without_flush(f, *flush_unseen)?;
            names(f, UNDECIDED, unknown)
        }
        Ruling::Wrong { best, explored, others, unknown } => {
            writeln!(f, "as {} ({}): {}", best.scenario, best.file, explored.answered)?;
            best.about.iter().try_for_each(|about| writeln!(f, "  {about}"))?;
            names(f, "also as", others)?;
            names(f, UNDECIDED, unknown)?;
            if !best.run.silent.is_empty() {
                writeln!(f, "  it says nothing of {} of the steps", best.run.silent.len())?;
            }
            counterexample(f, explored)
        }
        Ruling::New { proposal, explored, flush_unseen, partly, unknown } => {
            names(f, "in part as", partly)?;
            without_flush(f, *flush_unseen)?;
            names(f, UNDECIDED, unknown)?;
            match explored {
                Ok(explored) => {
                    writeln!(
                        f,
                        "no scenario has all of this order; as {}: {}\n",
                        proposal.name, explored.answered
                    )?;
                    writeln!(f, "{}", proposal.text.trim_end())?;
                    counterexample(f, explored)
                }
                Err(wrong) => {
                    writeln!(f, "no scenario has all of this order, and none could be made of it: {wrong}")
                }
            }
        }
        Ruling::Unjudged { why, unknown } => {
            writeln!(f, "not judged: {why}")?;
            names(f, UNDECIDED, unknown)
        }
    }
}

fn without_flush(f: &mut fmt::Formatter<'_>, unseen: bool) -> fmt::Result {
    if unseen {
        writeln!(f, "  not told from the same order without its flush, which this trace does not show")
    } else {
        Ok(())
    }
}

fn counterexample(f: &mut fmt::Formatter<'_>, explored: &Explored) -> fmt::Result {
    match (&explored.table, explored.answered) {
        (Some(table), _) => write!(f, "\n{table}"),
        (None, Answered::BoundHit) => writeln!(f, "a limit was hit; `afterimage check` goes further"),
        (None, Answered::Proved | Answered::Vacuous | Answered::Violated) => Ok(()),
    }
}

fn names(f: &mut fmt::Formatter<'_>, head: &str, all: &[String]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    let first = all.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match all.len() - all.len().min(MOST_NAMES) {
        0 => writeln!(f, "  {head} {first}"),
        more => writeln!(f, "  {head} {first} and {more} more"),
    }
}

impl fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { totals, unknown, kernel, no_kernel, .. } = self.0;
        let told = kernel.map_or_else(|| "not said; give --kernel".to_owned(), |kernel| kernel.to_string());
        writeln!(f, "{} lines, {} events, kernel {told}", totals.lines, totals.events)?;
        if let Some(text) = no_kernel {
            writeln!(
                f,
                "`{text}` is said to be the kernel and is no version; write one like 6.18, or give --kernel"
            )?;
        }
        let counts = [
            (totals.unchanged, "ranges in which no change was seen"),
            (totals.stray, "steps outside of an operation"),
            (totals.lost, "events were lost or overwritten: what was open there is not judged"),
            (totals.backwards, "times go back within a thread: what was open there is not judged"),
            (totals.uncounted, "operations whose order was one too many to be told apart"),
        ];
        for (number, what) in counts.iter().filter(|(number, _)| *number > 0) {
            writeln!(f, "{number} {what}")?;
        }
        if let Some(first) = totals.first_unreadable {
            writeln!(
                f,
                "{} lines cannot be read, line {first} first: cut short, or no line of a trace",
                totals.unreadable
            )?;
        }
        if !unknown.is_empty() {
            let mut all: Vec<(&String, &u64)> = unknown.iter().collect();
            all.sort_by_key(|(name, times)| (u64::MAX - **times, (*name).clone()));
            let shown: Vec<String> =
                all.iter().take(12).map(|(name, times)| format!("{name} {times}")).collect();
            let more = all.len() - shown.len();
            let more = if more > 0 { format!(", and {more} names more") } else { String::new() };
            writeln!(f, "not in the vocabulary: {}{more}", shown.join(", "))?;
            writeln!(
                f,
                "  a row for one, in a file for --vocabulary: {} | | flush_tlb A | some | address addr",
                all[0].0
            )?;
        }
        Ok(())
    }
}
