//! Traces of steps: what the live machine did, as a table with a column for each side.
//!
//! Invariant: nothing here knows threads, clocks or I/O; a trace is made of the events it is given.
//!
//! Not here yet: the scenario language and the explorer of every interleaving.

pub mod trace;
