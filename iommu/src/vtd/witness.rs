//! What the unit tells of itself.
//!
//! Invariant: it is what was read, cached and used, and never what follows from it.

use std::time::Duration;

use mmu::address::PhysAddr;
use mmu::cache::{Tag, Translation};

use crate::pasid::Pasid;
use crate::spec::fault::FaultReason;
use crate::spec::id::SourceId;
use crate::vtd::port::Request;
use crate::vtd::route::{Requester, Stages};
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::Trail;
use crate::vtd::walk::Path;

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
pub(crate) enum Place {
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
    pub(crate) place: Place,
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
