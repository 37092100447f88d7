//! What the unit tells of itself, and to whom.
//!
//! Invariant: the unit does the same whoever listens, and knows nothing of what is made of it. It tells what was read,
//! cached, used, invalidated and moved, and never what follows from it; on misses and on cold paths only: of a hit that
//! a port vouches for by itself (`port/vigil.rs`) nobody hears.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use mmu::address::{PhysAddr, VirtAddr};
use mmu::cache::{Tag, Translation};
use pcie::{Pasid, Request, Requester, SourceId};

use crate::spec::command::{InterruptTable, TableMode};
use crate::spec::descriptor::Descriptor;
use crate::spec::fault::{FaultReason, FaultRecord};
use crate::vtd::device_tlb::GivenUp;
use crate::vtd::knobs::Verdict;
use crate::vtd::route::Stages;
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::Trail;
use crate::vtd::walk::Path;
use crate::vtd::{AbsentKey, Vtd};

/// Whoever is told what a unit does. Of a unit that it is handed it may look past the caches and read what is queued,
/// but with nothing of its own locked: somebody else may tell it something with the register file locked.
pub(crate) trait Witness: Any + fmt::Debug + Send + Sync {
    /// Events so far.
    fn now(&self) -> u64;

    /// One more event; when it happens.
    fn happen(&self, what: Happening) -> Moment;

    /// Table entries were read.
    fn loaded(&self, loaded: Loaded<'_>);

    /// Something was cached.
    fn filled(&self, filled: Filled);

    /// Something cached was used. If the tables say the very same of the page, the way by which they do.
    fn used(&self, unit: &Vtd, used: Used<'_>) -> Option<Path>;

    /// An invalidation was received; what becomes of it is decided, and not done yet.
    fn invalidated(&self, unit: &Vtd, invalidation: &Descriptor, verdict: Verdict);

    /// What was received before is complete, or needless, or never comes.
    fn ended(&self, ended: Ended);

    /// Software has moved what tables hang on. The register file may be locked: of the unit only memory is to be read.
    fn moved(&self, unit: &Vtd, moved: Moved);

    /// A request or an interrupt was blocked, and is recorded if there is room.
    fn faulted(&self, fault: &FaultRecord);
}

/// An event of which nothing else is told at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Happening {
    /// A walk begins.
    Walk,
    /// An interrupt entry is cached, for an interrupt of that function.
    InterruptEntry(SourceId, u16),
}

/// Table entries, as they were read.
pub(crate) enum Loaded<'a> {
    /// Those on the way to a requester's tables, of which those count that were read at `now`.
    Route { requester: Requester, trail: &'a Trail, now: u64 },
    /// An interrupt entry, for an interrupt of `source`.
    InterruptEntry { source: SourceId, index: u16, place: PhysAddr, words: [u64; 2] },
}

/// What is cached from now on.
pub(crate) enum Filled {
    /// A translation, in the IOTLB.
    Translation { tag: Tag, address: VirtAddr, translation: Translation, origin: Origin },
    /// The same in a device's TLB: what is held in `from` is held in `to`, too.
    Ahead { from: HeldIn, to: HeldIn, address: VirtAddr, translation: Translation },
    /// That there is none.
    Absence { key: AbsentKey, origin: Origin },
    /// That a route, held in `held_in`, translates nothing.
    Passing { held_in: HeldIn, origin: Origin },
}

/// One use of something cached.
#[derive(Clone, Copy)]
pub(crate) enum Used<'a> {
    /// A translation.
    Translation(&'a Use<'a>),
    /// Table entries, by a walk.
    Walk(&'a Walked<'a>),
    /// That there is no translation.
    Absence(&'a Refused<'a>),
    /// Table entries by which the requester has no tables.
    NoRoute(&'a NoRoute<'a>),
    /// An interrupt entry that the table has no more.
    Interrupt(&'a InterruptUse),
}

/// How invalidations end.
#[derive(Clone, Copy)]
pub(crate) enum Ended {
    /// Everything that was received until now is complete.
    Waited,
    /// This device's TLB was emptied and drained by the device itself.
    Emptied(SourceId),
    /// This device never carries out what it was told last.
    GivenUp(SourceId, GivenUp),
}

/// What software has moved.
#[derive(Clone, Copy)]
pub(crate) enum Moved {
    /// The tables of all requesters, or translation was switched.
    Root,
    /// The table of interrupt entries, to this one.
    InterruptTable(InterruptTable),
}

/// When something happened: events are fills and invalidations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment {
    /// Events before.
    pub event: u64,
    /// Since the unit was made.
    pub elapsed: Duration,
}

/// Where a translation is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum HeldIn {
    Iotlb(Tag),
    /// Nowhere until a walk found it a moment ago, which began at that event; what it read itself is no older.
    Walked(Tag, u64),
    DeviceTlb(SourceId, Option<Pasid>),
    /// Nowhere: a route that is cached until that epoch ends says that nothing translates the requester's addresses.
    Route(Requester, u64),
}

/// What a cached translation rests on.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// For whom it was filled.
    pub(crate) requester: Requester,
    /// Whose it is.
    pub(crate) space: SpaceKey,
    /// The entries that led to its tables.
    pub(crate) route: Trail,
    /// The walk through them.
    pub(crate) path: Path,
}

/// One use of a cached translation.
pub(crate) struct Use<'a> {
    pub(crate) requester: Requester,
    pub(crate) request: &'a Request,
    pub(crate) held_in: HeldIn,
    pub(crate) hit: Translation,
    /// The entries by which the requester is translated.
    pub(crate) route: &'a Trail,
    /// What they lead to.
    pub(crate) stages: Stages,
}

/// One walk, and what came of it.
pub(crate) struct Walked<'a> {
    pub(crate) requester: Requester,
    pub(crate) request: &'a Request,
    /// Whose translations it looked for.
    pub(crate) tag: Tag,
    /// Events before its first reading.
    pub(crate) began: u64,
    pub(crate) origin: Origin,
    pub(crate) outcome: Result<Translation, FaultReason>,
}

/// A request that was refused for a cached reason.
pub(crate) struct Refused<'a> {
    pub(crate) requester: Requester,
    pub(crate) request: &'a Request,
    pub(crate) key: AbsentKey,
    pub(crate) reason: FaultReason,
}

/// A request of a requester that has no route.
pub(crate) struct NoRoute<'a> {
    pub(crate) requester: Requester,
    pub(crate) request: &'a Request,
    pub(crate) reason: FaultReason,
    /// How its tables are read.
    pub(crate) mode: TableMode,
    /// The entries on the way to where the route ends, cached or not.
    pub(crate) read: &'a Trail,
}

/// The use of a cached entry, of which the table says something else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterruptUse {
    pub(crate) source: SourceId,
    pub(crate) index: u16,
    pub(crate) cached: [u64; 2],
    pub(crate) filled: Moment,
    pub(crate) place: PhysAddr,
    pub(crate) now: Option<[u64; 2]>,
}
