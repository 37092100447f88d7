//! What each invalidation forgets: issued here, completed by a drain.
//!
//! Invariant: it forgets what its scope names and nothing else. Paging structures go before translations, and cached
//! table entries before the routes that rest on them: so whoever walks in between finds no way from the old to a fill.
//! Source: VT-d 6.5.2.1 to 6.5.2.4, 6.2.5 (paging-structure caches), Table "invalidation granularity".

use std::collections::HashSet;
use std::ops::Range;

use mmu::address::{Access, VirtAddr, VirtRange};
use mmu::cache::Tag;

use crate::spec::descriptor::{ContextScope, EntryScope, Hint, IotlbScope, PageSpan, PasidScope};
use crate::vtd::tags::{SpaceKey, StageKind};
use crate::vtd::walk::PagingKey;
use crate::vtd::{AbsentKey, Vtd};

const EVERY_ADDRESS: VirtRange = VirtRange { start: VirtAddr(0), end: VirtAddr(u64::MAX) };

/// What goes of one address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Everything.
    All,
    /// Pages that overlap; and with the hint the tables above them.
    Span(PageSpan),
}

/// What `scope` takes of the translations that are tagged with `key`.
pub(crate) fn extent(scope: IotlbScope, key: &SpaceKey) -> Option<Extent> {
    // Those of the second stage have no PASID.
    let of_pasid = |domain, pasid| key.domain == domain && key.pasid == Some(pasid);
    match scope {
        IotlbScope::Global => Some(Extent::All),
        IotlbScope::Domain(domain) => (key.domain == domain).then_some(Extent::All),
        IotlbScope::Pages(domain, span) if key.domain == domain => Some(match key.stage {
            StageKind::Second => Extent::Span(span),
            // The span is one of second-stage addresses: what it is for the first stage nobody knows.
            StageKind::First | StageKind::Nested => Extent::All,
        }),
        IotlbScope::Pages(..) => None,
        IotlbScope::Pasid(domain, pasid) => of_pasid(domain, pasid).then_some(Extent::All),
        IotlbScope::PasidPages(domain, pasid, span) => of_pasid(domain, pasid).then_some(Extent::Span(span)),
    }
}

impl Vtd {
    pub(super) fn invalidate_contexts(&self, scope: ContextScope) {
        self.routes.invalidate_contexts(scope);
        self.forget_routes();
    }

    pub(super) fn invalidate_pasids(&self, scope: PasidScope) {
        self.routes.invalidate_pasids(scope);
        self.forget_routes();
    }

    pub(super) fn invalidate_iotlb(&self, scope: IotlbScope) {
        if scope == IotlbScope::Global {
            self.paging.invalidate(|_, _| true);
            self.absent.invalidate(|_, _| true);
            self.iotlb.invalidate_all();
            return;
        }
        let mut whole = HashSet::new();
        let mut spans = Vec::new();
        for (key, tag) in self.tags.matching(|key| extent(scope, key).is_some()) {
            match extent(scope, &key) {
                Some(Extent::Span(span)) => spans.push((tag, span)),
                Some(Extent::All) => _ = whole.insert(tag),
                None => {}
            }
        }
        self.forget_spaces(&whole);
        spans.into_iter().for_each(|(tag, span)| self.forget_span(tag, span));
    }

    fn forget_spaces(&self, tags: &HashSet<Tag>) {
        if tags.is_empty() {
            return;
        }
        self.paging.invalidate_within(tags.iter().map(|tag| PagingKey::of(*tag)));
        self.absent.invalidate_within(tags.iter().map(|tag| absent(*tag, EVERY_ADDRESS)));
        tags.iter().for_each(|&tag| self.iotlb.invalidate_tag(tag));
    }

    fn forget_span(&self, tag: Tag, span: PageSpan) {
        let range = span.range();
        if span.hint == Hint::EveryLevel {
            self.paging.invalidate_within(PagingKey::above(tag, range));
        }
        self.absent.invalidate_within([absent(tag, range)]);
        self.iotlb.invalidate_exactly(tag, range);
    }

    /// Forgets one page that a device found wanting.
    pub(super) fn forget_page(&self, tag: Option<Tag>, address: VirtAddr) {
        if let Some(tag) = tag {
            let page = address.page();
            self.absent.invalidate_within([(tag, page, Access::Read)..=(tag, page, Access::Write)]);
            self.iotlb.invalidate_page(tag, address);
        }
    }

    pub(super) fn invalidate_interrupts(&self, scope: EntryScope) {
        self.interrupt_entries.invalidate_within([scope.indices()]);
    }
}

/// The keys of pages of `tag` in `range` whose walk failed.
const fn absent(tag: Tag, range: VirtRange) -> Range<AbsentKey> {
    (tag, range.start, Access::Read)..(tag, range.end, Access::Read)
}
