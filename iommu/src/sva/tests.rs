//! The driver, held against the unit it drives.

mod binding;
mod coherence;
mod fixture;
mod flush;
mod overflow;
mod requests;
