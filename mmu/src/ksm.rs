//! KSM: finds pages of equal contents and merges them into one read-only frame.
//!
//! Invariant: the checksum only proposes; what is merged was compared byte by byte after every right to store to it
//! was taken away, by the program in [`steps::operation::ksm`]. A frame in the stable index is held by nobody there:
//! a candidate is taken only if it is still in use as a KSM frame.
//! Source: mm/ksm.c `cmp_and_merge_page`, `stable_tree_search`, `unstable_tree_search_insert`,
//! `try_to_merge_two_pages`. Linux keeps its indexes as trees ordered by memcmp; here they are tables by checksum.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use steps::operation::ksm;
use steps::program::Program;

use crate::address::{Access, Pfn, VirtAddr};
use crate::address_space::{AddressSpace, FaultError, MappedPage};
use crate::frame::{FrameRef, FrameState, Frames};
use crate::live::{Execution, Outcome, Stuck};
use crate::mixer::Mixer;

/// Frames of one checksum that KSM looks at before it gives up: contents that collide are not merged.
const CANDIDATES: usize = 8;

/// The scanner: its indexes and the order in which it merges.
pub struct Ksm {
    frames: Arc<Frames>,
    merge: Program,
    protect: Program,
    indexes: Mutex<Indexes>,
    counters: Counters,
}

/// What was seen so far.
#[derive(Default)]
struct Indexes {
    /// KSM frames by checksum.
    stable: Table<u64, Vec<Pfn>>,
    /// Pages that did not change since the last round, by checksum; good for one round.
    unstable: Table<u64, Candidate>,
    /// Each page as it was when it was last looked at, unless it is merged.
    last: Table<(u16, VirtAddr), Seen>,
    /// How many rounds have begun.
    round: u64,
}

type Table<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// A page that was looked at.
struct Seen {
    checksum: u64,
    round: u64,
}

/// A page that might be merged with another.
#[derive(Clone)]
struct Candidate {
    space: Weak<AddressSpace>,
    page: VirtAddr,
}

#[derive(Default)]
struct Counters {
    scanned: AtomicU64,
    merged: AtomicU64,
    abandoned: AtomicU64,
}

/// What became of a page that was scanned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scanned {
    /// It is a KSM page already.
    Already,
    /// Its contents are still changing; looked at again next round.
    Changing,
    /// No page of the same contents is known yet.
    Alone,
    /// It was merged into this frame.
    Merged(Pfn),
    /// A merge was tried, and a check of the program failed.
    Abandoned,
}

/// What the scanner did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KsmStatistics {
    /// Pages looked at.
    pub scanned: u64,
    /// Pages replaced by a KSM frame.
    pub merged: u64,
    /// Merges given up because a check failed.
    pub abandoned: u64,
}

impl Ksm {
    /// A scanner that merges in the right order.
    #[must_use]
    pub fn new(frames: Arc<Frames>) -> Self {
        Self::with_order(frames, ksm::merge())
    }

    /// A scanner that merges by `merge`.
    #[must_use]
    pub fn with_order(frames: Arc<Frames>, merge: Program) -> Self {
        Self {
            frames,
            merge,
            protect: ksm::stabilize(),
            indexes: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// One round over every mergeable page of `space`.
    ///
    /// # Errors
    /// [`FaultError`] if a page cannot be faulted in.
    pub fn scan(&self, space: &Arc<AddressSpace>) -> Result<KsmStatistics, FaultError> {
        let round = self.indexes.lock().begin_round();
        for page in space.mergeable_pages() {
            self.scan_page(space, page)?;
        }
        self.indexes.lock().forget_unseen(space.id().0, round);
        Ok(self.statistics())
    }

    /// Looks at one page that is mapped: merges it if it can.
    ///
    /// # Errors
    /// [`FaultError`] if the page cannot be read.
    pub fn scan_page(&self, space: &Arc<AddressSpace>, page: VirtAddr) -> Result<Scanned, FaultError> {
        self.counters.scanned.fetch_add(1, Ordering::Relaxed);
        let found = space.page(page, Access::Read)?;
        if self.frames.state(found.frame.pfn()) == FrameState::Ksm {
            return Ok(Scanned::Already);
        }
        let checksum = self.frames.memory().checksum(found.frame.pfn());
        let mut indexes = self.indexes.lock();
        if let Some(stable) = indexes.stable_frame(&self.frames, checksum, found.frame.pfn()) {
            drop(indexes);
            return self.merge_into(space, page, found, stable);
        }
        if !indexes.is_as_before((space.id().0, page), checksum) {
            return Ok(Scanned::Changing);
        }
        let candidate = Candidate { space: Arc::downgrade(space), page };
        let other = indexes.unstable.insert(checksum, candidate);
        drop(indexes);
        match other.and_then(|other| self.stabilize(&other, checksum, found.frame.pfn())) {
            Some(stable) => self.merge_into(space, page, found, stable),
            None => Ok(Scanned::Alone),
        }
    }

    /// Gives a page a frame of its own again (`break_ksm`).
    ///
    /// # Errors
    /// [`FaultError`] if there is no frame for it.
    pub fn unmerge(&self, space: &AddressSpace, page: VirtAddr) -> Result<(), FaultError> {
        while let Some(found) = space.mapped_page(page)
            && self.frames.state(found.frame.pfn()) == FrameState::Ksm
        {
            drop(found);
            space.handle_fault(page, Access::Write)?;
        }
        Ok(())
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> KsmStatistics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KsmStatistics {
            scanned: load(&self.counters.scanned),
            merged: load(&self.counters.merged),
            abandoned: load(&self.counters.abandoned),
        }
    }

    /// Makes the frame of `candidate` a KSM frame and returns it held; none if the candidate is gone, in use, or
    /// the frame `not`.
    fn stabilize(&self, candidate: &Candidate, checksum: u64, not: Pfn) -> Option<FrameRef> {
        let space = candidate.space.upgrade()?;
        let slot = space.table().slot(candidate.page)?;
        let MappedPage { frame, entry } = space.mapped_page(candidate.page)?;
        let pfn = frame.pfn();
        if pfn == not || self.frames.state(pfn) != FrameState::Anonymous {
            return None;
        }
        let execution = Execution::new(&space, candidate.page, slot, entry, frame);
        match execution.run(&self.protect) {
            Ok(Outcome::Completed) => {}
            Ok(Outcome::Abandoned(_)) | Err(Stuck::OutOfFrames(_)) => return None,
            Err(stuck @ Stuck::NotLive { .. }) => panic!("ksm_stabilize: {stuck}"),
        }
        let mut indexes = self.indexes.lock();
        indexes.stable.entry(checksum).or_default().push(pfn);
        indexes.stable_frame(&self.frames, checksum, not)
    }

    fn merge_into(
        &self,
        space: &AddressSpace,
        page: VirtAddr,
        found: MappedPage,
        stable: FrameRef,
    ) -> Result<Scanned, FaultError> {
        let slot = space.table().ensure_slot(page)?;
        let into = stable.pfn();
        let execution = Execution::new(space, page, slot, found.entry, found.frame).with_new(stable);
        match execution.run(&self.merge)? {
            Outcome::Completed => {
                self.counters.merged.fetch_add(1, Ordering::Relaxed);
                Ok(Scanned::Merged(into))
            }
            Outcome::Abandoned(_) => {
                self.counters.abandoned.fetch_add(1, Ordering::Relaxed);
                Ok(Scanned::Abandoned)
            }
        }
    }
}

impl Indexes {
    fn begin_round(&mut self) -> u64 {
        self.unstable.clear();
        self.round += 1;
        self.round
    }

    /// Forgets the pages of a space at which nobody has looked since `round` began: they are gone, or merged.
    fn forget_unseen(&mut self, space: u16, round: u64) {
        self.last.retain(|(of, _), seen| *of != space || seen.round >= round);
    }

    /// Whether the page had this checksum when it was last looked at. It has it from now on.
    fn is_as_before(&mut self, page: (u16, VirtAddr), checksum: u64) -> bool {
        let seen = Seen { checksum, round: self.round };
        self.last.insert(page, seen).is_some_and(|last| last.checksum == checksum)
    }

    /// A KSM frame of the same checksum and contents, held. Forgets the ones that died.
    fn stable_frame(&mut self, frames: &Arc<Frames>, checksum: u64, like: Pfn) -> Option<FrameRef> {
        let known = self.stable.get_mut(&checksum)?;
        known.retain(|pfn| frames.state(*pfn) == FrameState::Ksm);
        known.iter().take(CANDIDATES).find_map(|pfn| {
            let held = frames.try_reference(*pfn)?;
            let usable = frames.state(*pfn) == FrameState::Ksm;
            (usable && frames.memory().frames_equal(*pfn, like)).then_some(held)
        })
    }
}

#[cfg(test)]
mod tests;
