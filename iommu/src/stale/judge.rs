//! Why an invalidation did not take a translation away, and which would have.
//!
//! Invariant: the verdicts use the very functions that carry invalidations out
//! ([`extent`]), so they cannot disagree with what the unit did.

use mmu::address::{PageSize, VirtAddr, VirtRange};
use pcie::Requester;

use crate::spec::descriptor::{
    ContextScope, Descriptor, DevicePasid, DeviceScope, DeviceSpan, EntryScope, Hint, IotlbScope, PageSpan,
    PasidScope, Wait,
};
use crate::stale::watch::{Received, Since};
use crate::stale::{Change, Holder, Meant, Missed, Why};
use crate::vtd::{Extent, SpaceKey, StageKind, Table, extent};

/// A stale translation.
#[derive(Clone, Copy, Debug)]
pub(super) struct StaleEntry {
    pub(super) requester: Requester,
    pub(super) space: SpaceKey,
    pub(super) page: VirtAddr,
    pub(super) size: PageSize,
    pub(super) holder: Holder,
    /// Event of its fill.
    pub(super) filled: u64,
    pub(super) change: Change,
    /// Whether it says that there is nothing: no table leads on from that.
    pub(super) is_absence: bool,
    /// Whether it is that the requester has no tables: nothing rests on it, and the entries on the way are all of it.
    pub(super) is_no_route: bool,
    /// Whether a PASID table is on the way to it: there is none in legacy mode.
    pub(super) has_pasid_table: bool,
}

/// What `received` was to `entry`. `is_idle` tells whether nobody was seen to use anything of what a scope names.
pub(super) fn missed(
    entry: &StaleEntry,
    received: &Received,
    is_idle: impl Fn(&Descriptor) -> bool,
) -> Missed {
    let why = why(entry, received);
    let meant = meant(entry, &received.invalidation, why, is_idle);
    Missed { at: received.at, invalidation: received.invalidation, why, meant }
}

/// Whether `received` empties a device's TLB behind an invalidation of the IOTLB that came before the entry was read:
/// both were for what had changed until then. `before` is what came before it, the newest first.
pub(super) fn ends_earlier_flush<'log>(
    entry: &StaleEntry,
    received: &Received,
    before: impl Iterator<Item = &'log Received>,
) -> bool {
    if !matches!(received.invalidation, Descriptor::DeviceTlb(_)) {
        return false;
    }
    let mut halves = before.filter_map(|earlier| match earlier.invalidation {
        Descriptor::Iotlb { scope, .. } => {
            let is_for_it = earlier.carried_out && iotlb_mismatch(entry, scope).is_none();
            is_for_it.then_some(earlier.at.event < entry.change.read_at)
        }
        // It has had its own.
        Descriptor::DeviceTlb(scope) => {
            let is_for_it =
                scope.source == entry.requester.source && other_translation(entry, &scope).is_none();
            is_for_it.then_some(false)
        }
        Descriptor::ContextCache(_)
        | Descriptor::PasidCache(_)
        | Descriptor::InterruptEntries(_)
        | Descriptor::Wait(_)
        | Descriptor::PageGroupResponse(_) => None,
    });
    halves.next() == Some(true)
}

/// What `received` was to the cached interrupt entry of this index.
pub(super) fn missed_interrupt(index: u16, received: &Received) -> Missed {
    let is_beside =
        matches!(received.invalidation, Descriptor::InterruptEntries(scope) if scope.is_beside(index));
    let (why, meant) = match received.since {
        _ if covers_interrupt(index, &received.invalidation) => (Why::NotCarriedOut, Meant::ForThis),
        // Who names entries beside this one that have not changed has mistaken the number.
        Since::Unchanged if is_beside => (Why::OtherEntries, Meant::ForThis),
        Since::Unchanged => (Why::OtherEntries, Meant::ForOthers),
        Since::PerhapsChanged => (Why::EntriesOfTheirOwn, Meant::ForOthers),
    };
    Missed { at: received.at, invalidation: received.invalidation, why, meant }
}

/// For what an invalidation was meant that did not help, and why.
fn meant(
    entry: &StaleEntry,
    invalidation: &Descriptor,
    why: Why,
    is_idle: impl Fn(&Descriptor) -> bool,
) -> Meant {
    match why {
        // It was for translations, of which there is none.
        Why::TableEntryKept if entry.is_no_route && !is_for_table_entries(invalidation) => Meant::Perhaps,
        Why::NotCarriedOut | Why::BeforeIotlb | Why::HintSet | Why::TableEntryKept | Why::IotlbOnly => {
            Meant::ForThis
        }
        // Whoever changes entries of a stage has no reason for it, and others that attach or detach have.
        Why::TableEntriesOnly => match entry.change.table {
            Table::FirstStage { .. } | Table::SecondStage { .. } => Meant::Perhaps,
            Table::Root | Table::Context | Table::PasidDirectory | Table::Pasid => Meant::ForThis,
        },
        Why::OtherPasid | Why::OtherDomain | Why::DeviceTlbOnly => match named_pages(invalidation) {
            Some(range) if range.overlaps(pages(entry)) => Meant::ForThis,
            Some(_) => Meant::ForOthers,
            None if is_whole_device(invalidation) || is_idle(invalidation) => Meant::ForThis,
            None if names_process(entry, invalidation) => Meant::ForThis,
            // Who else uses that domain or process has a right to it.
            None => Meant::Perhaps,
        },
        Why::OtherPages if names_large_page(entry, invalidation) => Meant::ForThis,
        Why::OtherPages | Why::OtherDevice | Why::OtherEntries | Why::EntriesOfTheirOwn => Meant::ForOthers,
    }
}

/// Whether an invalidation is for cached context or PASID entries.
const fn is_for_table_entries(invalidation: &Descriptor) -> bool {
    matches!(invalidation, Descriptor::ContextCache(_) | Descriptor::PasidCache(_))
}

/// Whether an invalidation names the PASID of a requester that has no tables, if only in the wrong domain.
fn names_process(entry: &StaleEntry, invalidation: &Descriptor) -> bool {
    let Descriptor::PasidCache(PasidScope::Pasid(_, pasid)) = *invalidation else { return false };
    entry.is_no_route && entry.space.pasid == Some(pasid)
}

/// Whether an invalidation names other pieces of the large page that changed, of which a piece is cached.
fn names_large_page(entry: &StaleEntry, invalidation: &Descriptor) -> bool {
    let large = entry.change.large_page(entry.space.stage).map(|size| {
        let start = VirtAddr(entry.page.0 & !(size.bytes() - 1));
        VirtRange::pages(start, size.frames())
    });
    named_pages(invalidation).is_some_and(|named| large.is_some_and(|large| named.overlaps(large)))
}

/// Whether it is for all that a device keeps without a PASID, which is what software sends that means everything.
const fn is_whole_device(invalidation: &Descriptor) -> bool {
    matches!(
        invalidation,
        Descriptor::DeviceTlb(DeviceScope { pasid: DevicePasid::Without, span: DeviceSpan::All, .. })
    )
}

/// How much an invalidation has to do with `entry`: of many received the highest are told, of equals the last.
pub(super) fn weight(entry: &StaleEntry, missed: &Missed) -> u64 {
    match (missed.meant, missed.why) {
        (Meant::ForThis, _) => u64::MAX,
        (Meant::Perhaps, _) => u64::MAX - 1,
        // Other pages of the same address space, the nearest first.
        (Meant::ForOthers, Why::OtherPages) => {
            u64::MAX
                - 2
                - named_pages(&missed.invalidation).map_or(u64::MAX >> 1, |range| distance(entry, range))
        }
        (Meant::ForOthers, _) => 0,
    }
}

/// Pages between those of `entry` and `range`.
fn distance(entry: &StaleEntry, range: VirtRange) -> u64 {
    let own = pages(entry);
    let before = own.start.0.saturating_sub(range.end.0);
    let behind = range.start.0.saturating_sub(own.end.0);
    before.max(behind) / PageSize::Size4K.bytes()
}

/// The pages that an invalidation names; none if it is for all of somebody's.
fn named_pages(invalidation: &Descriptor) -> Option<VirtRange> {
    match invalidation {
        Descriptor::Iotlb {
            scope: IotlbScope::Pages(_, span) | IotlbScope::PasidPages(_, _, span), ..
        } => Some(span.range()),
        Descriptor::DeviceTlb(DeviceScope { span: DeviceSpan::Range(range), .. }) => Some(*range),
        Descriptor::Iotlb {
            scope: IotlbScope::Global | IotlbScope::Domain(_) | IotlbScope::Pasid(..),
            ..
        }
        | Descriptor::DeviceTlb(DeviceScope { span: DeviceSpan::All, .. })
        | Descriptor::ContextCache(_)
        | Descriptor::PasidCache(_)
        | Descriptor::InterruptEntries(_)
        | Descriptor::Wait(_)
        | Descriptor::PageGroupResponse(_) => None,
    }
}

pub(super) fn covers_interrupt(index: u16, invalidation: &Descriptor) -> bool {
    matches!(invalidation, Descriptor::InterruptEntries(scope) if scope.covers(index))
}

/// As [`remedy`], of the cached interrupt entry of this index.
pub(super) fn remedy_interrupt(index: u16, queued: &[Descriptor]) -> Descriptor {
    if queued.iter().any(|queued| covers_interrupt(index, queued)) {
        Descriptor::Wait(Wait::default())
    } else {
        Descriptor::InterruptEntries(EntryScope::Index { index, log2_count: 0 })
    }
}

fn why(entry: &StaleEntry, received: &Received) -> Why {
    let came_before = received.at.event < entry.filled;
    let is_left = !received.carried_out;
    match received.invalidation {
        Descriptor::Iotlb { .. } | Descriptor::DeviceTlb(_) if entry.is_no_route => Why::TableEntryKept,
        Descriptor::Iotlb { scope, .. } => match iotlb_mismatch(entry, scope) {
            Some(why) => why,
            None if is_left => Why::NotCarriedOut,
            None if entry.holder == Holder::DeviceTlb && !came_before => Why::IotlbOnly,
            None => refilled(entry, scope),
        },
        Descriptor::DeviceTlb(scope) => match device_mismatch(entry, &scope) {
            Some(why) => why,
            None if came_before && !is_left => Why::BeforeIotlb,
            None => Why::NotCarriedOut,
        },
        Descriptor::ContextCache(scope) => match context_mismatch(entry, scope) {
            Some(why) => why,
            None if is_left => Why::NotCarriedOut,
            None => half_told(entry),
        },
        Descriptor::PasidCache(scope) => match pasid_mismatch(entry, scope) {
            Some(why) => why,
            None if is_left => Why::NotCarriedOut,
            None => half_told(entry),
        },
        Descriptor::InterruptEntries(_) | Descriptor::Wait(_) | Descriptor::PageGroupResponse(_) => {
            Why::TableEntriesOnly
        }
    }
}

/// Why invalidations of some cached table entries were not enough: others were kept, or what rests on them.
fn half_told(entry: &StaleEntry) -> Why {
    match entry.change.table {
        Table::FirstStage { .. } | Table::SecondStage { .. } => Why::TableEntriesOnly,
        Table::Root | Table::Context | Table::PasidDirectory | Table::Pasid => match entry.holder {
            Holder::TableCaches => Why::TableEntryKept,
            Holder::Iotlb | Holder::DeviceTlb => Why::TableEntriesOnly,
        },
    }
}

/// Why a translation that an IOTLB invalidation covered is there again, or still.
fn refilled(entry: &StaleEntry, scope: IotlbScope) -> Why {
    match entry.change.table {
        Table::FirstStage { .. } | Table::SecondStage { .. }
            if hint(scope) == Hint::LeavesOnly && !entry.is_absence =>
        {
            Why::HintSet
        }
        Table::FirstStage { .. } | Table::SecondStage { .. } => Why::NotCarriedOut,
        Table::Root | Table::Context | Table::PasidDirectory | Table::Pasid => Why::TableEntryKept,
    }
}

const fn hint(scope: IotlbScope) -> Hint {
    match scope {
        IotlbScope::Pages(_, span) | IotlbScope::PasidPages(_, _, span) => span.hint,
        IotlbScope::Global | IotlbScope::Domain(_) | IotlbScope::Pasid(..) => Hint::EveryLevel,
    }
}

fn iotlb_mismatch(entry: &StaleEntry, scope: IotlbScope) -> Option<Why> {
    match extent(scope, &entry.space) {
        Some(Extent::All) => None,
        Some(Extent::Span(span)) => (!span.range().overlaps(pages(entry))).then_some(Why::OtherPages),
        None if domain_of(scope) == Some(entry.space.domain) => Some(Why::OtherPasid),
        None => Some(Why::OtherDomain),
    }
}

fn domain_of(scope: IotlbScope) -> Option<crate::spec::id::DomainId> {
    match scope {
        IotlbScope::Global => None,
        IotlbScope::Domain(domain)
        | IotlbScope::Pages(domain, _)
        | IotlbScope::Pasid(domain, _)
        | IotlbScope::PasidPages(domain, ..) => Some(domain),
    }
}

fn device_mismatch(entry: &StaleEntry, scope: &DeviceScope) -> Option<Why> {
    if scope.source != entry.requester.source {
        return Some(Why::OtherDevice);
    }
    if entry.holder != Holder::DeviceTlb {
        return Some(Why::DeviceTlbOnly);
    }
    other_translation(entry, scope)
}

/// Why an invalidation of the right device's TLB is not for the page.
fn other_translation(entry: &StaleEntry, scope: &DeviceScope) -> Option<Why> {
    if !scope.pasid.covers(entry.requester.pasid) {
        return Some(Why::OtherPasid);
    }
    match scope.span {
        DeviceSpan::Range(range) if !range.overlaps(pages(entry)) => Some(Why::OtherPages),
        DeviceSpan::Range(_) | DeviceSpan::All => None,
    }
}

fn context_mismatch(entry: &StaleEntry, scope: ContextScope) -> Option<Why> {
    match scope {
        ContextScope::Device { source, ignored_bits }
            if !ContextScope::concerns(source, ignored_bits, entry.requester.source) =>
        {
            Some(Why::OtherDevice)
        }
        // In scalable mode a context entry has no domain.
        ContextScope::Domain(domain) if domain != entry.space.domain && !is_scalable(entry) => {
            Some(Why::OtherDomain)
        }
        ContextScope::Global | ContextScope::Domain(_) | ContextScope::Device { .. } => None,
    }
}

fn is_scalable(entry: &StaleEntry) -> bool {
    entry.has_pasid_table || entry.space.stage != StageKind::Second
}

fn pasid_mismatch(entry: &StaleEntry, scope: PasidScope) -> Option<Why> {
    match scope {
        PasidScope::Domain(domain) | PasidScope::Pasid(domain, _) if domain != entry.space.domain => {
            Some(Why::OtherDomain)
        }
        PasidScope::Pasid(_, pasid) if entry.space.pasid.is_some_and(|own| own != pasid) => {
            Some(Why::OtherPasid)
        }
        PasidScope::Global | PasidScope::Domain(_) | PasidScope::Pasid(..) => None,
    }
}

fn pages(entry: &StaleEntry) -> VirtRange {
    VirtRange::pages(entry.page, entry.size.frames())
}

/// The smallest invalidations that would have taken the translation away and kept it from coming back. If what is
/// `queued` does that, only a wait for it.
pub(super) fn remedy(entry: &StaleEntry, queued: &[Descriptor]) -> Vec<Descriptor> {
    let least = least(entry);
    let is_queued = |need: &Descriptor| queued.iter().any(|queued| is_served(entry, need, queued));
    if least.iter().all(is_queued) { vec![Descriptor::Wait(Wait::default())] } else { least }
}

/// Whether `invalidation` does what `need`, one of the [`least`], is for.
pub(super) fn is_served(entry: &StaleEntry, need: &Descriptor, invalidation: &Descriptor) -> bool {
    same_kind(need, invalidation) && covers(entry, invalidation)
}

fn same_kind(one: &Descriptor, other: &Descriptor) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Whether an invalidation is one of those that the entry needs.
fn covers(entry: &StaleEntry, invalidation: &Descriptor) -> bool {
    match invalidation {
        Descriptor::Iotlb { scope, .. } => {
            let is_enough = entry.change.leaf || entry.is_absence || hint(*scope) == Hint::EveryLevel;
            iotlb_mismatch(entry, *scope).is_none() && is_enough
        }
        Descriptor::DeviceTlb(scope) => device_mismatch(entry, scope).is_none(),
        Descriptor::ContextCache(scope) => context_mismatch(entry, *scope).is_none(),
        Descriptor::PasidCache(scope) => pasid_mismatch(entry, *scope).is_none(),
        Descriptor::InterruptEntries(_) | Descriptor::Wait(_) | Descriptor::PageGroupResponse(_) => false,
    }
}

/// The invalidations that it takes to be rid of the translation, none of which can be left out.
pub(super) fn least(entry: &StaleEntry) -> Vec<Descriptor> {
    let mut remedy = table_remedy(entry);
    if entry.is_no_route {
        return remedy;
    }
    remedy.push(Descriptor::Iotlb { scope: iotlb_remedy(entry), drains: true });
    if entry.holder == Holder::DeviceTlb {
        let Requester { source, pasid } = entry.requester;
        remedy.push(Descriptor::DeviceTlb(DeviceScope {
            source,
            pasid: pasid.into(),
            span: needed(entry).into(),
        }));
    }
    remedy
}

fn table_remedy(entry: &StaleEntry) -> Vec<Descriptor> {
    let SpaceKey { domain, pasid, .. } = entry.space;
    let pasids = Descriptor::PasidCache(
        pasid.map_or(PasidScope::Domain(domain), |pasid| PasidScope::Pasid(domain, pasid)),
    );
    match entry.change.table {
        Table::Root | Table::Context => {
            let device = ContextScope::Device { source: entry.requester.source, ignored_bits: 0 };
            let contexts = Descriptor::ContextCache(device);
            if entry.has_pasid_table { vec![contexts, pasids] } else { vec![contexts] }
        }
        Table::PasidDirectory | Table::Pasid => vec![pasids],
        Table::FirstStage { .. } | Table::SecondStage { .. } => Vec::new(),
    }
}

/// The pages that the invalidation has to name: those of the cached translation; if it is a piece of a large page that is
/// gone, all of that.
fn needed(entry: &StaleEntry) -> PageSpan {
    let gone = entry.change.large_page(entry.space.stage).filter(|_| !entry.change.leads_to_table());
    let size = gone.unwrap_or(entry.size);
    let log2_pages = size.frames().trailing_zeros();
    let hint = if entry.change.leaf { Hint::LeavesOnly } else { Hint::EveryLevel };
    PageSpan { address: VirtAddr(entry.page.0 & !(size.bytes() - 1)), log2_pages, hint }
}

fn iotlb_remedy(entry: &StaleEntry) -> IotlbScope {
    let SpaceKey { domain, pasid, stage } = entry.space;
    let span = needed(entry);
    match (entry.change.table, pasid) {
        (Table::FirstStage { .. }, Some(pasid)) => IotlbScope::PasidPages(domain, pasid, span),
        (Table::SecondStage { .. }, _) if stage == StageKind::Second => IotlbScope::Pages(domain, span),
        (Table::FirstStage { .. } | Table::SecondStage { .. }, _) => IotlbScope::Domain(domain),
        (_, Some(pasid)) => IotlbScope::Pasid(domain, pasid),
        (_, None) => IotlbScope::Domain(domain),
    }
}

#[cfg(test)]
mod tests;
