//! An entry of several words that software changed while it was present.
//!
//! The unit reads such an entry word by word, at any time: between two stores it reads an entry that nobody ever meant.
//! So software clears P, invalidates, waits, and then writes the rest, P with the last word.
//!
//! Invariant: an entry counts as changed in place only if it was read while it was present, was seen present again with
//! other words, was absent at no invalidation in between, and if no single store makes the difference. Interrupt
//! entries can be replaced by one store of 128 bits: they count only if a mixture of both was read.
//! Source: VT-d 6.5.3.3 (guidance to software), 5.1.4 (interrupt entries), 9.3 to 9.6.

use std::fmt;

use mmu::address::PhysAddr;
use pcie::Requester;
use serde_json::{Value, json};

use crate::stale::Moment;
use crate::stale::json::{hex, moment};
use crate::vtd::Table;

/// Which entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Changed {
    /// A context entry or a PASID entry.
    Table(Table),
    /// An interrupt remapping entry, by its index.
    Interrupt(u16),
}

/// One such change, as it is reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedInPlace {
    /// What was changed.
    pub entry: Changed,
    /// Whose requests it is for.
    pub requester: Requester,
    /// Where it lies.
    pub place: PhysAddr,
    /// Its words of 64 bits, as they were read first.
    pub old: Vec<u64>,
    /// What was read between two of the stores, if anything was: neither the old nor the new entry.
    pub between: Option<Vec<u64>>,
    /// Its words when the change was seen.
    pub new: Vec<u64>,
    /// When the old words were read.
    pub read: Moment,
    /// When the change was seen: at the next reading, or at an invalidation.
    pub seen: Moment,
}

impl ChangedInPlace {
    /// The numbers of the words that differ.
    pub fn words(&self) -> impl Iterator<Item = usize> {
        differing(&self.old, &self.new)
    }

    /// As one line for tools.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut value = self.value();
        value["event"] = "entry-changed-in-place".into();
        value.to_string()
    }

    pub(super) fn value(&self) -> Value {
        let all = |words: &[u64]| words.iter().copied().map(hex).collect::<Vec<_>>();
        json!({
            "entry": self.entry.to_string(),
            "source": self.requester.source.to_string(),
            "pasid": self.requester.pasid.map(|pasid| pasid.number()),
            "at": hex(self.place.0),
            "words": self.words().collect::<Vec<_>>(),
            "old": all(&self.old),
            "between": self.between.as_deref().map(all),
            "new": all(&self.new),
            "read": moment(self.read),
            "seen": moment(self.seen),
        })
    }
}

/// The numbers of the words in which two entries differ.
pub(super) fn differing(one: &[u64], other: &[u64]) -> impl Iterator<Item = usize> {
    let pairs = one.iter().zip(other).enumerate();
    pairs.filter(|(_, (one, other))| one != other).map(|(number, _)| number).collect::<Vec<_>>().into_iter()
}

impl fmt::Display for ChangedInPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry changed in place: {} of {}", self.entry, self.requester.source)?;
        if let Some(pasid) = self.requester.pasid {
            write!(f, " with {pasid}")?;
        }
        write!(f, " at {}, while it was present", self.place)?;
        write!(f, "\n  read {}, seen changed {}", self.read, self.seen)?;
        for word in self.words() {
            write!(f, "\n  word {word}: {:#x} -> {:#x}", self.old[word], self.new[word])?;
        }
        if let Some(between) = &self.between {
            write!(f, "\n  read in between, neither the old nor the new entry:")?;
            between.iter().try_for_each(|word| write!(f, " {word:#x}"))?;
        }
        let count = self.words().count();
        write!(
            f,
            "\n  mistake: {count} words were changed by as many stores, and P was clear at no invalidation before"
        )?;
        write!(f, "\n  would have helped:\n    clear P, invalidate, wait; then the other words, P last")
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => write!(f, "{table}"),
            Self::Interrupt(index) => write!(f, "interrupt entry {index}"),
        }
    }
}
