//! Where a translation comes from: the table entries that were read on the way to it.
//!
//! Invariant: a trail holds each entry as it was read. Nobody keeps a trail, and none is recorded, unless stale uses
//! are watched for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use mmu::pte::Pte;

/// A table that a translation passes through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// The root table.
    Root,
    /// A context table.
    Context,
    /// The PASID directory.
    PasidDirectory,
    /// A PASID table.
    Pasid,
    /// A first-stage table.
    FirstStage {
        /// Its level, 1 for leaves.
        level: u32,
    },
    /// A second-stage table.
    SecondStage {
        /// Its level, 1 for leaves.
        level: u32,
    },
}

/// One word of a table, as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reading {
    /// What it belongs to.
    pub table: Table,
    /// Where it lies.
    pub place: PhysAddr,
    /// What stood there.
    pub value: u64,
    /// Whether the entry was a leaf.
    pub leaf: bool,
    /// Events before it was read, as [`Moment`](crate::vtd::Moment) counts them.
    pub read_at: u64,
}

/// What a reading says without its story: enough to see that it still holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Word {
    /// What stood there, marks and all: who sets or clears one has the next use looked at the long way, and proved
    /// anew.
    value: u64,
    /// In [`PhysicalMemory::words`], or where it would be there if memory is lent.
    index: u32,
}

/// The readings that a cached entry rests on, shared by all that rest on the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Option<Arc<[Reading]>>);

/// What is being read.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// None if nobody wants to know.
    readings: Option<Vec<Reading>>,
    now: u64,
}

impl Reading {
    /// The bits that hardware changes by itself, and that say nothing about where a translation leads.
    const fn marks(&self) -> u64 {
        match self.table {
            Table::FirstStage { .. } => Pte::ACCESSED | Pte::DIRTY,
            Table::Root
            | Table::Context
            | Table::PasidDirectory
            | Table::Pasid
            | Table::SecondStage { .. } => 0,
        }
    }

    /// Whether `now` says something else.
    #[must_use]
    pub const fn differs_from(&self, now: u64) -> bool {
        (self.value ^ now) & !self.marks() != 0
    }

    fn word(&self) -> Word {
        // What no index reaches no word stands for: then every use is looked at the long way.
        let index = u32::try_from(self.place.0 / 8).unwrap_or(u32::MAX);
        Word { value: self.value, index }
    }
}

impl Word {
    /// Whether the word still says what it said.
    #[inline(always)]
    pub(crate) fn stands(self, words: &[AtomicU64]) -> bool {
        words.get(self.index as usize).is_some_and(|now| now.load(Ordering::Acquire) == self.value)
    }

    /// The same of a word in memory that is lent.
    pub(crate) fn stands_in(self, memory: &PhysicalMemory) -> bool {
        // The index of what no index reaches.
        if self.index == u32::MAX {
            return false;
        }
        let now = memory.try_load(PhysAddr(u64::from(self.index) * 8));
        now == Some(self.value)
    }
}

impl Trail {
    pub(crate) fn readings(&self) -> &[Reading] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(crate) fn words(&self) -> Box<[Word]> {
        self.readings().iter().map(Reading::word).collect()
    }
}

impl Recorder {
    /// One that forgets.
    pub(crate) const OFF: Self = Self { readings: None, now: 0 };

    /// One that remembers, for readings of the moment `now`.
    pub(crate) fn on(now: u64) -> Self {
        Self { readings: Some(Vec::new()), now }
    }

    /// Events before the first reading.
    pub(crate) const fn began(&self) -> u64 {
        self.now
    }

    /// Notes what stood at `place`.
    pub(crate) fn note(&mut self, table: Table, place: PhysAddr, value: u64, leaf: bool) {
        if let Some(readings) = &mut self.readings {
            readings.push(Reading { table, place, value, leaf, read_at: self.now });
        }
    }

    /// Notes what a cached entry rests on.
    pub(crate) fn follow(&mut self, trail: &Trail) {
        if let Some(readings) = &mut self.readings {
            readings.extend_from_slice(trail.readings());
        }
    }

    /// Forgets what was noted after the first `len` readings.
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Some(readings) = &mut self.readings {
            readings.truncate(len);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.readings.as_ref().map_or(0, Vec::len)
    }

    /// What was noted so far.
    pub(crate) fn trail(&self) -> Trail {
        self.trail_from(0)
    }

    /// What was noted after the first `start` readings.
    pub(crate) fn trail_from(&self, start: usize) -> Trail {
        Trail(self.readings.as_deref().map(|readings| Arc::from(&readings[start.min(readings.len())..])))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root entry"),
            Self::Context => f.write_str("context entry"),
            Self::PasidDirectory => f.write_str("PASID directory entry"),
            Self::Pasid => f.write_str("PASID entry"),
            Self::FirstStage { level } => write!(f, "first-stage entry of level {level}"),
            Self::SecondStage { level } => write!(f, "second-stage entry of level {level}"),
        }
    }
}
