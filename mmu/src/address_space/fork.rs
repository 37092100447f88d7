//! Fork: a child that shares every private page until somebody writes.
//!
//! Invariant: when [`AddressSpace::fork`] returns, nobody can store to a shared page through a translation made
//! before: entries are write-protected, then CPU TLBs flushed, then secondary TLBs invalidated, and only then does
//! the child exist. Source: mm/memory.c `copy_present_ptes`, kernel/fork.c `dup_mmap`.

use std::sync::Arc;

use super::{AddressSpace, SpaceId};
use crate::address::{VirtAddr, VirtRange};
use crate::area::{Area, Backing};
use crate::frame::OutOfFrames;
use crate::notifier::{Blocking, Invalidation, InvalidationKind};
use crate::table::{PageTable, Slot};
use crate::trace::{Action, Agent, Event};

impl AddressSpace {
    /// A child named `id`, with the same areas, sharing all private pages; it has no TLBs and no secondary MMUs.
    ///
    /// # Errors
    /// [`OutOfFrames`] if there is no frame for the child's tables. Pages shared before that stay write-protected
    /// here, which costs a fault and nothing else.
    pub fn fork(&self, id: SpaceId) -> Result<Arc<Self>, OutOfFrames> {
        let areas = self.areas.write();
        let table = PageTable::new(Arc::clone(&self.frames), self.options.levels)?;
        let child = Self::assemble(Arc::clone(&self.frames), id, self.options.clone(), table, areas.clone());
        for area in areas.iter().filter(|area| matches!(area.backing, Backing::PrivateAnonymous)) {
            self.share_area(&child, area)?;
        }
        Ok(Arc::new(child))
    }

    fn share_area(&self, child: &Self, area: &Area) -> Result<(), OutOfFrames> {
        let open = self.notifiers.start(Invalidation {
            range: area.range,
            kind: InvalidationKind::ProtectionPage,
            blocking: Blocking::Allowed,
        });
        let mut shared = Ok(());
        self.table.for_each_slot(area.range, |page, slot| {
            if shared.is_ok() {
                shared = self.share_page(child, page, slot);
            }
        });
        self.flush_tlb(area.range);
        self.notifiers.invalidate_secondary(area.range);
        self.report_share(area.range);
        drop(open);
        shared
    }

    /// `copy_present_pte`: write-protected here and there, one more mapping.
    fn share_page(&self, child: &Self, page: VirtAddr, slot: Slot) -> Result<(), OutOfFrames> {
        if !self.table.load(slot).is_present() {
            return Ok(());
        }
        let theirs = child.table.ensure_slot(page)?;
        let _lock = self.table.lock(slot);
        loop {
            let entry = self.table.load(slot);
            if !entry.is_present() {
                return Ok(());
            }
            let protected = entry.write_protected();
            if !self.table.replace(slot, entry, protected) {
                continue;
            }
            if let Some(reference) = self.frames.try_reference(entry.pfn()) {
                let _pfn = reference.into_mapping();
                child.table.store(theirs, protected);
            }
            return Ok(());
        }
    }

    fn report_share(&self, range: VirtRange) {
        self.table.for_each_slot(range, |page, slot| {
            let entry = self.table.load(slot);
            if entry.is_present() {
                let event = Event::now(Agent::Mm, Action::Share, page, Some(entry.pfn()));
                self.observer().record(event);
            }
        });
    }
}
