//! The page-fault handler: makes one access possible, or says why it is not.
//!
//! Invariant: the handler decides on an entry it read without a lock and changes it only if it is still the same, under
//! the page-table lock; if not, the access is simply tried again. An entry is made more permissive
//! in place only if the frame is this page's alone; a TLB that still holds the less permissive entry then faults
//! once more for nothing.
//! Source: mm/memory.c `handle_pte_fault`, `do_anonymous_page`, `do_wp_page`, `do_shared_fault`.

use thiserror::Error;

use super::AddressSpace;
use crate::address::{Access, VirtAddr};
use crate::area::{Area, Backing};
use crate::entry::{Entry, Leaf};
use crate::frame::{FrameRef, FrameState, OutOfFrames, Owner};
use crate::live::{Execution, Stuck};
use crate::pte::Pte;
use crate::table::Slot;

/// Why an access cannot be made possible.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum FaultError {
    /// No area holds the address (`SIGSEGV`).
    #[error("{address} lies in no area of the address space")]
    NoArea {
        /// The address.
        address: VirtAddr,
    },
    /// There is no memory for the page.
    #[error(transparent)]
    OutOfFrames(#[from] OutOfFrames),
    /// The operation that breaks COW has a step that is not on this machine.
    #[error(transparent)]
    Stuck(Stuck),
    /// The entry is in a state that no operation of this program produces yet.
    #[error("the entry for {address} is {entry:?}, which no operation leaves behind yet")]
    Unexpected {
        /// The address.
        address: VirtAddr,
        /// Its entry.
        entry: Entry,
    },
}

impl From<Stuck> for FaultError {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::OutOfFrames(none) => Self::OutOfFrames(none),
            Stuck::NotLive { .. } => Self::Stuck(stuck),
        }
    }
}

impl AddressSpace {
    /// Makes `access` to `address` possible, or finds that it already is.
    ///
    /// # Errors
    /// [`FaultError`], with nothing changed.
    pub fn handle_fault(&self, address: VirtAddr, access: Access) -> Result<(), FaultError> {
        let areas = self.areas.read();
        let area = areas.find(address).ok_or(FaultError::NoArea { address })?;
        let page = address.page();
        let slot = self.table.ensure_slot(page)?;
        let entry = self.table.load(slot);
        match Entry::decode(entry, 1) {
            Entry::Absent => self.fault_absent(area, page, slot, access),
            Entry::Leaf(leaf) if access == Access::Write && !leaf.is_writable() => {
                self.fault_write_protected(area, page, slot, entry, leaf)
            }
            Entry::Leaf(_) => Ok(()),
            entry => Err(FaultError::Unexpected { address, entry }),
        }
    }

    /// `do_anonymous_page` and `do_shared_fault`: a page of its own, or the object's.
    fn fault_absent(
        &self,
        area: &Area,
        page: VirtAddr,
        slot: Slot,
        access: Access,
    ) -> Result<(), FaultError> {
        let frame = match &area.backing {
            Backing::PrivateAnonymous => {
                let frame = self.frames.allocate(FrameState::Anonymous)?;
                self.frames.set_owner(frame.pfn(), Owner { space: self.id.0, page });
                frame
            }
            Backing::Shared(object) => object.page(&self.frames, page.vpn() - area.range.start.vpn())?,
        };
        self.map_first(slot, frame, access);
        Ok(())
    }

    /// Fills an empty entry; if somebody was faster, the frame is dropped and the access tried again.
    fn map_first(&self, slot: Slot, frame: FrameRef, access: Access) {
        let dirty = if access == Access::Write { Pte::DIRTY } else { 0 };
        let entry = Pte::leaf(frame.pfn()).with(Pte::WRITE | Pte::ACCESSED | dirty);
        let _lock = self.table.lock(slot);
        if self.table.load(slot) == Pte::NONE {
            let _pfn = frame.into_mapping();
            self.table.store(slot, entry);
        }
    }

    /// `do_wp_page`: in place where the frame is shared on purpose or nobody else's, by a copy otherwise.
    fn fault_write_protected(
        &self,
        area: &Area,
        page: VirtAddr,
        slot: Slot,
        entry: Pte,
        leaf: Leaf,
    ) -> Result<(), FaultError> {
        let lock = self.table.lock(slot);
        let shared = matches!(area.backing, Backing::Shared(_));
        if shared || self.is_exclusive(leaf) {
            let writable = entry.with(Pte::WRITE | Pte::DIRTY | Pte::ACCESSED);
            // If the entry changed meanwhile, be it by a bit that hardware set, the access is tried again.
            let _replaced = self.table.replace(slot, entry, writable);
            return Ok(());
        }
        let Some(old) = self.frames.try_reference(leaf.pfn) else { return Ok(()) };
        drop(lock);
        Execution::new(self, page, slot, entry, old).run(&self.options.break_cow)?;
        Ok(())
    }

    /// `wp_can_reuse_anon_folio`: one reference, and that is this entry's. A KSM page is never anybody's alone.
    fn is_exclusive(&self, leaf: Leaf) -> bool {
        self.frames.state(leaf.pfn) == FrameState::Anonymous
            && self.frames.mapcount(leaf.pfn) == 1
            && self.frames.refcount(leaf.pfn) == 1
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
