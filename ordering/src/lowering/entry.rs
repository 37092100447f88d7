//! The entries of a scenario: one domain, for page tables, caches and what agents remember.
//!
//! Invariant: an entry has one value, so that it is copied as it is. Only what the scenario mentions is in the domain,
//! and it is sorted by what hardware can do with an entry: nothing, load, store. A bit for which an entry has no room,
//! or that nobody mentions, is lost. Source: mm/memory.c, mm/mprotect.c change_pte_range, include/linux/swapops.h.

use steps::entry::{Bit, Bits, Change, Feature, Kind};

use crate::language::syntax::FrameKind;
use crate::model::{Guard, Var};

use super::mentioned::Mentioned;
use super::names::FrameId;
use super::state::number;

/// What an entry must allow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Need {
    /// Loads.
    Load,
    /// Loads and stores.
    Store,
}

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The frame or the slot; none for those that have none.
    pub frame: Option<FrameId>,
    /// Its bits, as far as the scenario mentions them.
    pub bits: Bits,
}

/// An entry as far as it is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    kind: Kind,
    frame: Option<FrameId>,
    bits: Change,
}

/// Every entry that can occur.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// By value.
    all: Vec<Entry>,
    bits: Bits,
}

impl Entry {
    pub(super) const NONE: Self = Self { kind: Kind::None, frame: None, bits: Bits::NONE };
    pub(super) const MARKER: Self =
        Self { kind: Kind::Marker, frame: None, bits: Bits::NONE.with(Bit::UffdWp) };

    /// The frame that hardware reaches through it, if it allows what is needed.
    pub(super) fn usable(self, need: Need) -> Option<FrameId> {
        let present = self.kind == Kind::Present && !self.bits.has(Bit::ProtNone);
        let allows = need == Need::Load || self.bits.has(Bit::Write);
        self.frame.filter(|_| present && allows)
    }

    /// With other bits. A marker that loses its mark is nothing.
    pub(super) fn changed(self, change: Change) -> Self {
        if self.kind == Kind::Marker && change.clear.has(Bit::UffdWp) {
            return Self::NONE;
        }
        Self { bits: change.of(self.bits), ..self }
    }

    /// The entry that stands for its frame while that is migrated; what maps no frame stays what it is.
    pub(super) fn migrating(self) -> Self {
        if self.kind == Kind::Present { Self { kind: Kind::Migration, ..self } } else { self }
    }

    fn rank(self) -> usize {
        let usable = [Need::Load, Need::Store].into_iter().filter(|need| self.usable(*need).is_some());
        usize::from(self.kind != Kind::None) + usable.count()
    }
}

impl Pattern {
    /// An entry of which these bits are said.
    pub(super) fn of(kind: Kind, frame: Option<FrameId>, bits: Change) -> Self {
        Self { kind, frame, bits }
    }

    /// Whether two entries are the same as far as both say.
    pub(super) fn same(self, other: Self) -> bool {
        let differ = |one: Change, other: Change| one.set.and(other.clear) != Bits::NONE;
        let bits = !differ(self.bits, other.bits) && !differ(other.bits, self.bits);
        self.kind == other.kind && self.frame == other.frame && bits
    }

    pub(super) fn is_none(self) -> bool {
        self.kind == Kind::None
    }

    pub(super) fn has(self, feature: Feature) -> bool {
        match feature {
            Feature::Bit(bit) => self.bits.set.has(bit),
            Feature::Kind(Kind::Present) => self.kind == Kind::Present && !self.bits.set.has(Bit::ProtNone),
            Feature::Kind(kind) => self.kind == kind,
        }
    }
}

impl From<Entry> for Pattern {
    fn from(entry: Entry) -> Self {
        let clear = Bits::of(&Bit::ALL).without(entry.bits);
        Self { kind: entry.kind, frame: entry.frame, bits: Change { set: entry.bits, clear } }
    }
}

impl Entries {
    /// Of these frames.
    pub(super) fn new(frames: &[FrameKind], mentioned: Mentioned) -> Self {
        let mut entries = Self { all: vec![Entry::NONE], bits: mentioned.bits.with(Bit::Write) };
        if mentioned.marker {
            entries.all.push(Entry::MARKER);
        }
        for (frame, what) in frames.iter().enumerate() {
            let kinds: &[Kind] = match (what, mentioned.migration) {
                (FrameKind::Slot, _) => &[Kind::Swap],
                (FrameKind::Table, _) => &[Kind::Table],
                (FrameKind::Frame, true) => &[Kind::Migration, Kind::Present],
                (FrameKind::Frame, false) => &[Kind::Present],
            };
            for kind in kinds {
                let room = entries.bits.and(kind.bits());
                let entry = |bits| Entry { kind: *kind, frame: Some(FrameId(frame)), bits };
                entries.all.extend(subsets(room).into_iter().map(entry));
            }
        }
        entries.all.sort_by_key(|entry| entry.rank());
        entries
    }

    /// The entry that names a page-table page.
    pub(super) fn table(&self, table: FrameId) -> u32 {
        self.value(Entry { kind: Kind::Table, frame: Some(table), bits: Bits::NONE })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them, with their values.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, Entry)> {
        (0..).zip(self.all.iter().copied())
    }

    /// Those through which hardware reaches a frame, with their values.
    pub(super) fn usable(&self, need: Need) -> Vec<(u32, FrameId)> {
        self.all().filter_map(|(value, entry)| Some((value, entry.usable(need)?))).collect()
    }

    /// Holds if what `var` holds does not allow what is needed.
    pub(super) fn lacks(&self, var: Var, need: Need) -> Guard {
        let first = self.all.iter().position(|entry| entry.usable(need).is_some());
        match number(first.unwrap_or(self.all.len())) {
            1 => Guard::Is(var, 0),
            first => Guard::Below(var, first),
        }
    }

    /// The entry with that value, which is one of the domain.
    pub(super) fn get(&self, value: u32) -> Entry {
        self.all[value as usize]
    }

    /// The value of an entry, without the bits for which there is no room.
    pub(super) fn value(&self, entry: Entry) -> u32 {
        let fits = entry.bits.and(self.bits).and(entry.kind.bits());
        let bits = if entry.kind == Kind::Marker { Entry::MARKER.bits } else { fits };
        let found = self.all.iter().position(|known| *known == Entry { bits, ..entry });
        number(found.expect("whatever a scenario mentions is in the domain of its entries"))
    }

    /// The value of an entry with that bit too; nothing if the domain does not have it.
    pub(super) fn with(&self, value: u32, bit: Bit) -> Option<u32> {
        let entry = self.get(value);
        let more = Entry { bits: entry.bits.with(bit), ..entry };
        self.bits.has(bit).then(|| self.value(more))
    }

    /// Whether the dirty bit exists, and this entry does not have it.
    pub(super) fn is_clean(&self, value: u32) -> bool {
        self.with(value, Bit::Dirty).is_some_and(|dirty| dirty != value)
    }

    /// How they are shown.
    pub(super) fn shown(&self, frames: &[String]) -> Vec<String> {
        self.all.iter().map(|entry| shown(*entry, frames)).collect()
    }
}

fn shown(entry: Entry, frames: &[String]) -> String {
    let Some(frame) = entry.frame else { return entry.kind.name().to_owned() };
    let name = &frames[frame.0];
    let said = Change { set: entry.bits, clear: Bits::NONE.with(Bit::Write).without(entry.bits) };
    match entry.kind {
        Kind::Migration => format!("migration {name} {said}"),
        Kind::Swap | Kind::Table => {
            format!("{name} {}", Change { clear: Bits::NONE, ..said }).trim_end().to_owned()
        }
        Kind::None | Kind::Marker | Kind::Present => format!("{name} {said}"),
    }
}

/// Every set of some of `bits`; the one without any is the first.
fn subsets(bits: Bits) -> Vec<Bits> {
    let mut found = vec![Bits::NONE];
    for bit in bits.iter() {
        let with: Vec<Bits> = found.iter().map(|set| set.with(bit)).collect();
        found.extend(with);
    }
    found
}
