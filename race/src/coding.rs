//! Entries of a scenario as words of a page table, and back.
//!
//! Invariant: what is encoded decodes to itself, and nothing else decodes to it, but for marks that hardware sets. Bits that
//! a scenario does not mention are as software that does not care for them leaves them: an entry that hardware may use is
//! young, and dirty if it may be stored through.
//! Source: Intel SDM vol. 3, 4.5; arch/x86/include/asm/pgtable_types.h; include/linux/swapops.h.

use std::collections::HashMap;

use mmu::address::Pfn;
use mmu::pte::Pte;
use ordering::lowering::{Entry, FrameId, Scene};
use steps::entry::{Bit, Bits, Kind};

/// Software bit of a present entry: the page is this address space's alone (Linux keeps it in `struct page`).
const EXCLUSIVE: u64 = 1 << 52;
/// Software bit of a present entry: one of a block that hardware may read as one (bit 52 of an arm64 entry).
const CONTIGUOUS: u64 = 1 << 53;

const TYPE_SWAP: u64 = 1;
const TYPE_MIGRATION: u64 = 2;
const TYPE_MARKER: u64 = 5;

/// Where the bits of an entry that is not present stand.
const ABSENT: [(Bit, u64); 6] = [
    (Bit::UffdWp, Pte::SWAP_UFFD_WP),
    (Bit::Exclusive, Pte::SWAP_EXCLUSIVE),
    (Bit::Write, 1 << 4),
    (Bit::Young, Pte::ACCESSED),
    (Bit::Dirty, Pte::DIRTY),
    (Bit::Huge, Pte::LARGE),
];

/// Where the bits of an entry that maps a frame stand.
const PRESENT: [(Bit, u64); 8] = [
    (Bit::Write, Pte::WRITE),
    (Bit::Dirty, Pte::DIRTY),
    (Bit::Young, Pte::ACCESSED),
    (Bit::Exclusive, EXCLUSIVE),
    (Bit::UffdWp, Pte::UFFD_WP),
    (Bit::Special, Pte::SPECIAL),
    (Bit::Cont, CONTIGUOUS),
    (Bit::Huge, Pte::LARGE),
];

/// In which kind of table an entry stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Height {
    /// The last: entries of pages.
    Leaf,
    /// The one above.
    Upper,
}

/// The coding of one scenario's entries.
#[derive(Debug)]
pub(crate) struct Coding {
    /// By frame.
    pfns: Vec<Pfn>,
    frames: HashMap<Pfn, FrameId>,
    /// The bits that the scenario mentions.
    tracked: Bits,
}

impl Coding {
    /// Of the entries of `scene`, whose frames lie at `pfns`.
    pub(crate) fn new(scene: &Scene, pfns: Vec<Pfn>) -> Self {
        let frames = pfns.iter().zip(0..).map(|(pfn, id)| (*pfn, FrameId(id))).collect();
        // A marker has its bit whether the scenario mentions that bit or not.
        let entries = scene.entries.iter().filter(|entry| entry.kind != Kind::Marker);
        let tracked = entries.fold(Bits::NONE, |bits, entry| bits.or(entry.bits));
        Self { pfns, frames, tracked }
    }

    /// Whether the scenario mentions the bit.
    pub(crate) fn tracks(&self, bit: Bit) -> bool {
        self.tracked.has(bit)
    }

    /// Where a frame lies.
    pub(crate) fn pfn(&self, frame: FrameId) -> Pfn {
        self.pfns[frame.0]
    }

    /// Which frame lies there, if it is one of the scenario.
    pub(crate) fn frame(&self, pfn: Pfn) -> Option<FrameId> {
        self.frames.get(&pfn).copied()
    }

    /// The word of an entry.
    pub(crate) fn encode(&self, entry: Entry) -> Pte {
        let place = entry.frame.map_or(0, |frame| self.pfn(frame).0 << 12);
        let bits = |table: &[(Bit, u64)]| {
            let there = |bit: Bit| entry.bits.has(bit) && (entry.kind == Kind::Marker || self.tracks(bit));
            table.iter().filter(|(bit, _)| there(*bit)).fold(place, |word, (_, mask)| word | mask)
        };
        let absent = |kind: u64| Pte(kind << Pte::SWAP_TYPE_SHIFT | bits(&ABSENT));
        match entry.kind {
            Kind::None => Pte::NONE,
            Kind::Marker => absent(TYPE_MARKER),
            Kind::Swap => absent(TYPE_SWAP),
            Kind::Migration => absent(TYPE_MIGRATION),
            Kind::Table => Pte::table(Pfn(place >> 12)).with(Pte::ACCESSED),
            Kind::Present if entry.bits.has(Bit::ProtNone) => {
                Pte(bits(&PRESENT) | Pte::PROT_NONE | Pte::USER)
            }
            Kind::Present => {
                let young = if self.tracks(Bit::Young) { 0 } else { Pte::ACCESSED };
                let cares = self.tracks(Bit::Dirty) || !entry.bits.has(Bit::Write);
                let dirty = if cares { 0 } else { Pte::DIRTY };
                Pte(bits(&PRESENT) | Pte::PRESENT | Pte::USER | young | dirty)
            }
        }
    }

    /// The entry of a word; none if it leads to no frame of the scenario, or has bits that nobody writes.
    pub(crate) fn decode(&self, word: Pte, height: Height) -> Option<Entry> {
        if word == Pte::NONE {
            return Some(Entry { kind: Kind::None, frame: None, bits: Bits::NONE });
        }
        let kind = kind(word, height)?;
        let table: &[(Bit, u64)] = match kind {
            Kind::None | Kind::Table => &[],
            Kind::Present => &PRESENT,
            Kind::Swap | Kind::Migration | Kind::Marker => &ABSENT,
        };
        let tracks = |bit: Bit| kind == Kind::Marker || self.tracks(bit);
        let found = table.iter().filter(|(bit, mask)| word.0 & mask != 0 && tracks(*bit));
        let mut bits = found.fold(Bits::NONE, |bits, (bit, _)| bits.with(*bit));
        if kind == Kind::Present && !word.is_present() {
            bits = bits.with(Bit::ProtNone);
        }
        let frame = if kind == Kind::Marker { None } else { Some(self.frame(word.pfn())?) };
        let entry = Entry { kind, frame, bits };
        // Hardware sets the one or the other where the scenario mentions neither.
        let marks = if word.is_present() { Pte::ACCESSED | Pte::DIRTY } else { 0 };
        ((self.encode(entry).0 ^ word.0) & !marks == 0).then_some(entry)
    }
}

/// What a word that is not empty is; none for a type that no scenario writes.
fn kind(word: Pte, height: Height) -> Option<Kind> {
    if word.is_present() {
        let table = height == Height::Upper && word.0 & Pte::LARGE == 0;
        return Some(if table { Kind::Table } else { Kind::Present });
    }
    if word.0 & Pte::PROT_NONE != 0 {
        return Some(Kind::Present);
    }
    let types = [(TYPE_SWAP, Kind::Swap), (TYPE_MIGRATION, Kind::Migration), (TYPE_MARKER, Kind::Marker)];
    types.into_iter().find(|(kind, _)| *kind == word.0 >> Pte::SWAP_TYPE_SHIFT).map(|(_, kind)| kind)
}
