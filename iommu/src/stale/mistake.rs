//! What the author of the driver is to be told: of all that a report lists, the one thing to mend.
//!
//! Invariant: a mistake is named only if an invalidation was meant for the page or the interrupt entry; of many the nearest
//! to being right, and of equals the last. What flushed other pages, or all of a domain or process that others use, is no
//! mistake, but work for somebody else: such a one is mentioned at most.

use std::fmt;

use crate::spec::descriptor::Descriptor;
use crate::spec::descriptor::words::InWords;
use crate::stale::in_place::ChangedInPlace;
use crate::stale::interrupt::StaleInterrupt;
use crate::stale::{Kind, Meant, Missed, StaleUse, Why};

/// The one thing to mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake<'a> {
    /// Nothing was invalidated for it. What came instead is not known to have been meant for it.
    NothingInvalidated(Thing, Option<&'a Missed>),
    /// The entry that it rests on was read while software changed it piece by piece.
    ChangedInPlace(&'a ChangedInPlace),
    /// The right invalidations are queued, and no wait behind them.
    NotWaitedFor,
    /// The right invalidations are queued, and a wait behind them that is not over.
    WaitNotOver(Thing),
    /// An invalidation was meant for the page and did not help.
    Missed(&'a StaleUse, &'a Missed),
    /// An invalidation was meant for the interrupt entry and did not help.
    MissedEntry(&'a StaleInterrupt, &'a Missed),
}

/// What was stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thing {
    /// The translation of a page.
    Page,
    /// A context or PASID entry that leads to no tables.
    TableEntry,
    /// An interrupt remapping entry.
    InterruptEntry,
}

impl StaleUse {
    /// What to mend.
    #[must_use]
    pub fn mistake(&self) -> Mistake<'_> {
        if let Some(change) = &self.in_place {
            return Mistake::ChangedInPlace(change);
        }
        if matches!(self.remedy[..], [Descriptor::Wait(_)]) {
            return Mistake::unfinished(self.thing(), &self.queued);
        }
        // What came behind the use is for a later change, if anything before was for this one.
        let nearest = self.nearest(self.used.event).or_else(|| self.nearest(u64::MAX));
        match nearest {
            Some(missed) => Mistake::Missed(self, missed),
            None => {
                let instead = self.received.iter().rfind(|missed| missed.meant == Meant::Perhaps);
                Mistake::NothingInvalidated(self.thing(), instead)
            }
        }
    }

    const fn thing(&self) -> Thing {
        match self.kind {
            Kind::Translation | Kind::Refusal | Kind::Table(_) => Thing::Page,
            Kind::NoRoute => Thing::TableEntry,
        }
    }

    /// Of what came before that event, what was the nearest to being right.
    fn nearest(&self, until: u64) -> Option<&Missed> {
        let came = self.received.iter().filter(|missed| missed.at.event < until);
        let ranked = came.filter_map(|missed| Some((self.nearness(missed)?, missed)));
        ranked.max_by_key(|(nearness, _)| *nearness).map(|(_, missed)| missed)
    }

    /// How near an invalidation was to being right; none if it was meant for something else.
    fn nearness(&self, missed: &Missed) -> Option<u32> {
        if missed.meant != Meant::ForThis {
            return None;
        }
        match self.why(missed) {
            Why::NotCarriedOut => Some(9),
            Why::BeforeIotlb => Some(8),
            Why::HintSet => Some(7),
            Why::TableEntryKept => Some(6),
            Why::IotlbOnly if self.is_device_told() => Some(1),
            Why::IotlbOnly => Some(5),
            Why::OtherPasid => Some(4),
            Why::OtherDomain => Some(3),
            Why::DeviceTlbOnly => Some(2),
            Why::TableEntriesOnly => Some(1),
            // Other pieces of the large page that changed.
            Why::OtherPages => Some(0),
            Why::OtherDevice | Why::OtherEntries | Why::EntriesOfTheirOwn => None,
        }
    }

    /// Whether the device was told something, which was meant for this and did not help.
    fn is_device_told(&self) -> bool {
        let is_for_device = |missed: &&Missed| matches!(missed.invalidation, Descriptor::DeviceTlb(_));
        let mut told = self.received.iter().filter(is_for_device);
        told.any(|missed| missed.meant == Meant::ForThis && missed.why == Why::OtherPasid)
    }

    /// Why it did not help. That it came too early is no mistake where nothing came behind it.
    fn why(&self, missed: &Missed) -> Why {
        // What came right behind the use was on its way.
        let is_of_use = |it: &Missed| it.at.event <= self.used.event;
        // The device took the translation between the two.
        let is_iotlb_told =
            || self.received.iter().any(|it| it.why == Why::IotlbOnly && is_of_use(it) == is_of_use(missed));
        match missed.why {
            Why::BeforeIotlb if !is_iotlb_told() => Why::DeviceTlbOnly,
            why => why,
        }
    }
}

impl StaleInterrupt {
    /// What to mend.
    #[must_use]
    pub fn mistake(&self) -> Mistake<'_> {
        if matches!(self.remedy, Descriptor::Wait(_)) {
            return Mistake::unfinished(Thing::InterruptEntry, &self.queued);
        }
        let ranked = self.received.iter().filter_map(|missed| Some((self.nearness(missed)?, missed)));
        match ranked.max_by_key(|(nearness, _)| *nearness) {
            Some((_, missed)) => Mistake::MissedEntry(self, missed),
            None => Mistake::NothingInvalidated(Thing::InterruptEntry, None),
        }
    }

    /// As for translations: who names this entry was nearer than who names others by mistake.
    fn nearness(&self, missed: &Missed) -> Option<u32> {
        match (missed.meant, missed.why) {
            (Meant::ForThis, Why::OtherEntries) => Some(1),
            (Meant::ForThis, _) => Some(2),
            (Meant::Perhaps | Meant::ForOthers, _) => None,
        }
    }
}

impl Mistake<'_> {
    /// The right invalidations are `queued`.
    fn unfinished(thing: Thing, queued: &[Descriptor]) -> Self {
        let is_waited_for = queued.iter().any(|queued| matches!(queued, Descriptor::Wait(_)));
        if is_waited_for { Self::WaitNotOver(thing) } else { Self::NotWaitedFor }
    }

    /// In one word, for tools.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NothingInvalidated(..) => "nothing-invalidated",
            Self::ChangedInPlace(_) => "changed-in-place",
            Self::NotWaitedFor => "not-waited-for",
            Self::WaitNotOver(_) => "wait-not-over",
            Self::Missed(stale, missed) => match stale.why(missed) {
                // Of those of other pages only these are named.
                Why::OtherPages => "part-of-large-page",
                why => name(why),
            },
            Self::MissedEntry(_, missed) => name(missed.why),
        }
    }
}

const fn name(why: Why) -> &'static str {
    match why {
        Why::OtherDomain => "other-domain",
        Why::OtherPasid => "other-pasid",
        Why::OtherPages => "other-pages",
        Why::OtherDevice => "other-device",
        Why::OtherEntries => "other-entries",
        Why::EntriesOfTheirOwn => "entries-of-their-own",
        Why::DeviceTlbOnly => "iotlb-forgotten",
        Why::IotlbOnly => "device-tlb-forgotten",
        Why::BeforeIotlb => "device-tlb-first",
        Why::HintSet => "hint-set",
        Why::TableEntryKept => "table-entry-kept",
        Why::TableEntriesOnly => "translations-kept",
        Why::NotCarriedOut => "not-carried-out",
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page => "page",
            Self::TableEntry => "cached table entry",
            Self::InterruptEntry => "interrupt entry",
        })
    }
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingInvalidated(thing, instead) => {
                write!(f, "nothing was invalidated for the {thing}")?;
                let Some(missed) = instead else { return Ok(()) };
                write!(f, "; what came is \"{}\": {}", InWords(&missed.invalidation), missed.why)
            }
            Self::ChangedInPlace(change) => write_in_place(f, change),
            Self::NotWaitedFor => {
                f.write_str("the invalidation is queued and nothing waits for it: it was not carried out yet")
            }
            Self::WaitNotOver(thing) => write!(
                f,
                "the invalidation is queued, and the {thing} was used before the wait behind it was over"
            ),
            Self::Missed(stale, missed) => write_missed(f, stale, missed),
            Self::MissedEntry(stale, missed) => write_missed_entry(f, stale, missed),
        }
    }
}

fn write_missed(f: &mut fmt::Formatter<'_>, stale: &StaleUse, missed: &Missed) -> fmt::Result {
    write!(f, "\"{}\" ", InWords(&missed.invalidation))?;
    let table = stale.change.table;
    match stale.why(missed) {
        Why::OtherDomain if stale.kind == Kind::NoRoute => {
            write!(f, "names another domain; what leads to no table is cached in {}", stale.space.domain)
        }
        Why::OtherDomain => write!(f, "names another domain; the translation belongs to {}", stale.space.domain),
        Why::OtherPasid => match stale.space.pasid {
            Some(pasid) => write!(f, "names another process; the translation belongs to {pasid}"),
            None => f.write_str("names a process; the translation belongs to the whole domain"),
        },
        Why::HintSet => write!(f, "has IH set, which promises that only leaves changed, and a {table} changed"),
        Why::BeforeIotlb => f.write_str(
            "came before the IOTLB's: the device took the old translation again; its TLB is to be invalidated last",
        ),
        Why::IotlbOnly => f.write_str("came alone: the device keeps translations itself, and was not told behind it"),
        Why::DeviceTlbOnly => f.write_str("reached the device; the IOTLB was not told before it"),
        Why::TableEntryKept => write!(f, "came without one for the cached copy of the {table} that changed"),
        Why::TableEntriesOnly => {
            write!(f, "came without one for the translations that rest on the {table}")
        }
        Why::NotCarriedOut => f.write_str("was not carried out, or not answered yet"),
        Why::OtherPages => write!(
            f,
            "names only some of the pages that the {table} mapped; a large page may be cached in pieces"
        ),
        Why::OtherDevice | Why::OtherEntries | Why::EntriesOfTheirOwn => {
            f.write_str("was meant for something else")
        }
    }
}

fn write_in_place(f: &mut fmt::Formatter<'_>, change: &ChangedInPlace) -> fmt::Result {
    write!(f, "the {} at {} was changed while it was present, word by word (", change.entry, change.place)?;
    for (number, word) in change.words().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(f, "{comma}{word}: {:#x} -> {:#x}", change.old[word], change.new[word])?;
    }
    f.write_str("), and read in between: neither the old nor the new entry. Clear P, invalidate, wait, then write the rest")
}

fn write_missed_entry(f: &mut fmt::Formatter<'_>, stale: &StaleInterrupt, missed: &Missed) -> fmt::Result {
    write!(f, "\"{}\" ", InWords(&missed.invalidation))?;
    match missed.why {
        Why::OtherEntries => {
            write!(f, "names other entries; the interrupt came through entry {}", stale.index)
        }
        Why::NotCarriedOut => f.write_str("was not carried out"),
        Why::OtherDomain
        | Why::OtherPasid
        | Why::OtherPages
        | Why::EntriesOfTheirOwn
        | Why::OtherDevice
        | Why::DeviceTlbOnly
        | Why::IotlbOnly
        | Why::BeforeIotlb
        | Why::HintSet
        | Why::TableEntryKept
        | Why::TableEntriesOnly => f.write_str("was meant for something else"),
    }
}

#[cfg(test)]
mod tests;
