//! The unit's page walk: first stage, second stage, or the first nested in the second.
//!
//! Invariant: a walk takes no lock but the paging-structure cache's, trusts nothing that it reads, and ends after a
//! bounded number of loads. It fills a paging-structure cache only with what nobody invalidated since it began.
//! A and D are set in the very entry that was read, or the walk starts over. Source: VT-d 3.6, 3.7, 3.8, 6.2.5.

mod first;
mod second;

use std::ops::RangeInclusive;

use mmu::address::{Access, PageSize, Pfn, PhysAddr, VirtAddr, VirtRange};
use mmu::cache::{Permission, Tag, Translation};
use mmu::memory::PhysicalMemory;
use pcie::Msi;

use crate::spec::fault::FaultReason;
use crate::vtd::route::{Dialect, Reach, Stages};
use crate::vtd::table_cache::{TableCache, Ticket};
use crate::vtd::trail::{Recorder, Table, Trail};

pub(crate) use self::second::Obstacle;

/// The paging-structure caches, all levels together.
pub(crate) type PagingCache = TableCache<PagingKey, PagingEntry>;

/// Levels of a table at most.
const MOST_LEVELS: u32 = 5;

/// Which table an entry leads to: that of `level`, for the addresses that begin with `prefix`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct PagingKey {
    pub(crate) tag: Tag,
    pub(crate) level: u32,
    /// The address without the bits that the table translates.
    pub(crate) prefix: u64,
}

/// Where a table lies, and what the entries above it allow.
#[derive(Clone, Debug)]
pub(crate) struct PagingEntry {
    table: TablePlace,
    allowed: u64,
    trail: Trail,
}

/// A table, as it lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct TablePlace {
    address: PhysAddr,
    /// Whether the unit may mark its entries: not if the second stage protects them.
    writable: bool,
}

/// Whose addresses are walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Space {
    pub(crate) stages: Stages,
    pub(crate) dialect: Dialect,
    /// The tag of its translations.
    pub(crate) tag: Option<Tag>,
    /// The tag of its second stage's, if it is nested.
    pub(crate) second_tag: Option<Tag>,
}

/// A walk that was made: from which stages on, and through which entries.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) stages: Stages,
    pub(crate) walk: Trail,
}

impl Path {
    /// No stage and no entry: the address is physical.
    pub(crate) fn identity() -> Self {
        Self { stages: Stages::Identity, walk: Trail::default() }
    }
}

/// One walk.
pub(crate) struct Walker<'a> {
    memory: &'a PhysicalMemory,
    paging: &'a PagingCache,
    ticket: Ticket,
    reach: Reach,
    pub(crate) recorder: Recorder,
}

impl PagingKey {
    fn new(tag: Tag, level: u32, address: VirtAddr) -> Self {
        Self { tag, level, prefix: address.0 >> Self::shift(level) }
    }

    const fn shift(level: u32) -> u32 {
        12 + 9 * level
    }

    /// The keys of `tag` of the tables for addresses of `range`.
    pub(crate) fn above(tag: Tag, range: VirtRange) -> impl Iterator<Item = RangeInclusive<Self>> {
        let last = VirtAddr(range.end.0 - 1);
        (1..MOST_LEVELS).map(move |level| Self::new(tag, level, range.start)..=Self::new(tag, level, last))
    }

    /// All keys of `tag`.
    pub(crate) const fn of(tag: Tag) -> RangeInclusive<Self> {
        Self { tag, level: 0, prefix: 0 }..=Self { tag, level: MOST_LEVELS, prefix: u64::MAX }
    }
}

impl Space {
    /// The same tables, whose caches are neither asked nor filled.
    pub(crate) fn untagged(self) -> Self {
        Self { tag: None, second_tag: None, ..self }
    }
}

impl<'a> Walker<'a> {
    /// A walk that begins now: what is invalidated from here on it does not fill.
    pub(crate) fn begin(
        memory: &'a PhysicalMemory,
        paging: &'a PagingCache,
        reach: Reach,
        recorder: Recorder,
    ) -> Self {
        Self { memory, paging, ticket: paging.ticket(), reach, recorder }
    }

    /// Translates `address` for `access`.
    pub(crate) fn walk(
        &mut self,
        space: &Space,
        address: VirtAddr,
        access: Access,
    ) -> Result<Translation, FaultReason> {
        let found = match space.stages {
            Stages::Identity => return Ok(identity(address)),
            Stages::Second(stage) => {
                let found = self.second(stage, space.tag, address.0);
                let found = found.map_err(|obstacle| obstacle.reason(space.dialect, access))?;
                allow(found, space.dialect, access)
            }
            Stages::First(stage) => self.first(stage, None, space, address, access),
            Stages::Nested(stage, second) => self.first(stage, Some(second), space, address, access),
        };
        outside_interrupts(found?, space.dialect, address)
    }

    /// The way that was walked last.
    pub(crate) fn path(&self, space: &Space) -> Path {
        Path { stages: space.stages, walk: self.recorder.trail() }
    }

    fn load(&mut self, table: Table, place: PhysAddr, is_leaf: impl Fn(u64) -> bool) -> Option<u64> {
        let value = self.memory.try_load(place)?;
        self.recorder.note(table, place, value, is_leaf(value));
        Some(value)
    }

    /// The lowest table for `address` that is cached, with its level.
    fn cached(&mut self, tag: Option<Tag>, levels: u32, address: VirtAddr) -> Option<(u32, PagingEntry)> {
        let tag = tag.filter(|_| self.reach == Reach::Caches)?;
        let found = (1..levels)
            .find_map(|level| Some((level, self.paging.get(&PagingKey::new(tag, level, address))?)))?;
        self.recorder.follow(&found.1.trail);
        Some(found)
    }

    fn keep(&self, tag: Option<Tag>, level: u32, address: VirtAddr, entry: PagingEntry) {
        if let Some(tag) = tag.filter(|_| self.reach == Reach::Caches) {
            self.paging.fill(self.ticket, PagingKey::new(tag, level, address), entry);
        }
    }
}

/// The page of an address that is physical already.
pub(crate) const fn identity(address: VirtAddr) -> Translation {
    Translation {
        pfn: Pfn(address.vpn()),
        size: PageSize::Size4K,
        permission: Permission::READ_WRITE,
        dirty: true,
    }
}

/// No table may lead into the interrupt range. Of a large page that holds it the rest is translated, in pages of 4 KiB.
fn outside_interrupts(
    found: Translation,
    dialect: Dialect,
    address: VirtAddr,
) -> Result<Translation, FaultReason> {
    let reached = found.physical(address);
    if Msi::is_address(reached.0) {
        return Err(match dialect {
            Dialect::Legacy => FaultReason::InterruptRange,
            Dialect::Scalable => FaultReason::ScalableInterruptRange,
        });
    }
    let holds_range = Msi::FIRST_ADDRESS & !(found.size.bytes() - 1) == found.pfn.address().0;
    if holds_range {
        Ok(Translation { pfn: reached.pfn(), size: PageSize::Size4K, ..found })
    } else {
        Ok(found)
    }
}

fn allow(found: Translation, dialect: Dialect, access: Access) -> Result<Translation, FaultReason> {
    if found.permission.allows(access) {
        return Ok(found);
    }
    Err(Obstacle::Denied.reason(dialect, access))
}
