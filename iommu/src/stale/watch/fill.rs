//! What is remembered of a cached translation: where it is held, whose it is, and what it rests on.
//!
//! Invariant: a key names one translation of one cache; a walk that has just found something is the IOTLB's, whether
//! the IOTLB kept it or not.

use mmu::address::{PageSize, VirtAddr};
use mmu::cache::Translation;
use pcie::Requester;

use crate::stale::watch::remembered::Rests;
use crate::stale::{Change, Holder, Moment};
use crate::vtd::witness::{HeldIn, Origin, Use, Walked};
use crate::vtd::{Path, Reading, SpaceKey, Table, Trail};

/// A cached translation, by where it is held and what it translates; a route, which is one for all pages, by its page 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FillKey {
    pub(super) held_in: HeldIn,
    pub(super) page: VirtAddr,
    pub(super) size: PageSize,
}

#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub(super) origin: Origin,
    pub(super) translation: Translation,
    pub(super) filled: Moment,
}

/// What a look at the words under a cached translation shows.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nothing: it is not remembered.
    Unknown,
    /// They all stand, and the translation is what they say.
    Unchanged(Path),
    /// One changed.
    Changed(Change),
}

/// A cached translation under which something changed.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) requester: Requester,
    pub(crate) held_in: HeldIn,
    pub(crate) page: VirtAddr,
    pub(crate) cached: Translation,
    pub(crate) space: SpaceKey,
    pub(crate) filled: Moment,
    pub(crate) change: Change,
}

impl Rests for Fill {
    fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Fill {
    /// Whether it is what the use found; a route says the same of every page.
    pub(super) fn says(&self, used: &Use<'_>) -> bool {
        matches!(used.held_in, HeldIn::Route(..)) || self.translation == used.hit
    }
}

impl Origin {
    /// Whether a PASID entry led to it, as in scalable mode.
    pub(super) fn has_pasid_table(&self) -> bool {
        self.route.readings().iter().any(|reading| reading.table == Table::Pasid)
    }

    /// Every entry that it rests on, in the order of reading.
    pub(super) fn readings(&self) -> impl Iterator<Item = &Reading> {
        [&self.route, &self.path.walk].into_iter().flat_map(Trail::readings)
    }
}

impl Walked<'_> {
    /// Where what it found is held by somebody who uses it now.
    pub(crate) const fn held_in(&self) -> HeldIn {
        HeldIn::Walked(self.tag, self.began)
    }

    /// The entries that came out of a cache.
    pub(super) fn cached_readings(&self) -> impl Iterator<Item = &Reading> {
        self.origin.readings().filter(|reading| reading.read_at < self.began)
    }

    /// The entries that the walk loaded itself, in their order.
    pub(crate) fn own_readings(&self) -> impl Iterator<Item = &Reading> {
        self.origin.path.walk.readings().iter().filter(|reading| reading.read_at >= self.began)
    }
}

impl HeldIn {
    pub(crate) const fn holder(self) -> Holder {
        match self {
            Self::Iotlb(_) => Holder::Iotlb,
            Self::Walked(..) | Self::Route(..) => Holder::TableCaches,
            Self::DeviceTlb(..) => Holder::DeviceTlb,
        }
    }

    /// The device whose TLB it is, and for which process.
    pub(super) const fn device(self) -> Option<Requester> {
        match self {
            Self::Iotlb(_) | Self::Walked(..) | Self::Route(..) => None,
            Self::DeviceTlb(source, pasid) => Some(Requester { source, pasid }),
        }
    }
}

impl FillKey {
    pub(super) fn new(held_in: HeldIn, address: VirtAddr, size: PageSize) -> Self {
        let page = first_address(address, size);
        let (held_in, page) = match held_in {
            HeldIn::Walked(tag, _) => (HeldIn::Iotlb(tag), page),
            HeldIn::Route(requester, _) => (HeldIn::Route(requester, 0), VirtAddr(0)),
            HeldIn::Iotlb(_) | HeldIn::DeviceTlb(..) => (held_in, page),
        };
        Self { held_in, page, size }
    }
}

/// Where the page of that size begins that `address` lies in.
pub(super) const fn first_address(address: VirtAddr, size: PageSize) -> VirtAddr {
    VirtAddr(address.0 & !(size.bytes() - 1))
}

/// Where two routes part: no entry changed, but software moved the tables that begin the route.
pub(crate) fn parting(before: &Trail, now: &Trail) -> Option<Change> {
    let mut pairs = before.readings().iter().zip(now.readings());
    let (before, now) = pairs.find(|(before, now)| (before.place, before.value) != (now.place, now.value))?;
    Some(Change {
        table: now.table,
        place: now.place,
        leaf: false,
        was: before.value,
        is: Some(now.value),
        read_at: before.read_at,
    })
}

#[cfg(test)]
mod tests;
