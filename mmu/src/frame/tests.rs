//! The life of a frame.

use std::sync::Arc;

use super::{FrameState, Frames, OutOfFrames, POISON};
use crate::memory::{MIN_MEMORY_BYTES, MemoryError};

fn frames() -> Arc<Frames> {
    Frames::new(MIN_MEMORY_BYTES).unwrap()
}

#[test]
fn a_freed_frame_is_poisoned_and_reads_as_free() {
    let frames = frames();
    let frame = frames.allocate(FrameState::Anonymous).unwrap();
    let pfn = frame.pfn();
    frames.memory().store(pfn.address(), 7);
    assert!(!frames.is_free(pfn));
    drop(frame);
    assert!(frames.is_free(pfn));
    assert_eq!(frames.memory().load(pfn.address()), POISON);
}

#[test]
fn a_frame_is_reused_last_and_comes_back_zeroed() {
    let frames = frames();
    let first = frames.allocate(FrameState::Anonymous).unwrap();
    let pfn = first.pfn();
    drop(first);
    let mut held = Vec::new();
    while frames.free_count() > 1 {
        held.push(frames.allocate(FrameState::Anonymous).unwrap());
        assert_ne!(held.last().unwrap().pfn(), pfn);
    }
    let last = frames.allocate(FrameState::Anonymous).unwrap();
    assert_eq!(last.pfn(), pfn);
    assert!(frames.memory().frame_is_filled(pfn, 0));
    let total = frames.memory().frame_count();
    assert_eq!(frames.allocate(FrameState::Anonymous).unwrap_err(), OutOfFrames { total });
}

#[test]
fn a_mapping_keeps_the_frame_until_it_is_unmapped() {
    let frames = frames();
    let pfn = frames.allocate(FrameState::Anonymous).unwrap().into_mapping();
    assert_eq!((frames.refcount(pfn), frames.mapcount(pfn)), (1, 1));
    let extra = frames.try_reference(pfn).unwrap();
    drop(frames.unmap(pfn));
    assert!(!frames.is_free(pfn));
    drop(extra);
    assert!(frames.is_free(pfn));
    assert!(frames.try_reference(pfn).is_none());
}

#[test]
fn a_store_into_a_freed_frame_is_found() {
    let frames = frames();
    let pfn = frames.allocate(FrameState::Anonymous).unwrap().pfn();
    frames.memory().store(pfn.address().offset(64), 1);
    assert_eq!(frames.audit_freed(), 1);
    assert_eq!(frames.audit_freed(), 1, "each frame is counted once");
}

#[test]
fn a_pin_is_counted_while_it_lasts() {
    let frames = frames();
    let pin = frames.allocate(FrameState::Anonymous).unwrap().pin();
    let pfn = pin.pfn();
    assert_eq!(frames.pin_count(pfn), 1);
    drop(pin);
    assert_eq!(frames.pin_count(pfn), 0);
    assert!(frames.is_free(pfn));
}

#[test]
fn an_impossible_size_is_refused_with_what_is_accepted() {
    for bytes in [0, 4096, MIN_MEMORY_BYTES + 1] {
        let error = Frames::new(bytes).unwrap_err();
        assert!(matches!(error, MemoryError::Size { .. }));
        assert!(error.to_string().contains(&format!("{bytes} bytes")));
    }
}
