//! The use of an interrupt remapping entry that the table no longer contains.
//!
//! Invariant: it names the invalidation that is missing as surely as a [`StaleUse`](super::StaleUse) does: of this very
//! entry, or of all.

use std::fmt;

use mmu::address::PhysAddr;
use pcie::SourceId;
use serde_json::json;

use crate::spec::descriptor::Descriptor;
use crate::spec::descriptor::words::InWords;
use crate::spec::interrupt::InterruptEntry;
use crate::stale::json::{hex, missed, moment};
use crate::stale::text::{Uses, write_queued, write_received};
use crate::stale::{Ground, Missed, Moment};

/// One such use, as it is reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StaleInterrupt {
    /// Why it counts.
    pub ground: Ground,
    /// Uses of it since the change, until it was judged.
    pub uses: u64,
    /// Who sent the interrupt, or on whose behalf.
    pub source: SourceId,
    /// Which entry it named.
    pub index: u16,
    /// Where that lies.
    pub place: PhysAddr,
    /// What it said when it was cached.
    pub cached: [u64; 2],
    /// What it says; none if it cannot be read any more.
    pub now: Option<[u64; 2]>,
    /// When it was cached.
    pub filled: Moment,
    /// When it was used.
    pub used: Moment,
    /// Every invalidation of interrupt entries received since, in order.
    pub received: Vec<Missed>,
    /// Invalidations since then that are not remembered any more.
    pub forgotten: u64,
    /// The first of what was queued and not carried out yet, in its order.
    pub queued: Vec<Descriptor>,
    /// The smallest invalidation that would have helped; only a wait if it is queued.
    pub remedy: Descriptor,
}

impl StaleInterrupt {
    /// The report as one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let words = |entry: [u64; 2]| entry.map(hex);
        json!({
            "event": "stale-use",
            "kind": "interrupt",
            "source": self.source.to_string(),
            "index": self.index,
            "at": hex(self.place.0),
            "cached": words(self.cached),
            "now": self.now.map(words),
            "filled": moment(self.filled),
            "used": moment(self.used),
            "uses": self.uses,
            "judged": self.ground.name(),
            "received": self.received.iter().map(missed).collect::<Vec<_>>(),
            "forgotten": self.forgotten,
            "queued": self.queued.iter().map(|queued| InWords(queued).to_string()).collect::<Vec<_>>(),
            "mistake": self.mistake().name(),
            "remedy": [InWords(&self.remedy).to_string()],
        })
        .to_string()
    }
}

impl fmt::Display for StaleInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stale use: {} sent an interrupt through the cached entry {}", self.source, self.index)?;
        write!(f, ", which was {}", EntryInWords(Some(self.cached)))?;
        write!(f, ", where the table has {}", EntryInWords(self.now))?;
        write!(f, "\n  filled {}, used {}", self.filled, Uses(self.used, self.uses))?;
        write!(f, "\n  counts because {}", self.ground)?;
        write!(f, "\n  changed: interrupt entry at {}", self.place)?;
        write!(f, "\n  mistake: {}", self.mistake())?;
        write_received(f, &self.received, self.forgotten)?;
        write_queued(f, &self.queued)?;
        write!(f, "\n  would have helped:\n    {}", InWords(&self.remedy))
    }
}

/// An entry in words.
struct EntryInWords(Option<[u64; 2]>);

impl fmt::Display for EntryInWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(words) = self.0 else { return f.write_str("nothing, outside memory") };
        let entry = InterruptEntry(words);
        if !entry.is_present() {
            return f.write_str("none");
        }
        // With the field as it stands: what it means depends on the mode.
        write!(f, "vector {:#x} for destination {:#x}", words[0] >> 16 & 0xff, words[0] >> 32)?;
        write!(f, " ({:#x} {:#x})", words[1], words[0])
    }
}

#[cfg(test)]
mod tests;
