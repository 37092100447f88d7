//! The shadow page table: a secondary MMU as KVM has one. A vCPU runs on it; its entries are derived from the
//! primary page table on demand and dropped when the notifier chain says so.
//!
//! Invariant: while no invalidation is in progress, an entry that is installed maps the frame that the primary
//! table maps, with no more permission, and is writable only where the primary entry is dirty already: a guest's store
//! does not pass by the primary entry. It rests on three things: range_start zaps under mmu_lock and counts itself
//! in; a fault takes the sequence before it looks anything up and installs only if, under mmu_lock, no invalidation
//! that concerns its page is in progress and the sequence has not moved; whoever writes the entries
//! ([`ShadowHardware`]) returns from a zap only when no vCPU uses what was zapped.
//! `invalidate_secondary` is not subscribed, as in KVM: between range_start and range_end there is nothing to drop.
//! Source: virt/kvm/kvm_main.c `kvm_mmu_notifier_invalidate_range_start`, `mmu_invalidate_retry_gfn`;
//! arch/x86/kvm/mmu/mmu.c `kvm_faultin_pfn`, `direct_page_fault`.

use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use steps::one_page::Protection;
use thiserror::Error;

use crate::address::{Access, VirtAddr, VirtRange};
use crate::address_space::{AddressSpace, FaultError, MappedPage};
use crate::frame::FrameRef;
use crate::notifier::{Invalidation, InvalidationSequence, MmuNotifier, SequenceSnapshot, WouldBlock};
use crate::pte::Pte;
use crate::table::Slot;
use crate::trace::{Action, Agent, Event, Observer};

mod software;
mod young;

pub use software::{SoftwareShadow, SoftwareVcpu};

/// Whoever writes the entries that vCPUs run on.
pub trait ShadowHardware: Send + Sync {
    /// Empties the entries of `pages` and flushes them from every vCPU; returns when no vCPU uses one of them.
    fn zap(&self, pages: &[ShadowPage]);
}

/// One page of the shadowed window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShadowPage {
    /// Its index in the window.
    pub index: usize,
    /// Its address.
    pub address: VirtAddr,
    /// Its entry.
    pub slot: Slot,
}

/// What decides whether a fault's result may still be installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retry {
    /// The sequence and the invalidations in progress, as KVM.
    #[default]
    BySequence,
    /// Nothing: the deliberate bug that shows what the sequence is for.
    Never,
}

/// The shadow page table of one guest over one address space.
pub struct ShadowMmu {
    /// The address space keeps its subscribers alive, not the other way round.
    space: Weak<AddressSpace>,
    observer: Arc<dyn Observer>,
    hardware: Arc<dyn ShadowHardware>,
    window: VirtRange,
    slots: Vec<Slot>,
    retry: Retry,
    sequence: InvalidationSequence,
    mmu_lock: Mutex<State>,
}

/// What mmu_lock protects.
struct State {
    /// What is installed, page by page; empty where nothing is.
    installed: Vec<Pte>,
    /// The ranges being invalidated, all of them in one (`mmu_invalidate_range_{start,end}`).
    invalidating: Option<VirtRange>,
    in_progress: u64,
}

/// A fault between its lookup in the primary table and its installation.
#[derive(Debug)]
pub struct PendingFault {
    page: VirtAddr,
    began: Instant,
    since: SequenceSnapshot,
    frame: FrameRef,
    permission: Protection,
}

/// An entry to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Install {
    /// Which page.
    pub page: ShadowPage,
    /// The entry.
    pub pte: Pte,
}

/// Why a shadow fault cannot be answered.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum ShadowError {
    /// The guest left the window.
    #[error("the guest touched {address}, outside its window {start}..{end}", start = .window.start, end = .window.end)]
    OutsideWindow {
        /// Where.
        address: VirtAddr,
        /// The window.
        window: VirtRange,
    },
    /// The primary address space refuses.
    #[error(transparent)]
    Primary(#[from] FaultError),
    /// The primary address space has ended.
    #[error("the address space that the guest runs in has ended")]
    Ended,
}

impl ShadowMmu {
    /// The shadow of `window` of `space`; `slots` are its entries, page by page. It is to be subscribed to the space's
    /// notifiers before the first fault.
    ///
    /// # Panics
    /// If there is not one slot a page.
    #[must_use]
    pub fn new(
        space: &Arc<AddressSpace>,
        hardware: Arc<dyn ShadowHardware>,
        window: VirtRange,
        slots: Vec<Slot>,
        retry: Retry,
    ) -> Arc<Self> {
        assert_eq!(slots.len() as u64, window.page_count(), "one slot for each page of {window:?}");
        let state = State { installed: vec![Pte::NONE; slots.len()], invalidating: None, in_progress: 0 };
        let mmu_lock = Mutex::new(state);
        let sequence = InvalidationSequence::default();
        let observer = space.shared_observer();
        let space = Arc::downgrade(space);
        Arc::new(Self { space, observer, hardware, window, slots, retry, sequence, mmu_lock })
    }

    /// Looks the page up in the primary table, faulting it in: the first half of a fault, without mmu_lock.
    ///
    /// # Errors
    /// [`ShadowError`] if there is nothing to be had at the address.
    pub fn begin_fault(&self, address: VirtAddr, access: Access) -> Result<PendingFault, ShadowError> {
        self.begin_fault_by(address, |space| space.page(address, access))
    }

    /// The same, with the look-up to be made: a test lets something happen behind it.
    fn begin_fault_by(
        &self,
        address: VirtAddr,
        look_up: impl FnOnce(&AddressSpace) -> Result<MappedPage, FaultError>,
    ) -> Result<PendingFault, ShadowError> {
        if !self.window.contains(address) {
            return Err(ShadowError::OutsideWindow { address, window: self.window });
        }
        let began = Instant::now();
        // Before the look-up: what is invalidated from here on may be what it finds.
        let since = self.sequence.snapshot();
        let space = self.space.upgrade().ok_or(ShadowError::Ended)?;
        let found = look_up(&space)?;
        let writable = found.entry.is_writable() && found.entry.is_dirty();
        let permission = if writable { Protection::ReadWrite } else { Protection::ReadOnly };
        Ok(PendingFault { page: address.page(), began, since, frame: found.frame, permission })
    }

    /// Installs what was found, unless an invalidation came in between: the second half. `write` is called under
    /// mmu_lock with the entry to be written; an entry of another frame is zapped first, for all vCPUs. False: the access
    /// must be tried again (`RET_PF_RETRY`).
    pub fn finish_fault(&self, fault: &PendingFault, agent: Agent, write: impl FnOnce(Install)) -> bool {
        let mut state = self.mmu_lock.lock();
        if self.retry == Retry::BySequence && self.must_retry(&state, fault) {
            return false;
        }
        let bits = match fault.permission {
            Protection::ReadOnly => Pte::ACCESSED,
            Protection::ReadWrite => Pte::ACCESSED | Pte::WRITE | Pte::DIRTY,
        };
        let pte = Pte::leaf(fault.frame.pfn()).with(bits);
        let page = self.page(self.index(fault.page));
        // As mmu_set_spte does: other vCPUs' TLBs may hold what was there. Of the same frame it allowed
        // no more: whoever takes a right away invalidates; who is allowed less faults again.
        let before = state.installed[page.index];
        if before.is_present() && before.pfn() != pte.pfn() {
            self.zap(&mut state, VirtRange::page(fault.page));
        }
        state.installed[page.index] = pte;
        write(Install { page, pte });
        let action = Action::Walk(fault.permission);
        let event = Event::since(fault.began, agent, action, fault.page, Some(fault.frame.pfn()));
        self.observer.record(event);
        true
    }

    /// What is installed for `address`; empty if nothing is, or it lies outside the window.
    #[must_use]
    pub fn installed(&self, address: VirtAddr) -> Pte {
        if !self.window.contains(address) {
            return Pte::NONE;
        }
        self.mmu_lock.lock().installed[self.index(address)]
    }

    /// Invalidations in progress, of whatever range.
    #[must_use]
    pub fn in_progress(&self) -> u64 {
        self.mmu_lock.lock().in_progress
    }

    /// Whether an invalidation is in progress: a fault is then better tried later.
    #[must_use]
    pub fn is_invalidating(&self) -> bool {
        self.sequence.is_in_progress()
    }

    /// `mmu_invalidate_retry_gfn`: another page's invalidation in progress does not concern this fault, but one
    /// that ended since the snapshot may have.
    fn must_retry(&self, state: &State, fault: &PendingFault) -> bool {
        let concerned = state.invalidating.is_some_and(|range| range.contains(fault.page));
        concerned || self.sequence.snapshot() != fault.since
    }

    /// Zaps what is installed in `range`, under mmu_lock; returns which pages were.
    fn zap(&self, state: &mut State, range: VirtRange) -> Vec<ShadowPage> {
        let zapped: Vec<_> = self.installed_in(state, range).collect();
        if !zapped.is_empty() {
            self.hardware.zap(&zapped);
        }
        for page in &zapped {
            state.installed[page.index] = Pte::NONE;
        }
        zapped
    }

    fn installed_in<'a>(
        &'a self,
        state: &'a State,
        range: VirtRange,
    ) -> impl Iterator<Item = ShadowPage> + 'a {
        (0..self.slots.len())
            .filter(|index| state.installed[*index] != Pte::NONE)
            .map(|index| self.page(index))
            .filter(move |page| range.contains(page.address))
    }

    fn index(&self, address: VirtAddr) -> usize {
        let pages = address.vpn() - self.window.start.vpn();
        usize::try_from(pages).unwrap_or(usize::MAX)
    }

    fn page(&self, index: usize) -> ShadowPage {
        let address = VirtRange::pages(self.window.start, index as u64).end;
        ShadowPage { index, address, slot: self.slots[index] }
    }
}

impl State {
    /// The union of all ranges in progress; exact again when the last one ends.
    fn begin(&mut self, range: VirtRange) {
        self.in_progress += 1;
        self.invalidating = Some(match self.invalidating {
            None => range,
            Some(before) => {
                VirtRange { start: before.start.min(range.start), end: before.end.max(range.end) }
            }
        });
    }

    fn end(&mut self) {
        self.in_progress -= 1;
        if self.in_progress == 0 {
            self.invalidating = None;
        }
    }
}

impl MmuNotifier for ShadowMmu {
    fn invalidate_range_start(&self, invalidation: &Invalidation) -> Result<(), WouldBlock> {
        let mut state = self.mmu_lock.lock();
        self.sequence.begin();
        state.begin(invalidation.range);
        self.zap(&mut state, invalidation.range);
        Ok(())
    }

    fn invalidate_range_end(&self, _: &Invalidation) {
        let mut state = self.mmu_lock.lock();
        self.sequence.end();
        state.end();
    }

    /// The entry is dropped rather than rewritten: the next access installs the new one. Inside range_start and
    /// range_end there is none to drop, which is why Linux removed the callback.
    fn change_pte(&self, page: VirtAddr, _: Pte) {
        let mut state = self.mmu_lock.lock();
        self.sequence.begin();
        self.zap(&mut state, VirtRange::page(page));
        self.sequence.end();
    }

    fn clear_flush_young(&self, range: VirtRange) -> bool {
        self.clear_young_in(range)
    }

    fn clear_young(&self, range: VirtRange) -> bool {
        self.clear_young_in(range)
    }

    fn test_young(&self, page: VirtAddr) -> bool {
        self.is_young(page)
    }

    fn release(&self) {
        let mut state = self.mmu_lock.lock();
        self.zap(&mut state, self.window);
    }
}

#[cfg(test)]
mod tests;
