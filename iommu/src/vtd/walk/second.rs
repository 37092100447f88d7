//! The second stage: three or four levels, read and write apart, no A and D bits.
//!
//! Invariant: an entry that allows nothing is not present. Source: VT-d 3.7, 9.7.

use mmu::address::{Access, PageSize, VirtAddr};
use mmu::cache::{Permission, Tag, Translation};

use crate::spec::fault::FaultReason;
use crate::spec::paging::SecondStageEntry;
use crate::vtd::route::{Dialect, SecondStage};
use crate::vtd::trail::Table;
use crate::vtd::walk::{PagingEntry, TablePlace, Walker};

/// What is in the way of a second-stage translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Obstacle {
    /// The uppermost table lies outside memory.
    Root,
    /// Another table does.
    Access,
    /// An entry allows nothing.
    Absent,
    /// An entry has reserved bits set.
    Reserved,
    /// The address is wider than the table.
    Beyond,
    /// The entries do not allow this access.
    Denied,
}

impl Obstacle {
    /// The reason of the fault that it causes.
    pub(crate) const fn reason(self, dialect: Dialect, access: Access) -> FaultReason {
        match (dialect, self) {
            (Dialect::Legacy, Self::Root) => FaultReason::ContextInvalid,
            (Dialect::Legacy, Self::Access) => FaultReason::TableAccess,
            (Dialect::Legacy, Self::Reserved) => FaultReason::EntryReserved,
            (Dialect::Legacy, Self::Beyond) => FaultReason::BeyondWidth,
            (Dialect::Legacy, Self::Absent | Self::Denied) => match access {
                Access::Read => FaultReason::ReadNotAllowed,
                Access::Write => FaultReason::WriteNotAllowed,
            },
            (Dialect::Scalable, Self::Root) => FaultReason::SecondStageRoot,
            (Dialect::Scalable, Self::Access) => FaultReason::SecondStageAccess,
            (Dialect::Scalable, Self::Reserved) => FaultReason::SecondStageReserved,
            (Dialect::Scalable, Self::Beyond) => FaultReason::ScalableBeyondWidth,
            (Dialect::Scalable, Self::Absent) => FaultReason::SecondStageNotPresent,
            (Dialect::Scalable, Self::Denied) => match access {
                Access::Read => FaultReason::ScalableReadNotAllowed,
                Access::Write => FaultReason::ScalableWriteNotAllowed,
            },
        }
    }
}

impl Walker<'_> {
    /// Translates `address`, whatever for: the translation says what it allows, and allows something.
    pub(super) fn second(
        &mut self,
        stage: SecondStage,
        tag: Option<Tag>,
        address: u64,
    ) -> Result<Translation, Obstacle> {
        if !stage.levels.reaches(address) {
            return Err(Obstacle::Beyond);
        }
        let address = VirtAddr(address);
        let start = self.recorder.len();
        let (mut level, mut at) = match self.cached(tag, stage.levels.count(), address) {
            Some(found) => found,
            None => (stage.levels.count(), self.root_of(stage, start)),
        };
        loop {
            let place = at.table.address.offset(address.table_index(level) * 8);
            let is_leaf = |value| SecondStageEntry(value).is_leaf(level);
            let outside = if level == stage.levels.count() { Obstacle::Root } else { Obstacle::Access };
            let value = self.load(Table::SecondStage { level }, place, is_leaf).ok_or(outside)?;
            let entry = SecondStageEntry(value);
            if !entry.is_present() {
                return Err(Obstacle::Absent);
            }
            if entry.has_reserved(level) {
                return Err(Obstacle::Reserved);
            }
            at.allowed &= value;
            if entry.is_leaf(level) {
                return leaf(entry, level, at.allowed);
            }
            at.table.address = entry.table();
            level -= 1;
            at.trail = self.recorder.trail_from(start);
            self.keep(tag, level, address, at.clone());
        }
    }

    fn root_of(&self, stage: SecondStage, start: usize) -> PagingEntry {
        PagingEntry {
            table: TablePlace { address: stage.table, writable: true },
            allowed: SecondStageEntry::READ | SecondStageEntry::WRITE,
            trail: self.recorder.trail_from(start),
        }
    }
}

fn leaf(entry: SecondStageEntry, level: u32, allowed: u64) -> Result<Translation, Obstacle> {
    let size = PageSize::of_level(level).ok_or(Obstacle::Reserved)?;
    let permission = SecondStageEntry(allowed).permission();
    if permission == Permission::default() {
        return Err(Obstacle::Denied);
    }
    Ok(Translation { pfn: entry.frame(), size, permission, dirty: true })
}
