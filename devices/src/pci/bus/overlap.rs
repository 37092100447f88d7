//! Overlaps of what is decoded, told once each.
//!
//! Invariant: the log grows by one line for each pair of BARs, or of a BAR and a fixed range, at most, however often
//! software makes them overlap.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use pcie::SourceId;

use crate::pci::bar::BarRange;

/// A range that goes before any BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserved {
    /// What lies there.
    pub name: &'static str,
    /// The first address.
    pub start: u64,
    /// How many bytes.
    pub len_bytes: u64,
}

/// One side of an overlap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Side {
    Reserved(&'static str),
    Bar(SourceId, u8),
}

/// What overlaps, and what of it was told.
pub(super) struct Overlaps {
    reserved: Vec<Reserved>,
    told: Mutex<BTreeSet<(Side, Side)>>,
}

impl Overlaps {
    pub(super) fn new(reserved: Vec<Reserved>) -> Self {
        Self { reserved, told: Mutex::default() }
    }

    /// Whether a range that goes before any BAR has that address.
    pub(super) fn is_reserved(&self, address: u64) -> bool {
        self.reserved
            .iter()
            .any(|range| address.checked_sub(range.start).is_some_and(|at| at < range.len_bytes))
    }

    /// Tells of what overlaps a BAR of `changed`, and how many lines that took. `decoded` is in the order of
    /// precedence.
    pub(super) fn check(&self, changed: SourceId, decoded: &[(SourceId, BarRange)]) -> usize {
        let mut lines = 0;
        for (at, (source, bar)) in decoded.iter().enumerate() {
            let own = Side::Bar(*source, bar.number);
            for other in self.reserved.iter().filter(|other| *source == changed && other.is_hit_by(bar)) {
                lines += self.tell(Side::Reserved(other.name), own, &format!("{source} {bar}"), other.name);
            }
            for (winner, winning) in decoded[..at].iter().filter(|(_, other)| other.overlaps_bar(bar)) {
                if *source == changed || *winner == changed {
                    let loser = format!("{source} {bar}");
                    lines += self.tell(
                        Side::Bar(*winner, winning.number),
                        own,
                        &loser,
                        &format!("{winner} {winning}"),
                    );
                }
            }
        }
        lines
    }

    /// The lines that it took.
    fn tell(&self, winner: Side, loser: Side, losing: &str, winning: &str) -> usize {
        let is_new = self.told.lock().insert((winner, loser));
        if is_new {
            log::warn!("{losing} overlaps {winning}, which decodes what they share");
        }
        usize::from(is_new)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.told.lock().len()
    }
}

impl Reserved {
    fn is_hit_by(&self, bar: &BarRange) -> bool {
        bar.overlaps(self.start, self.len_bytes)
    }
}

impl BarRange {
    fn overlaps_bar(&self, other: &Self) -> bool {
        self.overlaps(other.start, other.len_bytes)
    }
}
