//! The demonstration: CPUs, vCPUs and devices use the same pages while COW is broken and KSM merges under them, in
//! the right order and in each wrong one.
//!
//! Invariant: whoever uses a page knows nothing of the order that is being tried. A load is stale only if it returns
//! less than what was published before it began.
//!
//! Read in this order: [`options`], [`board`] (the memory that does not move), [`party`] (what every user does),
//! [`recorder`] and [`window`] (who watches, and who widens), [`stage`] (everybody on one address space), [`guest`]
//! (the vCPUs), [`operator`] (who breaks and merges), [`run`] (one order after the other), [`scenario`] and
//! [`reading`] (what happened, as a run of the order's scenario), [`report`].

pub mod board;
pub mod guest;
pub mod operator;
pub mod options;
pub mod party;
pub mod reading;
pub mod recorder;
pub mod report;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod tally;
pub mod window;

pub use options::DemoOptions;
pub use run::{Demonstration, RunReport};
