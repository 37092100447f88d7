//! The stale-use report: a device used a translation that the tables no longer contain, and this is the invalidation
//! that is missing.
//!
//! Invariant: a report is made of what was read, cached, changed and received; time only ends the waiting for an
//! invalidation. A cached entry and its change have one report for each mistake. Whoever does not watch pays nothing.
//!
//! Read in this order: this file (what a report says), [`watch`] (how a use is noticed, kept and judged), `judge` (why no
//! invalidation covered it, and which would have), [`Mistake`] (what of it the driver's author is to be told), `text` and
//! `json`; [`interrupt`] is the same of interrupt entries, [`in_place`] entries that were changed while they were present,
//! [`unused`] what nobody has used yet, which `audit` finds; [`told`] is for whoever lists what happens.

mod audit;
pub mod in_place;
pub mod interrupt;
pub(crate) mod json;
mod judge;
mod mistake;
mod text;
pub mod told;
pub mod unused;
pub mod watch;

use mmu::address::{PageSize, PhysAddr, VirtAddr};
use mmu::cache::Translation;
use mmu::pte::{Pte, Shape};
use pcie::{Request, Requester};

pub use crate::vtd::Moment;
pub use mistake::{Mistake, Thing};

use self::in_place::ChangedInPlace;
use crate::spec::descriptor::Descriptor;
use crate::spec::fault::FaultReason;
use crate::spec::paging::SecondStageEntry;
use crate::vtd::{SpaceKey, StageKind, Table};

/// Which cache held the translation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Holder {
    /// The unit's IOTLB.
    Iotlb,
    /// The unit's caches of table entries, through which a walk came to it just now, or which let the address pass.
    TableCaches,
    /// The device's TLB.
    DeviceTlb,
}

/// What a device did with what was cached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// It reached memory by a translation, or was refused by a cached failure.
    Translation,
    /// Its request was refused by a walk through cached table entries.
    Refusal,
    /// Its request was refused because a cached context or PASID entry leads to no tables.
    NoRoute,
    /// The walk of its request read the table at this address, which the tables do not lead to any more.
    Table(PhysAddr),
}

/// Why a use counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ground {
    /// Every use between a change and its invalidation does.
    AtOnce,
    /// The frame was mapped writable in another address space, or was walked as a table, before the invalidation.
    FrameReused,
    /// The table was mapped as a page before the invalidation.
    TableReused,
    /// The page or the interrupt entry was changed again before an invalidation of it came, which is for that change then.
    ChangedAgain,
    /// The invalidation was not completed within the time that software has.
    TimeOver,
    /// The invalidation was not completed when the guest ended.
    TheEnd,
}

impl Ground {
    /// Whether something was seen that makes it too late for an invalidation, so that nothing is waited for.
    pub(crate) const fn is_evidence(self) -> bool {
        match self {
            Self::AtOnce | Self::FrameReused | Self::TableReused | Self::ChangedAgain => true,
            Self::TimeOver | Self::TheEnd => false,
        }
    }
}

/// For what an invalidation that did not help was meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Meant {
    /// For something else.
    ForOthers,
    /// For something else, or for this: nobody can tell.
    Perhaps,
    /// For this.
    ForThis,
}

/// A table entry that says something else than it did when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Change {
    /// What it is an entry of.
    pub table: Table,
    /// Where it lies.
    pub place: PhysAddr,
    /// Whether it was a leaf.
    pub leaf: bool,
    /// What it said.
    pub was: u64,
    /// What it says; none if it cannot be read any more.
    pub is: Option<u64>,
    /// Events before it was read.
    pub read_at: u64,
}

/// Why an invalidation did not take the translation away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// It named another domain.
    OtherDomain,
    /// It named another PASID, or none, or a PASID where the second stage has none.
    OtherPasid,
    /// It named other pages.
    OtherPages,
    /// It named other interrupt entries, which had not changed since software spoke of them last.
    OtherEntries,
    /// It named other interrupt entries, and was or may have been meant for those.
    EntriesOfTheirOwn,
    /// It named another device.
    OtherDevice,
    /// It was for a device TLB; the IOTLB kept the translation.
    DeviceTlbOnly,
    /// It was for the IOTLB; the device's TLB kept the translation.
    IotlbOnly,
    /// It came before the IOTLB's: the device refilled its TLB from the IOTLB, which was stale.
    BeforeIotlb,
    /// IH was set: the paging-structure cache kept the entry above the leaf, and the IOTLB was refilled through it.
    HintSet,
    /// The cached PASID or context entry still led to the old table, and the IOTLB was refilled through it.
    TableEntryKept,
    /// It was for cached PASID or context entries; the translation stayed.
    TableEntriesOnly,
    /// It was received and dropped, or postponed, as a knob demanded; or the device has not answered it yet.
    NotCarriedOut,
}

/// An invalidation that was received and did not help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missed {
    /// When.
    pub at: Moment,
    /// What it was.
    pub invalidation: Descriptor,
    /// Why it did not help.
    pub why: Why,
    /// What it was for.
    pub meant: Meant,
}

/// The use of a translation that the tables no longer contain.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StaleUse {
    /// What was done with it.
    pub kind: Kind,
    /// Why it counts.
    pub ground: Ground,
    /// Uses of it since the change, until it was judged.
    pub uses: u64,
    /// Who used it.
    pub requester: Requester,
    /// Where, and for what.
    pub request: Request,
    /// What kept it.
    pub holder: Holder,
    /// Whose translation it is, as invalidations name it.
    pub space: SpaceKey,
    /// What it says; of a refusal, and of a failure that is cached with CAP.CM, why there is none.
    pub cached: Result<Translation, FaultReason>,
    /// What the tables say.
    pub now: Result<Translation, FaultReason>,
    /// When it was filled.
    pub filled: Moment,
    /// When it was first used after the change.
    pub used: Moment,
    /// What changed since.
    pub change: Change,
    /// If the entry that it rests on was read while software changed it piece by piece: that change.
    pub in_place: Option<ChangedInPlace>,
    /// The invalidations received since the changed entry was read, in order: of many the ones that concern the page most.
    pub received: Vec<Missed>,
    /// Others since then that are not listed.
    pub forgotten: u64,
    /// The first of what was queued and not carried out yet, in its order.
    pub queued: Vec<Descriptor>,
    /// The smallest invalidations that would have helped, in their order; only a wait if they are queued.
    pub remedy: Vec<Descriptor>,
}

impl Change {
    /// The size of the large page that the entry mapped, if it did, among the addresses that requests name: those of the
    /// second stage are others where `stages` are nested.
    pub(crate) fn large_page(&self, stages: StageKind) -> Option<PageSize> {
        let level = match (self.table, stages) {
            (Table::FirstStage { level }, StageKind::First | StageKind::Second | StageKind::Nested)
            | (Table::SecondStage { level }, StageKind::Second) => level,
            (Table::SecondStage { .. }, StageKind::First | StageKind::Nested)
            | (Table::Root | Table::Context | Table::PasidDirectory | Table::Pasid, _) => return None,
        };
        PageSize::of_level(level).filter(|_| self.leaf && level > 1)
    }

    /// Whether the entry leads to another table now, which may map some of the pages as before.
    pub(crate) fn leads_to_table(&self) -> bool {
        let Some(is) = self.is else { return false };
        match self.table {
            Table::FirstStage { level } => matches!(Pte(is).shape(level), Shape::Table(_)),
            Table::SecondStage { level } => {
                let entry = SecondStageEntry(is);
                entry.is_present() && !entry.is_leaf(level)
            }
            Table::Root | Table::Context | Table::PasidDirectory | Table::Pasid => true,
        }
    }
}

impl StaleUse {
    /// The first address of the page that is cached.
    #[must_use]
    pub fn page(&self) -> VirtAddr {
        VirtAddr(self.request.address.0 & !(self.size().bytes() - 1))
    }

    /// How large that is.
    pub(crate) fn size(&self) -> PageSize {
        self.cached.map_or(PageSize::Size4K, |cached| cached.size)
    }
}

#[cfg(test)]
mod tests;
