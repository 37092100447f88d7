//! Steps that change what holds a frame.
//!
//! Invariant: a step that cannot be taken changes no count; a frame is free when its last reference is dropped. Source:
//! include/linux/page_ref.h, mm/rmap.c, mm/gup.c.

use std::sync::atomic::{AtomicU32, Ordering};

use ordering::language::syntax::BuiltIn;
use ordering::lowering::{AgentId, FrameId, FramePlace, Part};
use steps::Count;

use crate::frames::lower;
use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    pub(crate) fn count(&self, agent: AgentId, count: Count, place: &FramePlace) -> Result<Part, Stuck> {
        let Some(frame) = self.named(agent, place) else { return Ok(Part::Nothing) };
        let counts = &self.frames[frame.0];
        if count == Count::Alloc {
            if !self.bytes(frame).allocate(counts) {
                return Err(Stuck::Waits("somebody has the frame"));
            }
            counts.stable.store(0, Ordering::Release);
            return Ok(Part::Whole);
        }
        // Where a free frame may be used, it is, and nothing is counted.
        self.live(frame)?;
        if count == Count::MarkStable {
            counts.stable.store(1, Ordering::Release);
            return Ok(Part::Whole);
        }
        if counts.is_free() {
            return Ok(Part::Whole);
        }
        let other = match count {
            Count::Map | Count::Unmap => Some(&counts.maps),
            Count::Pin | Count::Unpin => Some(&counts.pins),
            Count::Get | Count::Put | Count::Free | Count::Alloc | Count::MarkStable => None,
        };
        match count {
            Count::Get | Count::Map | Count::Pin => {
                self.has_room(frame, other)?;
                counts.get().map_err(|_| Stuck::Waits("the frame was freed meanwhile"))?;
                other.into_iter().for_each(|other| {
                    other.fetch_add(1, Ordering::AcqRel);
                });
            }
            Count::Put | Count::Unmap | Count::Unpin => self.put(frame, other)?,
            Count::Free => {
                counts.refs.store(0, Ordering::Release);
                self.bytes(frame).freed(counts);
            }
            Count::Alloc | Count::MarkStable => {}
        }
        Ok(Part::Whole)
    }

    /// Drops a reference, and what is counted beside it.
    pub(crate) fn put(&self, frame: FrameId, other: Option<&AtomicU32>) -> Result<(), Stuck> {
        let counts = &self.frames[frame.0];
        if let Some(other) = other {
            lower(other).map_err(|_| self.out_of_range("nothing of the kind is counted"))?;
        }
        let left = lower(&counts.refs).map_err(|_| Stuck::Waits("the frame was freed meanwhile"))?;
        if left == 0 {
            self.bytes(frame).freed(counts);
        }
        Ok(())
    }

    /// That a frame's references can be one more, and so can what is counted beside them.
    pub(crate) fn has_room(&self, frame: FrameId, other: Option<&AtomicU32>) -> Result<(), Stuck> {
        let is_full = |count: &AtomicU32| count.load(Ordering::Acquire) >= self.scene.most_refs;
        match is_full(&self.frames[frame.0].refs) || other.is_some_and(is_full) {
            true => Err(self.out_of_range("the count can be no greater")),
            false => Ok(()),
        }
    }

    /// What leaves the range of its count breaks the property, or waits.
    pub(crate) fn out_of_range(&self, why: &'static str) -> Stuck {
        if self.scene.asks(BuiltIn::Range) { Stuck::Breaks(BuiltIn::Range) } else { Stuck::Waits(why) }
    }
}
