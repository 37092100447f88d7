//! A counted reference to a frame.
//!
//! Invariant: each `FrameRef` stands for one reference; a mapping's reference leaves through
//! [`FrameRef::into_mapping`] and comes back through [`Frames::unmap`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Frames;
use crate::address::Pfn;

/// One reference to a frame; dropping the last one frees the frame.
#[derive(Debug)]
pub struct FrameRef {
    frames: Arc<Frames>,
    pfn: Pfn,
    /// Whether dropping this drops a reference: no longer once it was handed on.
    counted: bool,
}

impl FrameRef {
    /// Makes a handle of a reference that is already counted.
    pub(super) fn adopt(frames: Arc<Frames>, pfn: Pfn) -> Self {
        Self { frames, pfn, counted: true }
    }

    /// The frame's number.
    #[inline]
    #[must_use]
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// Hands the reference to a page-table entry: the map count rises, the reference count stays.
    #[must_use = "the entry that holds the reference must be written"]
    pub fn into_mapping(self) -> Pfn {
        self.frames.frame(self.pfn).mapcount.fetch_add(1, Ordering::AcqRel);
        self.leak()
    }

    /// Gives the reference to somebody who keeps it by number (a parent table, a guest's layout) and who gives it
    /// back through [`Frames::reclaim`].
    #[must_use = "the number is all that is left of the reference"]
    pub fn leak(mut self) -> Pfn {
        self.counted = false;
        self.pfn
    }

    /// Pins the frame for long-term use (`FOLL_PIN`): it must stay where it is mapped until [`Pin`] is dropped.
    #[must_use]
    pub fn pin(self) -> Pin {
        self.frames.frame(self.pfn).pins.fetch_add(1, Ordering::AcqRel);
        Pin { reference: self }
    }
}

impl Drop for FrameRef {
    fn drop(&mut self) {
        if self.counted {
            self.frames.put(self.pfn);
        }
    }
}

/// A reference that also pins its frame.
#[derive(Debug)]
pub struct Pin {
    reference: FrameRef,
}

impl Pin {
    /// The pinned frame's number.
    #[must_use]
    pub fn pfn(&self) -> Pfn {
        self.reference.pfn
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let pins = &self.reference.frames.frame(self.reference.pfn).pins;
        pins.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Frames {
    /// Takes back a reference that was kept by number after [`FrameRef::leak`].
    #[must_use]
    pub fn reclaim(self: &Arc<Self>, pfn: Pfn) -> FrameRef {
        FrameRef::adopt(Arc::clone(self), pfn)
    }
}
