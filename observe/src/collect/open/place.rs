//! Which page a step is of: the addresses that it names, held against those whose entries were changed.
//!
//! Invariant: a flush is one of a page only if nothing that was changed of the page is outside of it, or of what was flushed
//! since. One that leaves something is a page of its own.

use ordering::glimpse::whatever_level;
use steps::table::Verb;

use crate::collect::span::{Interval, Span, contains, meet};

/// Pages of an operation at most.
const MOST_PAGES: usize = 32;
/// Bytes of what an upper entry maps.
const HUGE: u64 = 1 << 21;

/// The number of a page, if that is seen, and the page of which a flush takes a part only.
pub(super) type Place = (Option<usize>, Option<usize>);

/// A page, or the range of several that somebody has announced.
#[derive(Debug, Default)]
struct Page {
    range: Interval,
    /// What was changed of it.
    touched: Span,
    unflushed: Span,
    unnotified: Span,
}

impl Page {
    fn left(&mut self, verb: Verb) -> &mut Span {
        if verb == Verb::FlushTlb { &mut self.unflushed } else { &mut self.unnotified }
    }
}

/// The pages of an operation.
#[derive(Debug, Default)]
pub(super) struct Pages {
    all: Vec<Page>,
    /// An entry was changed, it is not seen which, and nothing was flushed since.
    blind: bool,
    /// There were more than are kept.
    pub(super) full: bool,
    /// Of which of them the last flush took all that parts had left.
    whole: Vec<(Verb, usize)>,
}

impl Pages {
    pub(super) fn range(&self, number: usize) -> Option<Interval> {
        self.all.get(number).map(|page| page.range)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether something is changed and not flushed.
    pub(super) fn is_unflushed(&self) -> bool {
        self.blind || self.all.iter().any(|page| !page.unflushed.is_empty())
    }

    /// The same operation goes on with others.
    pub(super) fn go_on_with(&mut self, other: &Self) -> Vec<Option<usize>> {
        self.blind |= other.blind;
        self.full |= other.full;
        other.all.iter().map(|page| self.page(page.range)).collect()
    }

    /// The pages whose flush is whole since this was asked last: parts of it are one with that.
    pub(super) fn completed(&mut self) -> Vec<(Verb, usize)> {
        std::mem::take(&mut self.whole)
    }

    /// The pages of a step that names these addresses, or none.
    pub(super) fn places(&mut self, exact: Verb, range: Option<Interval>) -> Vec<Place> {
        let verb = whatever_level(exact);
        match (verb, range) {
            (Verb::FlushTlb | Verb::Notify, None) => self.all_left(verb),
            (Verb::FlushTlb | Verb::Notify, Some(range)) => self.covered(verb, range),
            (_other, None) => {
                self.blind |= is_left_behind(verb);
                vec![(None, None)]
            }
            (_other, Some(range)) => vec![(self.touched(exact, range), None)],
        }
    }

    /// The page of a step that may change an entry.
    fn touched(&mut self, exact: Verb, range: Interval) -> Option<usize> {
        let is_upper = matches!(exact, Verb::PmdClear | Verb::PmdModify | Verb::SetPmd);
        let first = range.0 & !(HUGE - 1);
        let range = if is_upper { (first, first.saturating_add(HUGE)) } else { range };
        let page = self.page(range);
        if let Some(page) = page.filter(|_| is_left_behind(whatever_level(exact))) {
            let Page { touched, unflushed, unnotified, .. } = &mut self.all[page];
            let mut all = [touched, unflushed, unnotified].into_iter();
            self.full |= !all.all(|span| span.add(range));
        }
        page
    }

    /// A flush without an address is one of everything that is left.
    fn all_left(&mut self, verb: Verb) -> Vec<Place> {
        self.blind &= verb != Verb::FlushTlb;
        let mut all = Vec::new();
        for (number, page) in self.all.iter_mut().enumerate() {
            let left = page.left(verb);
            if !left.is_empty() {
                left.clear();
                self.whole.push((verb, number));
                all.push((Some(number), None));
            }
        }
        if all.is_empty() { vec![(None, None)] } else { all }
    }

    /// The pages of which nothing is left behind a flush of these addresses.
    fn covered(&mut self, verb: Verb, range: Interval) -> Vec<Place> {
        let (mut all, mut part) = (Vec::new(), None);
        for (number, page) in self.all.iter_mut().enumerate() {
            let left = page.left(verb);
            if !left.meets(range) {
                continue;
            }
            left.remove(range);
            if left.is_empty() {
                self.whole.push((verb, number));
                all.push((Some(number), None));
            } else {
                part = Some(number);
            }
        }
        if !all.is_empty() {
            return all;
        }
        if part.is_none() {
            // Again, or before anything was changed, or of entries whose change is not seen: then these may be all of them.
            let again = |page: &Page| match page.touched.is_empty() {
                true => meet(page.range, range),
                false => page.touched.is_within(range),
            };
            if let Some(number) = self.all.iter().position(again) {
                self.blind &= verb != Verb::FlushTlb;
                return vec![(Some(number), None)];
            }
            self.blind &= verb != Verb::FlushTlb || !self.all.is_empty();
        }
        let same = self.all.iter().position(|page| page.range == range);
        let number = same.or_else(|| self.add(range));
        vec![(number, part)]
    }

    pub(super) fn page_of(&self, address: u64) -> Option<usize> {
        self.all.iter().position(|page| (page.range.0..page.range.1).contains(&address))
    }

    /// The number of the page with these addresses, a new one perhaps.
    fn page(&mut self, range: Interval) -> Option<usize> {
        let known = self.all.iter().position(|page| contains(page.range, range));
        known.or_else(|| self.add(range))
    }

    fn add(&mut self, range: Interval) -> Option<usize> {
        if self.all.len() >= MOST_PAGES {
            self.full = true;
            return None;
        }
        self.all.push(Page { range, ..Page::default() });
        Some(self.all.len() - 1)
    }
}

/// Whether somebody may remember what the entry was.
fn is_left_behind(verb: Verb) -> bool {
    matches!(verb, Verb::PteClear | Verb::PteModify)
}
