//! Steps: what kernels, CPUs, vCPUs and devices do to entries, caches and frames, one action each.
//!
//! Invariant: a step is written once, here: its places as types ([`Step`]), its words and its kernel functions as a row
//! ([`table`]), and how one is read from the other ([`text`]). Nothing here knows threads, clocks, memory, KVM, or where in
//! a file something stands. Reading order: [`names`], [`entry`], [`step`], [`table`], [`text`]; then operations:
//! [`one_page`], [`program`], [`operation`], and [`renaming`], by which others use them.

pub mod entry;
pub mod names;
pub mod one_page;
pub mod operation;
pub mod program;
pub mod renaming;
pub mod step;
pub mod table;
pub mod text;

pub use names::Names;
pub use renaming::Renaming;
pub use step::{
    CacheKind, Count, Depth, Directory, Emptied, EntryAt, EntryOf, Half, Invalidation, LockMode, Pages,
    Range, Reach, Scope, Section, Step, Switched, Unanswered, Waited,
};
pub use table::Verb;
