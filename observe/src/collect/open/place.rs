//! Which page a step is of: the addresses that it names, held against those whose entries were changed.
//!
//! Invariant: a flush is one of a page only if nothing that was changed of the page is outside of it, or of what was flushed
//! since. One that leaves something is a page of its own.

use ordering::glimpse::whatever_level;
use steps::table::Verb;

use super::Operation;
use crate::collect::span::{Interval, Span, contains, meet};

/// Pages of an operation at most.
const MOST_PAGES: usize = 32;
/// Bytes of what an upper entry maps.
const HUGE: u64 = 1 << 21;

/// The number of a page, if that is seen, and the page of which a flush takes a part only.
pub(super) type Place = (Option<usize>, Option<usize>);

/// A page, or the range of several that somebody has announced.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) range: Interval,
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

impl Operation {
    /// Whether something is changed and not flushed.
    pub(super) fn is_unflushed(&self) -> bool {
        self.blind || self.pages.iter().any(|page| !page.unflushed.is_empty())
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
            (_other, Some(range)) => {
                let is_upper = matches!(exact, Verb::PmdClear | Verb::PmdModify | Verb::SetPmd);
                let first = range.0 & !(HUGE - 1);
                let range = if is_upper { (first, first.saturating_add(HUGE)) } else { range };
                let page = self.page(range);
                if let Some(page) = page.filter(|_| is_left_behind(verb)) {
                    let Page { touched, unflushed, unnotified, .. } = &mut self.pages[page];
                    let mut all = [touched, unflushed, unnotified].into_iter();
                    self.unsure |= !all.all(|span| span.add(range));
                }
                vec![(page, None)]
            }
        }
    }

    /// A flush without an address is one of everything that is left.
    fn all_left(&mut self, verb: Verb) -> Vec<Place> {
        self.blind &= verb != Verb::FlushTlb;
        let mut all = Vec::new();
        for number in 0..self.pages.len() {
            let left = self.pages[number].left(verb);
            if !left.is_empty() {
                left.clear();
                self.completes(verb, number);
                all.push((Some(number), None));
            }
        }
        if all.is_empty() { vec![(None, None)] } else { all }
    }

    /// The pages of which nothing is left behind a flush of these addresses.
    fn covered(&mut self, verb: Verb, range: Interval) -> Vec<Place> {
        let (mut all, mut part) = (Vec::new(), None);
        for number in 0..self.pages.len() {
            let left = self.pages[number].left(verb);
            if !left.meets(range) {
                continue;
            }
            left.remove(range);
            if left.is_empty() {
                self.completes(verb, number);
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
            if let Some(number) = self.pages.iter().position(again) {
                self.blind &= verb != Verb::FlushTlb;
                return vec![(Some(number), None)];
            }
            self.blind &= verb != Verb::FlushTlb || !self.pages.is_empty();
        }
        let same = self.pages.iter().position(|page| page.range == range);
        let number = same.or_else(|| self.add_page(range));
        vec![(number, part)]
    }

    /// Parts of a flush of the page are one with what ends it.
    fn completes(&mut self, verb: Verb, page: usize) {
        self.rows.retain(|row| row.seen.verb != verb || row.part_of != Some(page));
    }

    pub(super) fn page_of(&self, address: u64) -> Option<usize> {
        self.pages.iter().position(|page| (page.range.0..page.range.1).contains(&address))
    }

    /// The number of the page with these addresses, a new one perhaps.
    pub(super) fn page(&mut self, range: Interval) -> Option<usize> {
        let known = self.pages.iter().position(|page| contains(page.range, range));
        known.or_else(|| self.add_page(range))
    }

    fn add_page(&mut self, range: Interval) -> Option<usize> {
        if self.pages.len() >= MOST_PAGES {
            self.unsure = true;
            return None;
        }
        self.pages.push(Page { range, ..Page::default() });
        Some(self.pages.len() - 1)
    }
}

/// Whether somebody may remember what the entry was.
fn is_left_behind(verb: Verb) -> bool {
    matches!(verb, Verb::PteClear | Verb::PteModify)
}
