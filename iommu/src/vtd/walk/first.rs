//! The first stage: the CPU's page-table format, alone or nested in the second stage.
//!
//! Invariant: every request is a user's, so each level must have U/S set. A is set in each entry that is used, D in the
//! leaf of a write; if an entry changed meanwhile, the walk starts over, a bounded number of times: a guest may change
//! it for ever. Source: VT-d 3.6, 3.6.2 (A and D), 3.8 (nested).

use mmu::address::{Access, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::cache::{Permission, Tag, Translation};
use mmu::pte::{Pte, Shape};

use crate::spec::fault::FaultReason;
use crate::vtd::route::{Dialect, FirstStage, Reach, SecondStage};
use crate::vtd::trail::Table;
use crate::vtd::walk::{Obstacle, PagingEntry, Space, TablePlace, Walker, allow};

/// Walks that may be overtaken by a change before the last one counts as not present.
const ATTEMPTS: usize = 16;

/// What the walk is about.
#[derive(Clone, Copy)]
struct Goal {
    stage: FirstStage,
    nest: Option<SecondStage>,
    tag: Option<Tag>,
    second_tag: Option<Tag>,
    address: VirtAddr,
    access: Access,
}

/// A leaf as it was read.
struct Leaf {
    place: PhysAddr,
    entry: Pte,
    pfn: Pfn,
    size: PageSize,
    allowed: u64,
    writable: bool,
}

/// Why a descent ended before its leaf.
enum Stop {
    Fault(FaultReason),
    /// An entry changed between its reading and its marking.
    Overtaken,
}

impl From<FaultReason> for Stop {
    fn from(reason: FaultReason) -> Self {
        Self::Fault(reason)
    }
}

impl Walker<'_> {
    /// Translates `address` for `access`.
    pub(super) fn first(
        &mut self,
        stage: FirstStage,
        nest: Option<SecondStage>,
        space: &Space,
        address: VirtAddr,
        access: Access,
    ) -> Result<Translation, FaultReason> {
        if !stage.root.levels.is_canonical(address) {
            return Err(FaultReason::NotCanonical);
        }
        let goal = Goal { stage, nest, tag: space.tag, second_tag: space.second_tag, address, access };
        let start = self.recorder.len();
        for _ in 0..ATTEMPTS {
            self.recorder.truncate(start);
            match self.descend(&goal, start).and_then(|leaf| self.finish(&goal, &leaf)) {
                Ok(found) => return Ok(found),
                Err(Stop::Fault(reason)) => return Err(reason),
                Err(Stop::Overtaken) => {}
            }
        }
        Err(FaultReason::FirstStageNotPresent)
    }

    /// From the root, or from the lowest table that is cached, to the leaf.
    fn descend(&mut self, goal: &Goal, start: usize) -> Result<Leaf, Stop> {
        let (mut level, mut at) = self.first_table(goal, start)?;
        loop {
            let place = at.table.address.offset(goal.address.table_index(level) * 8);
            let entry = self.entry(goal, place, level)?;
            at.allowed &= entry.0;
            let next = match entry.shape(level) {
                Shape::Absent => return Err(FaultReason::FirstStageNotPresent.into()),
                Shape::Reserved => return Err(FaultReason::FirstStageReserved.into()),
                Shape::Page(pfn, size) => {
                    let PagingEntry { table: TablePlace { writable, .. }, allowed, .. } = at;
                    return Ok(Leaf { place, entry, pfn, size, allowed, writable });
                }
                Shape::Table(next) => next,
            };
            self.mark(place, entry, Pte::ACCESSED, at.table.writable)?;
            at.table = self.table_place(goal, next.address(), FaultReason::NestedEntryRead)?;
            level -= 1;
            at.trail = self.recorder.trail_from(start);
            self.keep(goal.tag, level, goal.address, at.clone());
        }
    }

    fn first_table(&mut self, goal: &Goal, start: usize) -> Result<(u32, PagingEntry), FaultReason> {
        let levels = goal.stage.root.levels.count();
        if let Some(found) = self.cached(goal.tag, levels, goal.address) {
            return Ok(found);
        }
        let table = self.table_place(goal, goal.stage.root.table.address(), FaultReason::NestedRootRead)?;
        let trail = self.recorder.trail_from(start);
        Ok((levels, PagingEntry { table, allowed: Pte::WRITE | Pte::USER, trail }))
    }

    /// Where a table lies that the first stage names by `address`; `unreadable` if the second stage does not let it
    /// be read.
    fn table_place(
        &mut self,
        goal: &Goal,
        address: PhysAddr,
        unreadable: FaultReason,
    ) -> Result<TablePlace, FaultReason> {
        let Some(second) = goal.nest else { return Ok(TablePlace { address, writable: true }) };
        let found = self.second(second, goal.second_tag, address.0);
        let found = found.map_err(|obstacle| match obstacle {
            Obstacle::Beyond => FaultReason::NestedBeyondWidth,
            Obstacle::Denied => unreadable,
            other => other.reason(Dialect::Scalable, Access::Read),
        })?;
        if !found.permission.read {
            return Err(unreadable);
        }
        Ok(TablePlace { address: found.physical(VirtAddr(address.0)), writable: found.permission.write })
    }

    /// The entry at `place`, if that lies in memory.
    fn entry(&mut self, goal: &Goal, place: PhysAddr, level: u32) -> Result<Pte, FaultReason> {
        let is_root = level == goal.stage.root.levels.count();
        let outside = if is_root { FaultReason::FirstStageRoot } else { FaultReason::FirstStageAccess };
        let value = self.load(Table::FirstStage { level }, place, |value| is_leaf(Pte(value), level));
        value.map(Pte).ok_or(outside)
    }

    /// Checks what the leaf allows, here and in the second stage, and marks it.
    fn finish(&mut self, goal: &Goal, leaf: &Leaf) -> Result<Translation, Stop> {
        let own = own_translation(leaf, goal.access)?;
        let found = match goal.nest {
            Some(second) => self.through_second(goal, second, own)?,
            None => own,
        };
        let marks = match goal.access {
            Access::Read => Pte::ACCESSED,
            Access::Write => Pte::ACCESSED | Pte::DIRTY,
        };
        let marked = self.mark(leaf.place, leaf.entry, marks, leaf.writable)?;
        Ok(Translation { dirty: marked.is_dirty(), ..found })
    }

    fn through_second(
        &mut self,
        goal: &Goal,
        second: SecondStage,
        first: Translation,
    ) -> Result<Translation, FaultReason> {
        let inner = first.physical(goal.address).0;
        let found = self.second(second, goal.second_tag, inner);
        let found = found.map_err(|obstacle| obstacle.reason(Dialect::Scalable, goal.access))?;
        let size = if found.size.bytes() < first.size.bytes() { found.size } else { first.size };
        let frame = found.physical(VirtAddr(inner)).0 & !(size.bytes() - 1);
        let permission = Permission {
            read: first.permission.read && found.permission.read,
            write: first.permission.write && found.permission.write,
            execute: false,
        };
        let combined = Translation { pfn: PhysAddr(frame).pfn(), size, permission, dirty: false };
        allow(combined, Dialect::Scalable, goal.access)
    }

    /// Sets `marks` in the entry as it was read; the entry as it stands then. A look past the caches marks nothing.
    fn mark(&self, place: PhysAddr, entry: Pte, marks: u64, writable: bool) -> Result<Pte, Stop> {
        let marked = entry.with(marks);
        if marked == entry || self.reach == Reach::Tables {
            return Ok(marked);
        }
        if !writable {
            return Err(Stop::Fault(FaultReason::NestedEntryWrite));
        }
        match self.memory.try_compare_exchange(place, entry.0, marked.0) {
            Some(Ok(_)) => Ok(marked),
            Some(Err(_)) => Err(Stop::Overtaken),
            // It could be read just now: whoever lends the memory has taken it away, or lets nobody write it.
            None => Err(FaultReason::FirstStageAccess.into()),
        }
    }
}

fn is_leaf(entry: Pte, level: u32) -> bool {
    level == 1 || entry.0 & Pte::LARGE != 0
}

fn own_translation(leaf: &Leaf, access: Access) -> Result<Translation, FaultReason> {
    if leaf.allowed & Pte::USER == 0 {
        return Err(FaultReason::NotUser);
    }
    // XD forbids what no request here asks for, and is ignored whatever the PASID entry says (VT-d 9.8; NXE is deprecated).
    let permission = Permission { read: true, write: leaf.allowed & Pte::WRITE != 0, execute: false };
    let found = Translation { pfn: leaf.pfn, size: leaf.size, permission, dirty: false };
    allow(found, Dialect::Scalable, access)
}

#[cfg(test)]
mod tests;
