//! Steps: what kernels, CPUs, vCPUs and devices do to entries, caches and frames, one action each.
//!
//! Invariant: a step is written once, here: its places as types ([`Step`]), its words and its kernel functions as a row
//! ([`table`]), and how one is read from the other ([`text`]). Nothing here knows threads, clocks, memory, KVM, or where in
//! a file something stands. Reading order: [`names`], [`entry`], [`step`], [`table`], [`text`].

pub mod entry;
pub mod names;
pub mod step;
pub mod table;
pub mod text;

pub use names::Names;
pub use step::{
    CacheKind, Count, Depth, Emptied, EntryAt, EntryOf, Invalidation, LockMode, Range, Reach, Section, Step,
};
pub use table::Verb;
