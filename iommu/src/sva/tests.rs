//! The driver, held against the unit it drives.

mod binding;
mod coherence;
pub(super) mod fixture;
mod flush;
mod overflow;
mod requests;
