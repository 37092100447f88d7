//! The program of an order: its rows, with locks and what could not be seen.

use std::collections::BTreeSet;

use steps::table::Verb;

use crate::collect::Found;
use crate::order::{Order, Seen, changes, letter};
use crate::vocabulary::Shape;

/// What stands behind a step that nobody saw.
const PLACED: &str = "# not seen; placed here";

/// A row of the program to be.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    verb: Verb,
    page: usize,
    placed: bool,
    /// What the entry becomes, if that was seen.
    entry: Option<String>,
}

/// The lines of the operator's program, with two blanks before each.
pub(super) fn of(order: &Order, shape: Shape, found: &Found) -> String {
    let seen = order.operator().flat_map(|row| {
        let line = |page: usize| Line {
            verb: row.verb,
            page,
            placed: false,
            entry: row.text.contains(" migration ").then(|| "migration old ro".to_owned()),
        };
        pages_of(row, order).into_iter().map(line)
    });
    let mut lines: Vec<Line> = seen.collect();
    complete(&mut lines, order, shape, found);
    let mut text = String::new();
    let groups = groups(&lines);
    for (number, group) in groups.iter().enumerate() {
        if number == 1 && shape == Shape::Merge {
            text.push_str("  if content(old) != content(new): end\n");
        }
        write_group(&mut text, group, shape, number);
    }
    text
}

/// The pages of a step. A range of which it is not seen is one of every page; it ends where it began.
fn pages_of(row: &Seen, order: &Order) -> BTreeSet<usize> {
    let begins = |row: &Seen| row.verb == Verb::NotifyStart;
    let all = || (0..order.pages()).collect::<BTreeSet<usize>>();
    match (row.page, row.verb) {
        (Some(page), _) => BTreeSet::from([page]),
        (None, Verb::NotifyStart) => all(),
        (None, Verb::NotifyEnd) if order.operator().any(|row| begins(row) && row.page.is_none()) => all(),
        (None, Verb::NotifyEnd) if order.operator().any(begins) => {
            order.operator().filter(|row| begins(row)).filter_map(|row| row.page).collect()
        }
        (None, _other) => BTreeSet::from([0]),
    }
}

/// Places what nobody could see.
fn complete(lines: &mut Vec<Line>, order: &Order, shape: Shape, found: &Found) {
    let watched = order.watched.contains(&0);
    let could_hide = |verb: Verb| !(found.shown.contains(&verb) || watched && changes(verb));
    let first = match shape {
        Shape::Replace | Shape::Merge | Shape::Zap | Shape::Move => Verb::PteClear,
        Shape::Protect => Verb::PteModify,
    };
    let has = |lines: &[Line], verb: Verb| lines.iter().any(|line| line.verb == verb);
    if !has(lines, first) && !has(lines, Verb::PteClear) && could_hide(first) {
        let at = lines.iter().position(|line| line.verb != Verb::NotifyStart);
        insert(lines, at.unwrap_or(lines.len()), first, 0);
    }
    place_flushes(lines, first, found);
    let sets = matches!(shape, Shape::Replace | Shape::Merge);
    if sets && !has(lines, Verb::SetPte) && could_hide(Verb::SetPte) {
        set_each_group(lines);
    }
    let moves = shape == Shape::Move && !has(lines, Verb::SetPte) && could_hide(Verb::SetPte);
    if let Some(at) = lines.iter().position(|line| line.verb == Verb::PteClear).filter(|_| moves) {
        insert(lines, at + 1, Verb::SetPte, 1);
    }
    ranges(lines, found);
}

/// A flush that could not be seen stands behind each change of an entry that none follows; so does a notification behind a flush,
/// or before the end of the range if that is where it hides.
fn place_flushes(lines: &mut Vec<Line>, first: Verb, found: &Found) {
    let dirties = |line: &Line| line.verb == first || matches!(line.verb, Verb::PteClear | Verb::PteModify);
    if !found.shown.contains(&Verb::FlushTlb) {
        for at in (0..lines.len()).rev().filter(|at| dirties(&lines[*at])).collect::<Vec<_>>() {
            let page = lines[at].page;
            let same = |line: &&Line| line.page == page;
            // Up to the next change of it; if nothing was changed in a way that is seen, a flush anywhere is its.
            let mut behind = lines[at + 1..].iter().filter(same).take_while(|line| !dirties(line));
            if !behind.any(|line| line.verb == Verb::FlushTlb) {
                insert(lines, at + 1, Verb::FlushTlb, page);
            }
        }
    }
    let has = |lines: &[Line], verb: Verb| lines.iter().any(|line| line.verb == verb);
    if has(lines, Verb::Notify) {
        return;
    }
    if !found.shown.contains(&Verb::Notify) {
        for at in (0..lines.len()).rev().filter(|at| lines[*at].verb == Verb::FlushTlb).collect::<Vec<_>>() {
            let page = lines[at].page;
            insert(lines, at + 1, Verb::Notify, page);
        }
    } else if found.ends_notify {
        for at in (0..lines.len()).rev().filter(|at| lines[*at].verb == Verb::NotifyEnd).collect::<Vec<_>>() {
            let page = lines[at].page;
            insert(lines, at, Verb::Notify, page);
        }
    }
}

/// An entry that was emptied is set again before its range ends.
fn set_each_group(lines: &mut Vec<Line>) {
    let mut ends: Vec<usize> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_last =
            lines[at + 1..].iter().all(|later| later.verb == Verb::NotifyEnd || later.verb == Verb::Notify);
        let ends_range = line.verb == Verb::NotifyEnd;
        if ends_range || ends.is_empty() && is_last && !lines.iter().any(|line| line.verb == Verb::NotifyEnd)
        {
            ends.push(if ends_range { at } else { at + 1 });
        }
    }
    for end in ends.into_iter().rev() {
        // Behind what tells of the change, before a notification that is part of the end.
        let behind = lines[..end]
            .iter()
            .rposition(|line| matches!(line.verb, Verb::ChangePte | Verb::FlushTlb | Verb::PteClear));
        let notified = lines[..end].iter().rposition(|line| line.verb == Verb::Notify);
        let at = match (behind, notified) {
            (Some(behind), Some(notified))
                if notified == behind + 1 && lines[behind].verb == Verb::FlushTlb =>
            {
                notified + 1
            }
            (Some(behind), _) => behind + 1,
            (None, _) => end,
        };
        insert(lines, at, Verb::SetPte, 0);
    }
}

/// A range that nobody could see begins first and ends last: one of each page whose entry is changed.
fn ranges(lines: &mut Vec<Line>, found: &Found) {
    let has = |lines: &[Line], verb: Verb| lines.iter().any(|line| line.verb == verb);
    let could_hide = |lines: &[Line], verb: Verb| !found.shown.contains(&verb) && !has(lines, verb);
    if could_hide(lines, Verb::NotifyStart) && !lines.is_empty() {
        let changed = lines.iter().filter(|line| changes(line.verb)).map(|line| line.page);
        let pages: BTreeSet<usize> = changed.chain([0]).collect();
        pages.into_iter().rev().for_each(|page| insert(lines, 0, Verb::NotifyStart, page));
    }
    if could_hide(lines, Verb::NotifyEnd) {
        let is_start = |at: &usize| lines[*at].verb == Verb::NotifyStart;
        let starts: Vec<usize> = (0..lines.len()).filter(is_start).collect();
        let ends: Vec<(usize, usize)> = starts
            .iter()
            .map(|start| {
                // Behind its own steps: ranges that begin at once end at once.
                let next = starts.iter().find(|at| *at > start && !is_start(&(**at - 1)));
                (next.copied().unwrap_or(lines.len()), lines[*start].page)
            })
            .collect();
        ends.into_iter().rev().for_each(|(at, page)| insert(lines, at, Verb::NotifyEnd, page));
    }
}

fn insert(lines: &mut Vec<Line>, at: usize, verb: Verb, page: usize) {
    lines.insert(at, Line { verb, page, placed: true, entry: None });
}

/// The rows from one start of a range to the next.
fn groups(lines: &[Line]) -> Vec<Vec<Line>> {
    let mut groups: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        let only_starts = |group: &Vec<Line>| group.iter().all(|line| line.verb == Verb::NotifyStart);
        match groups.last_mut() {
            Some(group) if line.verb != Verb::NotifyStart || only_starts(group) => group.push(line.clone()),
            Some(_) | None => groups.push(vec![line.clone()]),
        }
    }
    groups
}

/// From the first write of an entry to the last one, the page-table locks are held.
fn write_group(text: &mut String, group: &[Line], shape: Shape, number: usize) {
    let first = group.iter().position(|line| changes(line.verb));
    // An entry that moves may be freed at its new page as soon as that page's lock is released, so kernels flush before.
    let held = |line: &Line| changes(line.verb) || shape == Shape::Move && line.verb != Verb::NotifyEnd;
    let last = group.iter().rposition(held).filter(|_| first.is_some());
    let mut pages: Vec<usize> =
        group.iter().filter(|line| changes(line.verb)).map(|line| line.page).collect();
    pages.sort_unstable();
    pages.dedup();
    let locks = |text: &mut String, word: &str| {
        pages.iter().for_each(|page| text.push_str(&row(&format!("{word} ptl({})", letter(*page)), PLACED)));
    };
    for (at, line) in group.iter().enumerate() {
        if Some(at) == first {
            locks(text, "lock");
        }
        let step = step(line, shape, number);
        text.push_str(&row(&step, if line.placed { PLACED } else { "" }));
        if Some(at) == last {
            locks(text, "unlock");
        }
    }
}

fn row(step: &str, remark: &str) -> String {
    format!("{}\n", format!("  {step:24} {remark}").trim_end())
}

fn step(line: &Line, shape: Shape, group: usize) -> String {
    let page = letter(line.page);
    let name = line.verb.name();
    if line.verb == Verb::PteModify {
        return format!("{name} {page} ro");
    }
    if line.verb != Verb::SetPte {
        return format!("{name} {page}");
    }
    let entry = match shape {
        Shape::Replace => "new rw",
        Shape::Merge if group == 0 => "old ro",
        Shape::Merge => "new ro",
        Shape::Zap | Shape::Protect => "old ro",
        Shape::Move => "old rw",
    };
    format!("{name} {page} -> {}", line.entry.as_deref().unwrap_or(entry))
}
