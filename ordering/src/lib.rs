//! Orders of steps: written, explored, shown.
//!
//! Invariant: nothing here knows clocks or I/O, and a verdict does not depend on the number of threads. A step means
//! here what a machine does when it executes it; operations are the programs of [`steps::operation`].
//!
//! Read in this order: [`language`] (what can be written), [`draft`] (the same without a text), [`model`] (what is explored), [`lowering`] (from one to the
//! other), [`engine`] (every interleaving), [`answer`] (what that says), [`outcomes`] (in what runs can end), [`counterexample`] and `why` (what is
//! shown), [`sighting`] (what a machine did, as a run of the model), [`minimize`] (the weakest order that is still safe), [`generate`] (all small orders), [`catalogue`] (the scenarios that are there),
//! [`glimpse`] (what was seen of a program, held against them).

pub mod answer;
pub mod catalogue;
pub mod counterexample;
pub mod draft;
pub mod engine;
pub mod generate;
pub mod glimpse;
pub mod language;
pub mod lowering;
pub mod minimize;
pub mod model;
pub mod outcomes;
pub mod sighting;
mod why;
