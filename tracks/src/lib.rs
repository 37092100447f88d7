//! Traces for Perfetto: what happened on which track, from when to when, and what led to what.
//!
//! Invariant: nothing here touches a file, a thread or a clock. A trace keeps its limit, and what it leaves out is counted.
//! Source: the Trace Event Format ("JSON Array Format"), as chrome://tracing and Perfetto read it.
//!
//! Read in this order: [`trace`] (what is written), `event` (how one stands in the file), [`check`] (how a trace is read, and what can be
//! wrong with it).

pub mod check;
mod event;
pub mod trace;

pub use serde_json::{Value, json};
