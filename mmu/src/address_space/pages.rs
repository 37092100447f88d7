//! Pages of an address space, for those who need the frame rather than an access: `get_user_pages`, and the look
//! at what is mapped.

use super::{AddressSpace, FaultError};
use crate::address::{Access, Pfn, VirtAddr};
use crate::area::Merging;
use crate::frame::FrameRef;
use crate::pte::Pte;

/// A page that was looked up: its frame, held, and the entry that mapped it.
#[derive(Debug)]
pub struct MappedPage {
    /// The frame.
    pub frame: FrameRef,
    /// The entry as it was when the frame was held.
    pub entry: Pte,
}

impl AddressSpace {
    /// Looks up the frame behind `address` for `access`, faulting it in (`get_user_pages`). The frame is held, the
    /// entry is not: it may change at any time. Whoever asks in order to store finds the entry dirty: his stores
    /// will not pass by it again.
    ///
    /// # Errors
    /// [`FaultError`] if the access cannot be made possible.
    pub fn page(&self, address: VirtAddr, access: Access) -> Result<MappedPage, FaultError> {
        loop {
            match self.mapped_page(address) {
                Some(page) if access == Access::Read => return Ok(page),
                Some(page) if page.entry.is_writable() && page.entry.is_dirty() => return Ok(page),
                Some(page) if page.entry.is_writable() => self.mark_dirty(address, page.entry),
                _ => self.handle_fault(address, access)?,
            }
        }
    }

    /// Sets D in the entry if it is still `entry`.
    fn mark_dirty(&self, address: VirtAddr, entry: Pte) {
        if let Some(slot) = self.table.slot(address.page()) {
            // If it changed meanwhile, the caller looks again.
            let _marked = self.table.replace(slot, entry, entry.with(Pte::DIRTY));
        }
    }

    /// The frame that `address` is mapped to now, held; none if nothing is mapped. Without a lock: the entry is
    /// read again once the frame is held (GUP-fast).
    #[must_use]
    pub fn mapped_page(&self, address: VirtAddr) -> Option<MappedPage> {
        self.mapped_page_held_by(address, |pfn| self.frames.try_reference(pfn))
    }

    fn mapped_page_held_by(
        &self,
        address: VirtAddr,
        mut hold: impl FnMut(Pfn) -> Option<FrameRef>,
    ) -> Option<MappedPage> {
        let slot = self.table.slot(address.page())?;
        loop {
            let entry = self.table.load(slot);
            if !entry.is_present() {
                return None;
            }
            let Some(frame) = hold(entry.pfn()) else { continue };
            // Accessed and dirty bits may have been set meanwhile: they do not change which frame it is.
            let again = self.table.load(slot);
            if again.without(Pte::ACCESSED | Pte::DIRTY) == entry.without(Pte::ACCESSED | Pte::DIRTY) {
                return Some(MappedPage { frame, entry: again });
            }
        }
    }

    /// The word at `address` in the frame that is mapped there, read under the page-table lock; none if nothing is
    /// mapped. This is the truth that every cached translation is measured against.
    #[must_use]
    pub fn mapped_word(&self, address: VirtAddr) -> Option<u64> {
        self.with_mapped_frame(address, |space, entry| {
            space.frames.memory().load(entry.pfn().address().offset(address.0 & 0xff8))
        })
    }

    /// Stores a word into the frame that is mapped at `address`, under the page-table lock; false if nothing is
    /// mapped. For who repairs what an experiment broke.
    pub fn set_mapped_word(&self, address: VirtAddr, value: u64) -> bool {
        let stored = self.with_mapped_frame(address, |space, entry| {
            space.frames.memory().store(entry.pfn().address().offset(address.0 & 0xff8), value);
        });
        stored.is_some()
    }

    fn with_mapped_frame<T>(&self, address: VirtAddr, visit: impl Fn(&Self, Pte) -> T) -> Option<T> {
        let slot = self.table.slot(address.page())?;
        let _lock = self.table.lock(slot);
        let entry = self.table.load(slot);
        entry.is_present().then(|| visit(self, entry))
    }

    /// Whether KSM may merge the page at `address`.
    #[must_use]
    pub fn is_mergeable(&self, address: VirtAddr) -> bool {
        self.areas.read().find(address).is_some_and(|area| area.merging == Merging::Mergeable)
    }

    /// The addresses of all mergeable pages that are mapped, ascending.
    #[must_use]
    pub fn mergeable_pages(&self) -> Vec<VirtAddr> {
        let mut pages = Vec::new();
        let areas = self.areas.read();
        for area in areas.iter().filter(|area| area.merging == Merging::Mergeable) {
            self.table.for_each_slot(area.range, |page, slot| {
                if self.table.load(slot).is_present() {
                    pages.push(page);
                }
            });
        }
        pages
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
