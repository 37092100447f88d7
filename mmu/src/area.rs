//! Areas: which addresses of an address space may be used, and what a first touch finds there.
//!
//! Invariant: areas do not overlap. Source: include/linux/mm_types.h `struct vm_area_struct`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;

use crate::address::{VirtAddr, VirtRange};
use crate::frame::{FrameRef, FrameState, Frames, OutOfFrames};

/// What backs an area.
#[derive(Clone, Debug)]
pub enum Backing {
    /// Zeroes at first touch; a fork shares the pages until somebody writes (`MAP_PRIVATE|MAP_ANONYMOUS`).
    PrivateAnonymous,
    /// The pages of an object that all who map it share (`MAP_SHARED`).
    Shared(Arc<SharedObject>),
}

/// Whether KSM may merge the pages of an area (`MADV_MERGEABLE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Merging {
    /// It may not.
    #[default]
    Off,
    /// It may.
    Mergeable,
}

/// A range of addresses with one backing.
#[derive(Clone, Debug)]
pub struct Area {
    /// The addresses.
    pub range: VirtRange,
    /// What is there.
    pub backing: Backing,
    /// Whether KSM looks at it.
    pub merging: Merging,
}

/// A range that cannot be mapped.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{start}..{end} cannot be mapped: it must be page aligned, not empty, canonical and apart from other areas", start = .0.start, end = .0.end)]
pub struct BadRange(pub VirtRange);

/// The areas of one address space, by start address.
#[derive(Clone, Debug, Default)]
pub struct Areas {
    by_start: BTreeMap<VirtAddr, Area>,
}

/// Pages that several address spaces map.
#[derive(Debug, Default)]
pub struct SharedObject {
    pages: Mutex<BTreeMap<u64, FrameRef>>,
}

impl Areas {
    /// The area that holds `address`.
    #[must_use]
    pub fn find(&self, address: VirtAddr) -> Option<&Area> {
        let (_, area) = self.by_start.range(..=address).next_back()?;
        area.range.contains(address).then_some(area)
    }

    /// Adds an area.
    ///
    /// # Errors
    /// [`BadRange`] if it is empty, misaligned or overlaps another.
    pub fn insert(&mut self, area: Area) -> Result<(), BadRange> {
        let range = area.range;
        let aligned = range.start.page() == range.start && range.end.page() == range.end;
        let free = self.by_start.values().all(|other| !other.range.overlaps(range));
        if !aligned || range.start >= range.end || !free {
            return Err(BadRange(range));
        }
        self.by_start.insert(range.start, area);
        Ok(())
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    /// All of them, to be changed in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Area> {
        self.by_start.values_mut()
    }
}

impl SharedObject {
    /// An object that begins with the given frames.
    #[must_use]
    pub fn of(frames: impl IntoIterator<Item = FrameRef>) -> Self {
        Self { pages: Mutex::new((0..).zip(frames).collect()) }
    }

    /// The page at `index` (in pages from the object's start), taken at first touch.
    ///
    /// # Errors
    /// [`OutOfFrames`] if it must be taken and none is left.
    ///
    /// # Panics
    /// Never: the object itself holds a reference to each of its pages.
    pub fn page(&self, frames: &Arc<Frames>, index: u64) -> Result<FrameRef, OutOfFrames> {
        let mut pages = self.pages.lock();
        if let Entry::Vacant(place) = pages.entry(index) {
            place.insert(frames.allocate(FrameState::Shared)?);
        }
        match pages.get(&index).and_then(|held| frames.try_reference(held.pfn())) {
            Some(reference) => Ok(reference),
            None => panic!("page {index} of a shared object is held by nobody"),
        }
    }
}
