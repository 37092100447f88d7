//! Why an invalidation did not take a translation away, and which would have.
//!
//! Invariant: the verdicts use the very functions that carry invalidations out
//! ([`extent`]), so they cannot disagree with what the unit did.

use mmu::address::{PageSize, VirtAddr, VirtRange};

use crate::spec::descriptor::{
    ContextScope, Descriptor, DeviceScope, DeviceSpan, EntryScope, Hint, IotlbScope, PageSpan, PasidScope,
    Wait,
};
use crate::stale::watch::Received;
use crate::stale::{Change, Holder, Missed, Why};
use crate::vtd::{Extent, Requester, SpaceKey, StageKind, Table, extent};

/// A stale translation.
pub(super) struct Entry {
    pub(super) requester: Requester,
    pub(super) space: SpaceKey,
    pub(super) page: VirtAddr,
    pub(super) size: PageSize,
    pub(super) holder: Holder,
    /// Event of its fill.
    pub(super) filled: u64,
    pub(super) change: Change,
    /// Whether a PASID table is on the way to it: there is none in legacy mode.
    pub(super) has_pasid_table: bool,
}

/// What `received` was to `entry`.
pub(super) fn missed(entry: &Entry, received: &Received) -> Missed {
    let why = if received.carried_out { why(entry, received) } else { Why::NotCarriedOut };
    Missed { at: received.at, invalidation: received.invalidation, why }
}

/// What `received` was to the cached interrupt entry of this index.
pub(super) fn missed_interrupt(index: u16, received: &Received) -> Missed {
    let why = if received.carried_out && !covers_interrupt(index, &received.invalidation) {
        Why::OtherEntries
    } else {
        Why::NotCarriedOut
    };
    Missed { at: received.at, invalidation: received.invalidation, why }
}

fn covers_interrupt(index: u16, invalidation: &Descriptor) -> bool {
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

fn why(entry: &Entry, received: &Received) -> Why {
    let came_before = received.at.event < entry.filled;
    match received.invalidation {
        Descriptor::Iotlb { scope, .. } => match iotlb_mismatch(entry, scope) {
            Some(why) => why,
            None if entry.holder == Holder::DeviceTlb && !came_before => Why::IotlbOnly,
            None => refilled(entry, scope),
        },
        Descriptor::DeviceTlb(scope) => match device_mismatch(entry, &scope) {
            Some(why) => why,
            None if came_before => Why::BeforeIotlb,
            None => Why::NotCarriedOut,
        },
        Descriptor::ContextCache(scope) => context_mismatch(entry, scope).unwrap_or_else(|| half_told(entry)),
        Descriptor::PasidCache(scope) => pasid_mismatch(entry, scope).unwrap_or_else(|| half_told(entry)),
        Descriptor::InterruptEntries(_) | Descriptor::Wait(_) | Descriptor::PageGroupResponse(_) => {
            Why::TableEntriesOnly
        }
    }
}

/// Why invalidations of some cached table entries were not enough: others were kept, or what rests on them.
fn half_told(entry: &Entry) -> Why {
    match entry.change.table {
        Table::FirstStage { .. } | Table::SecondStage { .. } => Why::TableEntriesOnly,
        _ if entry.holder == Holder::TableCaches => Why::TableEntryKept,
        _ => Why::TableEntriesOnly,
    }
}

/// Why a translation that an IOTLB invalidation covered is there again, or still.
fn refilled(entry: &Entry, scope: IotlbScope) -> Why {
    match entry.change.table {
        Table::FirstStage { .. } | Table::SecondStage { .. } if hint(scope) == Hint::LeavesOnly => {
            Why::HintSet
        }
        Table::FirstStage { .. } | Table::SecondStage { .. } => Why::NotCarriedOut,
        _ => Why::TableEntryKept,
    }
}

const fn hint(scope: IotlbScope) -> Hint {
    match scope {
        IotlbScope::Pages(_, span) | IotlbScope::PasidPages(_, _, span) => span.hint,
        IotlbScope::Global | IotlbScope::Domain(_) | IotlbScope::Pasid(..) => Hint::EveryLevel,
    }
}

fn iotlb_mismatch(entry: &Entry, scope: IotlbScope) -> Option<Why> {
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

fn device_mismatch(entry: &Entry, scope: &DeviceScope) -> Option<Why> {
    if scope.source != entry.requester.source {
        return Some(Why::OtherDevice);
    }
    if entry.holder != Holder::DeviceTlb {
        return Some(Why::DeviceTlbOnly);
    }
    if !scope.pasid.covers(entry.requester.pasid) {
        return Some(Why::OtherPasid);
    }
    match scope.span {
        DeviceSpan::Range(range) if !range.overlaps(pages(entry)) => Some(Why::OtherPages),
        _ => None,
    }
}

fn context_mismatch(entry: &Entry, scope: ContextScope) -> Option<Why> {
    match scope {
        ContextScope::Device { source, ignored_bits }
            if !ContextScope::concerns(source, ignored_bits, entry.requester.source) =>
        {
            Some(Why::OtherDevice)
        }
        ContextScope::Domain(domain) if domain != entry.space.domain => Some(Why::OtherDomain),
        _ => None,
    }
}

fn pasid_mismatch(entry: &Entry, scope: PasidScope) -> Option<Why> {
    match scope {
        PasidScope::Domain(domain) | PasidScope::Pasid(domain, _) if domain != entry.space.domain => {
            Some(Why::OtherDomain)
        }
        PasidScope::Pasid(_, pasid) if entry.space.pasid.is_some_and(|own| own != pasid) => {
            Some(Why::OtherPasid)
        }
        _ => None,
    }
}

fn pages(entry: &Entry) -> VirtRange {
    VirtRange::pages(entry.page, entry.size.bytes() / PageSize::Size4K.bytes())
}

/// The smallest invalidations that would have taken the translation away and kept it from coming back. If what is
/// `queued` does that, only a wait for it.
pub(super) fn remedy(entry: &Entry, queued: &[Descriptor]) -> Vec<Descriptor> {
    let least = least(entry);
    let is_queued =
        |kind: &Descriptor| queued.iter().any(|queued| same_kind(kind, queued) && covers(entry, queued));
    if least.iter().all(is_queued) { vec![Descriptor::Wait(Wait::default())] } else { least }
}

fn same_kind(one: &Descriptor, other: &Descriptor) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Whether an invalidation is one of those that the entry needs.
fn covers(entry: &Entry, invalidation: &Descriptor) -> bool {
    match invalidation {
        Descriptor::Iotlb { scope, .. } => {
            iotlb_mismatch(entry, *scope).is_none() && (entry.change.leaf || hint(*scope) == Hint::EveryLevel)
        }
        Descriptor::DeviceTlb(scope) => device_mismatch(entry, scope).is_none(),
        Descriptor::ContextCache(scope) => context_mismatch(entry, *scope).is_none(),
        Descriptor::PasidCache(scope) => pasid_mismatch(entry, *scope).is_none(),
        Descriptor::InterruptEntries(_) | Descriptor::Wait(_) | Descriptor::PageGroupResponse(_) => false,
    }
}

fn least(entry: &Entry) -> Vec<Descriptor> {
    let mut remedy = table_remedy(entry);
    remedy.push(Descriptor::Iotlb { scope: iotlb_remedy(entry), drains: true });
    if entry.holder == Holder::DeviceTlb {
        let Requester { source, pasid } = entry.requester;
        remedy.push(Descriptor::DeviceTlb(DeviceScope {
            source,
            pasid: pasid.into(),
            span: DeviceSpan::Range(pages(entry)),
        }));
    }
    remedy
}

fn table_remedy(entry: &Entry) -> Vec<Descriptor> {
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

fn iotlb_remedy(entry: &Entry) -> IotlbScope {
    let SpaceKey { domain, pasid, stage } = entry.space;
    let log2_pages = (entry.size.bytes() / PageSize::Size4K.bytes()).trailing_zeros();
    let hint = if entry.change.leaf { Hint::LeavesOnly } else { Hint::EveryLevel };
    let span = PageSpan { address: entry.page, log2_pages, hint };
    match (entry.change.table, pasid) {
        (Table::FirstStage { .. }, Some(pasid)) => IotlbScope::PasidPages(domain, pasid, span),
        (Table::SecondStage { .. }, _) if stage == StageKind::Second => IotlbScope::Pages(domain, span),
        (Table::FirstStage { .. } | Table::SecondStage { .. }, _) => IotlbScope::Domain(domain),
        (_, Some(pasid)) => IotlbScope::Pasid(domain, pasid),
        (_, None) => IotlbScope::Domain(domain),
    }
}
