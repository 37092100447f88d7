//! The hardware page walk, as CPUs, software vCPUs and the IOMMU's first stage do it.
//!
//! Invariant: the walk takes no lock and trusts nothing it reads: a table outside memory is a fault. It sets A in
//! every entry it uses and D in the leaf of a store, atomically and only in the very entry it read; if the entry
//! changed meanwhile, the walk starts over. So D is never set in an entry that maps another frame by now.
//! Source: Intel SDM vol. 3, 4.6 and 4.8; VT-d 3.6 and 3.6.2 (A/D bits of the first stage).

use thiserror::Error;

use crate::address::{Access, PageSize, Pfn, PhysAddr, VirtAddr};
use crate::cache::{Permission, Translation};
use crate::memory::PhysicalMemory;
use crate::pte::{Pte, Shape};
use crate::table::{Levels, Root};

/// Why hardware refuses an access.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{access:?} at {address}: {reason}")]
pub struct Fault {
    /// The address.
    pub address: VirtAddr,
    /// What was tried.
    pub access: Access,
    /// What is in the way.
    pub reason: FaultReason,
}

/// What is in the way of an access.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum FaultReason {
    /// The upper bits do not repeat the highest translated one.
    #[error("the address is not canonical")]
    NotCanonical,
    /// An entry is not present.
    #[error("the entry of level {level} is not present")]
    NotPresent {
        /// Its level, 1 for the last table.
        level: u32,
    },
    /// An entry has reserved bits set.
    #[error("the entry of level {level} has reserved bits set")]
    Reserved {
        /// Its level.
        level: u32,
    },
    /// An entry does not allow the access to user mode.
    #[error("the access is not permitted")]
    Protection,
    /// An entry points outside physical memory.
    #[error("the table of level {level} lies outside memory")]
    OutsideMemory {
        /// Level of the table.
        level: u32,
    },
}

/// The entries of one descent, as they were read.
struct Descent {
    leaf: PhysAddr,
    entry: Pte,
    pfn: Pfn,
    size: PageSize,
    permission: Permission,
}

/// Translates `address` for a user-mode `access` and sets A and D bits.
///
/// # Errors
/// [`Fault`], with D untouched. A may have been set in the upper levels.
#[inline]
pub fn walk(
    memory: &PhysicalMemory,
    root: Root,
    address: VirtAddr,
    access: Access,
) -> Result<Translation, Fault> {
    match walk_marked(memory, root, address, access) {
        Some(translation) => Ok(translation),
        None => walk_and_mark(memory, root, address, access),
    }
}

/// The common case: four or five entries that are all there, marked already, and allow the access. Everything else is
/// left to the whole walk, which starts over.
#[inline]
fn walk_marked(
    memory: &PhysicalMemory,
    root: Root,
    address: VirtAddr,
    access: Access,
) -> Option<Translation> {
    // Apart, so that each is a row of loads with shifts that are constants.
    match root.levels {
        Levels::Four => walk_levels::<4>(memory, root, address, access),
        Levels::Five => walk_levels::<5>(memory, root, address, access),
    }
}

/// Nothing is decided between two loads: what the entries allow, and whether they lead to tables, is gathered, and
/// looked at behind the last one. So a load may be of a table that no entry names, for another one before it was
/// absent. It is of memory all the same, changes nothing, and what it says is not used.
#[inline(always)]
fn walk_levels<const LEVELS: u32>(
    memory: &PhysicalMemory,
    root: Root,
    address: VirtAddr,
    access: Access,
) -> Option<Translation> {
    // In the word of what all entries have in common this bit says that none of those above the leaf is one: there it
    // is turned.
    const TABLES: u64 = Pte::LARGE;
    let needed = TABLES | Pte::PRESENT | Pte::ACCESSED | needed(access);
    if !root.levels.is_canonical(address) {
        return None;
    }
    // What lies behind a hole is left to the whole walk.
    let pages = memory.low_pages();
    let mut table = root.table.address();
    let mut common = u64::MAX;
    let mut level = LEVELS;
    while level > 1 {
        let entry = pages.load(table, address.table_index(level) * 8)?;
        common &= entry ^ TABLES;
        table = Pte(entry).pfn().address();
        level -= 1;
    }
    let entry = Pte(pages.load(table, address.table_index(1) * 8)?);
    common &= entry.0 | TABLES;
    let lacks_mark = access == Access::Write && !entry.is_dirty();
    if common & needed != needed || lacks_mark {
        return None;
    }
    let permission = permission(common);
    Some(Translation { pfn: entry.pfn(), size: PageSize::Size4K, permission, dirty: entry.is_dirty() })
}

/// The bits without which an entry does not allow the access.
#[inline]
const fn needed(access: Access) -> u64 {
    match access {
        Access::Read => Pte::USER,
        Access::Write => Pte::USER | Pte::WRITE,
    }
}

/// The whole walk: faults, large pages, and the marks.
#[cold]
fn walk_and_mark(
    memory: &PhysicalMemory,
    root: Root,
    address: VirtAddr,
    access: Access,
) -> Result<Translation, Fault> {
    let fault = |reason| Fault { address, access, reason };
    loop {
        let found = descend(memory, root, address).map_err(fault)?;
        if !found.permission.allows(access) {
            return Err(fault(FaultReason::Protection));
        }
        if let Some(entry) = mark_leaf(memory, &found, access) {
            return Ok(Translation {
                pfn: found.pfn,
                size: found.size,
                permission: found.permission,
                dirty: entry.is_dirty(),
            });
        }
    }
}

/// One load a level, each dependent on the one before.
fn descend(memory: &PhysicalMemory, root: Root, address: VirtAddr) -> Result<Descent, FaultReason> {
    if !root.levels.is_canonical(address) {
        return Err(FaultReason::NotCanonical);
    }
    let mut table = root.table.address();
    let mut allowed = Pte::WRITE | Pte::USER;
    let mut level = root.levels.count();
    loop {
        let place = table.offset(address.table_index(level) * 8);
        let entry = Pte(memory.try_load(place).ok_or(FaultReason::OutsideMemory { level })?);
        allowed &= entry.0;
        let next = match entry.shape(level) {
            Shape::Absent => return Err(FaultReason::NotPresent { level }),
            Shape::Reserved => return Err(FaultReason::Reserved { level }),
            Shape::Page(pfn, size) => {
                return Ok(Descent { leaf: place, entry, pfn, size, permission: permission(allowed) });
            }
            Shape::Table(next) => next,
        };
        if !entry.is_young() {
            // An upper entry that changed under us is read again by nobody who cares: A is a hint there.
            let _marked = memory.compare_exchange(place, entry.0, entry.0 | Pte::ACCESSED);
        }
        table = next.address();
        level -= 1;
    }
}

/// U/S gates everything for a user access, R/W gates stores. Instruction fetches are not modelled here.
#[inline]
fn permission(allowed: u64) -> Permission {
    let user = allowed & Pte::USER != 0;
    Permission { read: user, write: user && allowed & Pte::WRITE != 0, execute: false }
}

/// Sets A, and D for a store, in the leaf as it was read; none if it changed meanwhile.
fn mark_leaf(memory: &PhysicalMemory, found: &Descent, access: Access) -> Option<Pte> {
    let marked = found.entry.with(marks(access));
    if marked == found.entry {
        return Some(marked);
    }
    memory.compare_exchange(found.leaf, found.entry.0, marked.0).ok().map(|_| marked)
}

/// The bits that an access leaves in a leaf.
#[inline]
const fn marks(access: Access) -> u64 {
    match access {
        Access::Read => Pte::ACCESSED,
        Access::Write => Pte::ACCESSED | Pte::DIRTY,
    }
}

#[cfg(test)]
mod tests;
