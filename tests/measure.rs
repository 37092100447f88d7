//! Measuring ours against others: rounds in which everybody has a turn, ratios of one round, and what may be said of
//! them.
//!
//! Invariant: two numbers are compared only if they come from the same rounds of one process; where the machine or a
//! row was noisy nothing is said to be met. What is measured also has to be right: all contestants of a row find the
//! same.
//! Source: docs/performance.md.

pub mod fit;
pub mod noise;
pub mod report;
pub mod round;
pub mod target;

#[cfg(test)]
mod tests;
