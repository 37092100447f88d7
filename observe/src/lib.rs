//! Kernel traces as orders of steps, held against the scenarios of the catalogue.
//!
//! Invariant: nothing here knows files, clocks or tracefs: lines come in, answers go out. What a trace cannot show is said,
//! and never guessed.
//!
//! Read in this order: [`line`](mod@line) and [`reader`] (what a line says), [`vocabulary`] (what that is in the language),
//! [`collect`] (which lines are one operation), [`order`] (what it has done), [`judge`] (which scenario that is),
//! [`propose`] (the scenario of an order that is new), [`report`] (all of it as text).

pub mod collect;
pub mod judge;
pub mod line;
pub mod order;
pub mod propose;
pub mod reader;
pub mod report;
pub mod vocabulary;
