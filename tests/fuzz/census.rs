//! What happened in the inputs that were tried.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Census {
    counts: BTreeMap<&'static str, u64>,
}

impl Census {
    /// It happened once more.
    pub fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// How often it happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (what, count) in &self.counts {
            write!(f, "{between}{what} {count}")?;
            between = ", ";
        }
        Ok(())
    }
}
