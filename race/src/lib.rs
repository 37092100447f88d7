//! Scenarios on the live machine: real page tables in real memory, caches that can be stale, every row of a run forced.
//!
//! Invariant: the machine has its own meaning of every step; the model says only which step comes next, and is held against
//! the machine after each. Neither reads the other's state to decide what a step does.
//!
//! Read in this order: [`machine`] with `layout`, `coding`, `frames`, `hardware`, `seat`, `loaded`, `reading`, `agent` and
//! `start` (what there is) and [`stuck`]; `step` with `table`, `walk`, `halves`, `dirty`, `tags`, `invalidate`, `queue`, `dma`,
//! `count`, `gup`, `round` and `buffer` (what steps do); [`mod@unit`] and `device` (the same for devices behind the VT-d
//! unit), [`vcpus`] and `played` (accesses that a guest executes), [`look`] (what it then looks like), [`steered`] with
//! `class` (a run of the model, row by row), [`free`] (nobody says who comes next).

mod agent;
mod buffer;
mod class;
mod coding;
mod count;
mod device;
mod dirty;
mod dma;
mod frames;
pub mod free;
mod gup;
mod halves;
mod hardware;
mod invalidate;
mod layout;
mod loaded;
pub mod look;
pub mod machine;
mod played;
mod queue;
mod reading;
mod round;
mod seat;
mod start;
pub mod steered;
mod step;
pub mod stuck;
mod table;
mod tags;
pub mod unit;
pub mod vcpus;
mod walk;
