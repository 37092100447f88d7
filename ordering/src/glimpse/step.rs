//! What of a step can be seen from outside: what it does, and to which page.

use steps::step::{Emptied, EntryAt, Pages, Range};
use steps::table::Verb;
use steps::{Invalidation, Step};

use crate::lowering::{Numbers, PageId};

/// Steps that are another one at another level, or of more at once.
const LEVELS: [(Verb, Verb); 9] = [
    (Verb::FlushTlbMm, Verb::FlushTlb),
    (Verb::FlushPmd, Verb::FlushTlb),
    (Verb::FlushTag, Verb::FlushTlb),
    (Verb::NotifyMm, Verb::Notify),
    (Verb::NotifyPmd, Verb::Notify),
    (Verb::PmdClear, Verb::PteClear),
    (Verb::SetPmd, Verb::SetPte),
    (Verb::PmdModify, Verb::PteModify),
    (Verb::PmdRead, Verb::PteRead),
];

/// A step on an entry or a cache, whatever the level of the page table and however much it takes at once: `flush_pmd`,
/// `flush_tlb_mm` and `flush_tag` are flushes.
#[must_use]
pub fn whatever_level(verb: Verb) -> Verb {
    LEVELS.iter().find(|(of, _)| *of == verb).map_or(verb, |(_, as_one)| *as_one)
}

/// Whether it writes an entry of a page table.
pub(super) fn writes_entry(verb: Verb) -> bool {
    matches!(verb, Verb::PteClear | Verb::SetPte | Verb::PteModify)
}

/// The page that it names, the first of several; none if it names none, or an upper entry.
pub(super) fn page(step: &Step<Numbers>) -> Option<PageId> {
    if let Step::Entry(EntryAt::Pte(page), _) | Step::ChangePte(page) = step {
        return Some(*page);
    }
    if let Step::NotifyStart(pages) | Step::NotifyEnd(pages) = step {
        return Some(first(pages));
    }
    let Step::Invalidate(Invalidation { emptied, .. }) = step else { return None };
    if let Emptied::CpusUnder(pages, ..) = emptied {
        return Some(first(pages));
    }
    // Nothing of the others is seen with its page.
    let (Emptied::Cpus(range) | Emptied::Devices(range)) = emptied else { return None };
    match range {
        Range::Page(page, _) | Range::Pages(page, _, _) => Some(*page),
        Range::Under(..) | Range::Mm(_) => None,
    }
}

fn first(pages: &Pages<Numbers>) -> PageId {
    match pages {
        Pages::One(page) | Pages::To(page, _) => *page,
    }
}
