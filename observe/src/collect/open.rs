//! An operation while its steps come.
//!
//! Invariant: what one step shows by several lines is one row. A notify_start stands where its zap was seen, if that was
//! later than its call. Where a step goes is said by [`place`].

mod place;

use std::collections::BTreeSet;

use ordering::glimpse::whatever_level;
use steps::table::Verb;

use super::span::Interval;
use super::thread::Taken;
use crate::order::{Example, Open, Order, Seen, Who, changes, letter, tells_of_a_change};
use crate::vocabulary::{Spoken, Vocabulary};

use place::{Pages, Place};

/// Rows of an operation at most.
const MOST_ROWS: usize = 48;
/// Frames of a guest at most.
const MOST_GFNS: usize = 32;
/// And that the order may have in the end.
const MOST_CHANGED: usize = 4;
/// Functions beside a row at most.
const MOST_FUNCTIONS: usize = 4;
/// The operation of two halves.
const KSM: &str = "ksm";

/// A row that may still be joined by others.
#[derive(Debug)]
struct Row {
    seen: Seen,
    /// What it does before it ends.
    around: Option<Verb>,
    /// The page of which it is a part only.
    part_of: Option<usize>,
}

/// Who took a step, and what shows it.
#[derive(Clone, Copy)]
struct Shown<'t> {
    who: Who,
    name: &'t str,
    caller: Option<&'t str>,
    around: Option<Verb>,
}

#[derive(Debug, Default)]
pub(super) struct Operation {
    line: u64,
    thread: String,
    label: Option<String>,
    operation: Option<String>,
    /// Only a fault before it has said which operation it is.
    is_guess: bool,
    rows: Vec<Row>,
    pages: Pages,
    gfns: Vec<u64>,
    watched: Option<u64>,
    /// A row of a watchpoint was among its own.
    is_watched: bool,
    /// Line of its last step.
    last: u64,
    is_set: bool,
    range: bool,
    pub(super) cut: bool,
    pub(super) torn: bool,
    pub(super) unsure: bool,
}

impl Operation {
    pub(super) fn new(line: u64, thread: &str, label: Option<String>) -> Self {
        Self { line, thread: thread.to_owned(), label, ..Self::default() }
    }

    pub(super) fn operation(&self) -> Option<&str> {
        self.operation.as_deref()
    }

    /// One of its rows, or the function it is in, says which operation it is; the first one counts.
    pub(super) fn belongs(&mut self, operation: &str) {
        if self.operation.is_none() || self.is_guess {
            self.operation = Some(operation.to_owned());
            self.is_guess = false;
        }
    }

    /// The fault before it suggests an operation. A system call may have begun since, which no line shows.
    pub(super) fn may_belong(&mut self, operation: &str) {
        if self.operation.is_none() {
            self.operation = Some(operation.to_owned());
            self.is_guess = true;
        }
    }

    /// Whether nothing that it has changed is left to be flushed, as far as that is seen.
    pub(super) fn is_settled(&self) -> bool {
        !self.pages.is_unflushed() || self.is_set && !self.range
    }

    /// Whether a range has begun and not ended, inside of which nothing can end. Where a trace shows only some starts, an end may
    /// be unseen, and a range that has done more than to begin may be over.
    pub(super) fn is_inside(&self, starts_shown: bool) -> bool {
        let only_begun = self.rows.iter().all(|row| row.seen.verb == Verb::NotifyStart);
        self.range && (starts_shown || only_begun)
    }

    /// The line of its last step.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether it has done no more than to begin the range that is named.
    pub(super) fn is_in_start_of(&self, range: Option<(u64, u64)>) -> bool {
        let begins = self.rows.iter().all(|row| row.seen.verb == Verb::NotifyStart);
        let same = |range| self.pages.range(0).is_none_or(|known| known == range);
        begins && range.is_none_or(same)
    }

    /// Whether functions, or what somebody has written, say that it is KSM's.
    pub(super) fn is_ksm(&self, vocabulary: &Vocabulary) -> bool {
        let called = || self.label.as_deref().and_then(|label| vocabulary.named_in(label));
        match self.operation() {
            Some(id) => id == KSM,
            None => called().is_some_and(|one| one.id == KSM),
        }
    }

    /// Whether another is the second half of a merge of which this is the first.
    pub(super) fn goes_on_with(&self, other: &Self) -> bool {
        self.pages.range(0).is_some() && self.pages.range(0) == other.pages.range(0)
    }

    pub(super) fn joined(mut self, other: Self) -> Self {
        let numbers = self.pages.go_on_with(&other.pages);
        let number = |page: Option<usize>| page.and_then(|page| numbers.get(page).copied().flatten());
        for Row { mut seen, around, part_of } in other.rows {
            seen.page = number(seen.page);
            self.rows.push(Row { seen, around, part_of: number(part_of) });
        }
        Self {
            operation: self.operation.or(other.operation),
            range: other.range,
            cut: other.cut,
            unsure: self.unsure || other.unsure,
            is_watched: self.is_watched || other.is_watched,
            watched: self.watched.or(other.watched),
            ..self
        }
    }

    /// Whether a vCPU that maps a page again maps one of its own.
    pub(super) fn meets_walk(&self, gfn: Option<u64>, watched: Option<u64>) -> bool {
        match gfn {
            Some(gfn) => self.gfns.contains(&gfn),
            None => watched.is_some_and(|address| self.pages.page_of(address).is_some()),
        }
    }

    /// A vCPU maps its page again.
    pub(super) fn walked(&mut self, function: &str) {
        let walk = Spoken { verb: Verb::Walk, text: "walk A".to_owned() };
        let shown = Shown { who: Who::Vcpu, name: function, caller: None, around: None };
        self.push(&walk, (Some(0), None), shown);
    }

    /// Takes the steps of a row.
    pub(super) fn steps(
        &mut self,
        steps: &[&Spoken],
        around: Option<Verb>,
        range: Option<Interval>,
        taken: &Taken<'_>,
    ) {
        let name = &*taken.event.name;
        let is_watch = name.starts_with("pte@");
        self.last = taken.line;
        self.is_watched |= is_watch;
        self.watched = self.watched.or(taken.watched);
        let watched = taken.watched.filter(|_| is_watch);
        let range = range.or_else(|| watched.map(|page| (page, page.saturating_add(0x1000))));
        // A range of which only the beginning is said may go on.
        let is_endless = taken.event.number("start").is_some() && taken.event.number("end").is_none();
        let own = self.range_of(steps, taken.event.caller);
        let known = |verb: Verb| range.or(own).filter(|_| !(is_endless && verb == Verb::NotifyStart));
        let placed: Vec<(&Spoken, Vec<Place>)> =
            steps.iter().map(|step| (*step, self.pages.places(step.verb, known(step.verb)))).collect();
        let whole = self.pages.completed();
        self.rows.retain(|row| !row.part_of.is_some_and(|page| whole.contains(&(row.seen.verb, page))));
        if self.repeats(&placed, name) {
            return;
        }
        let shown = Shown { who: Who::Operator, name, caller: taken.event.caller, around };
        for (step, places) in &placed {
            let verb = whatever_level(step.verb);
            if matches!(verb, Verb::ZapSpte | Verb::FlushVcpus) {
                self.zapped(taken.row.gfn(taken.event), name);
            } else if verb == Verb::SetPte && self.commits() {
                self.name_last(name);
            } else {
                places.iter().for_each(|place| self.push(step, *place, shown));
            }
        }
    }

    /// The range that an end without an address ends, which is the last one that has begun; and that of who is told inside of it.
    fn range_of(&self, steps: &[&Spoken], caller: Option<&str>) -> Option<Interval> {
        let verb = steps.first().map(|step| whatever_level(step.verb))?;
        let own = |row: &&Row| row.seen.who == Who::Operator;
        let row = match verb {
            Verb::NotifyEnd => self.rows.iter().rev().find(|row| row.seen.verb == Verb::NotifyStart)?,
            Verb::Notify => {
                let last = self.rows.iter().rev().find(own)?;
                let is_inside = |end: &String| caller.is_some_and(|caller| caller == end);
                let is_end = last.around == Some(verb) && last.seen.functions.iter().any(is_inside);
                is_end.then_some(last)?
            }
            _other => return None,
        };
        self.pages.range(row.seen.page?)
    }

    /// Whether a flush that tells the devices, too, is seen once more: of the same pages.
    fn repeats(&mut self, placed: &[(&Spoken, Vec<Place>)], name: &str) -> bool {
        let is_own = |at: &usize| self.rows[*at].seen.who == Who::Operator;
        let mut own = (0..self.rows.len()).filter(is_own).rev().peekable();
        let mut same = Vec::new();
        for (step, places) in placed.iter().rev() {
            let verb = whatever_level(step.verb);
            let rows: Vec<usize> =
                std::iter::from_fn(|| own.next_if(|at| self.rows[*at].seen.verb == verb)).collect();
            let has = |page: Option<usize>| {
                let fits = |known: Option<usize>| known.is_none() || page.is_none() || known == page;
                rows.iter().any(|at| fits(self.rows[*at].seen.page))
            };
            if !places.iter().all(|(page, _)| has(*page)) {
                return false;
            }
            same.extend(rows);
        }
        let is_pair = placed.len() > 1;
        if is_pair {
            same.iter().for_each(|at| add(&mut self.rows[*at].seen.functions, name));
        }
        is_pair
    }

    /// Whether a write of an entry is the second half of the change of its bits.
    fn commits(&self) -> bool {
        let last = self.rows.iter().rev().find(|row| row.seen.who == Who::Operator);
        last.is_some_and(|row| row.seen.verb == Verb::PteModify)
    }

    fn name_last(&mut self, name: &str) {
        let last = self.rows.iter_mut().rev().find(|row| row.seen.who == Who::Operator);
        last.into_iter().for_each(|row| add(&mut row.seen.functions, name));
    }

    /// KVM's entry goes, or its flush comes: that is what the start of the range is for.
    fn zapped(&mut self, gfn: Option<u64>, name: &str) {
        let new = gfn.filter(|gfn| !self.gfns.contains(gfn) && self.gfns.len() < MOST_GFNS);
        self.gfns.extend(new);
        let start = |rows: &[Row]| rows.iter().rposition(|row| row.seen.verb == Verb::NotifyStart);
        let Some(mut at) = start(&self.rows) else { return };
        if self.range && self.rows[at + 1..].iter().any(|row| row.seen.who == Who::Operator) {
            let mut row = self.rows.remove(at);
            row.seen.late = true;
            self.rows.push(row);
            at = self.rows.len() - 1;
        }
        add(&mut self.rows[at].seen.functions, name);
    }

    fn push(&mut self, step: &Spoken, (page, part_of): Place, shown: Shown<'_>) {
        let verb = whatever_level(step.verb);
        let Shown { who, name, caller, around } = shown;
        if who == Who::Operator {
            self.range = (self.range || verb == Verb::NotifyStart) && verb != Verb::NotifyEnd;
            self.is_set = (self.is_set || verb == Verb::SetPte) && verb != Verb::PteClear;
        }
        let last = self.rows.iter().rposition(|row| row.seen.who == who);
        if let Some(last) = last.filter(|at| self.rows[*at].seen.verb == verb) {
            let seen = &mut self.rows[last].seen;
            // A migration entry and the new frame behind it are two writes, even if nothing was seen between them.
            let is_one = verb != Verb::SetPte || seen.text == step.text;
            if is_one && (seen.page.is_none() || page.is_none() || seen.page == page) {
                seen.page = seen.page.or(page);
                add(&mut seen.functions, name);
                return;
            }
        }
        if self.rows.len() >= MOST_ROWS {
            self.unsure = true;
            return;
        }
        let functions = vec![name.to_owned()];
        let inside = last.filter(|at| self.rows[*at].around == Some(verb)).filter(|at| {
            // Whom somebody else calls, behind the end, is not inside of it.
            let ends = self.rows[*at].seen.functions.iter();
            caller.is_none_or(|caller| caller.starts_with("mn_") || ends.into_iter().any(|end| end == caller))
        });
        // Without its caller it is seen behind the call of the end, and may be inside of it.
        let late = inside.is_some() && caller.is_none();
        let seen = Seen { who, verb, page, text: step.text.clone(), functions, late };
        self.rows.insert(inside.unwrap_or(self.rows.len()), Row { seen, around, part_of });
    }

    /// The order, and where it was seen; none if no change was seen.
    pub(super) fn finish(self, vocabulary: &Vocabulary) -> Option<(Order, Example)> {
        let tells = |row: &Row| row.seen.who == Who::Operator && tells_of_a_change(row.seen.verb);
        if !self.rows.iter().any(tells) {
            return None;
        }
        let pages = self.changed();
        let changed = pages.len();
        let number = |page: Option<usize>| match page {
            Some(page) => pages.iter().position(|kept| *kept == page),
            // If there is one, it is that.
            None => (pages.len() <= 1).then_some(0),
        };
        let kept = |row: &&Row| row.seen.page.is_none_or(|page| pages.contains(&page));
        let row = |row: &Row| {
            let page = number(row.seen.page);
            Seen { page, text: of_page(&row.seen.text, page), ..row.seen.clone() }
        };
        let rows: Vec<Seen> = self.rows.iter().filter(kept).map(row).collect();
        let watched = match (self.is_watched, self.watched) {
            (false, _) => None,
            (true, Some(address)) => self.pages.page_of(address).and_then(|page| number(Some(page))),
            (true, None) => Some(0),
        };
        let called = self.label.as_deref().filter(|_| self.is_of_label());
        let called = called.and_then(|label| vocabulary.named_in(label)).map(|one| one.id.clone());
        let pages = pages.iter().filter_map(|page| self.pages.range(*page)).collect();
        let (unflushed, cut, range) = (self.pages.is_unflushed(), self.cut, self.range);
        let unsure = self.unsure || self.pages.full || changed > MOST_CHANGED;
        let open = Open { cut, torn: self.torn, unflushed: cut && unflushed, range: cut && range, unsure };
        let watched = watched.into_iter().collect();
        let order = Order { operation: self.operation, called, rows, watched, open };
        Some((order, Example { line: self.line, thread: self.thread, label: self.label, pages }))
    }

    /// Whether what somebody has written can be meant of it. Where a page is watched, that is done to this page; KSM's thread
    /// does nothing but merge.
    fn is_of_label(&self) -> bool {
        let is_ksmd = self.thread.starts_with("ksmd");
        is_ksmd
            || self.pages.len() == 0
            || self.watched.is_none_or(|address| self.pages.page_of(address).is_some())
    }

    /// The pages that are more than a part of a range, in their order; all of them if no step says of which it is.
    fn changed(&self) -> Vec<usize> {
        let numbers: BTreeSet<usize> = self.rows.iter().filter_map(|row| row.seen.page).collect();
        let any = |page: usize, is: fn(Verb) -> bool| {
            self.rows.iter().any(|row| row.seen.page == Some(page) && is(row.seen.verb))
        };
        if !numbers.iter().any(|page| any(*page, changes)) {
            return numbers.into_iter().collect();
        }
        // The range in which the first change happens is part of it.
        let first = self.rows.iter().position(|row| changes(row.seen.verb));
        let before = &self.rows[..first.unwrap_or_default()];
        let start = before.iter().rev().find(|row| row.seen.verb == Verb::NotifyStart);
        let around = start.and_then(|row| row.seen.page);
        numbers.into_iter().filter(|page| Some(*page) == around || any(*page, tells_of_a_change)).collect()
    }
}

fn add(functions: &mut Vec<String>, name: &str) {
    if functions.len() < MOST_FUNCTIONS && !functions.iter().any(|known| known == name) {
        functions.push(name.to_owned());
    }
}

/// The step of page A as one of that page.
fn of_page(text: &str, page: Option<usize>) -> String {
    let Some(page) = page.filter(|page| *page > 0) else { return text.to_owned() };
    let named = |word: &str| if word == "A" { letter(page).to_string() } else { word.to_owned() };
    text.split(' ').map(named).collect::<Vec<_>>().join(" ")
}
