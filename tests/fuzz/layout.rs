//! Tables as a driver lays them out: one frame for each, every level with a few entries, and all of them spoilt at will.
//!
//! Invariant: it knows bit numbers by itself. What is not spoilt translates: a device at [`SOURCES`], with the PASIDs 0
//! (first stage), 1 (second), 2 (nested), 3 (none), 4 (first, five levels), an address made of [`INDICES`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use iommu::vtd::{Vtd, Width};
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use pcie::SourceId;

use super::Choices;

/// Frames, by what lies there.
pub(super) const ROOT: u64 = 1;
const CONTEXTS: u64 = 2;
const DIRECTORY: u64 = 3;
const PASIDS: u64 = 4;
pub(super) const QUEUE: u64 = 5;
pub(super) const REQUESTS: u64 = 6;
pub(super) const INTERRUPTS: u64 = 7;
/// Entries of the interrupt remapping table, which is larger than that.
pub(super) const INTERRUPT_ENTRIES: u64 = 16;
pub(super) const STATUS: u64 = 8;
/// The table of level `n` of the first stage lies in frame `FIRST_STAGE + n`, and so for the second.
const FIRST_STAGE: u64 = 16;
const SECOND_STAGE: u64 = 24;
/// The first frame that only data lies in.
const DATA: u64 = 32;
const FRAMES: u64 = 64;

/// Indices that addresses are made of.
pub(super) const INDICES: [u64; 4] = [0, 1, 2, 3];
/// The functions that ask.
pub(super) const SOURCES: [SourceId; 2] = [SourceId(0x08), SourceId(0x90)];
pub(super) const DOMAINS: u64 = 3;
/// PASIDs that requests carry.
pub(super) const PASID_NUMBERS: u64 = 6;

const TRANSLATION: u64 = 1 << 31;
const TAKE_ROOT: u64 = 1 << 30;
const QUEUE_ON: u64 = 1 << 26;
const INTERRUPTS_ON: u64 = 1 << 25;
const TAKE_INTERRUPTS: u64 = 1 << 24;

/// How the root table is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Legacy,
    Scalable,
}

/// Memory with tables in it.
pub(super) struct Layout {
    memory: Arc<PhysicalMemory>,
    pub(super) mode: Mode,
    /// Frames that any word ever named.
    named: HashSet<u64>,
    /// The same of large pages, without the bits of the frame that lie inside.
    named_large: HashSet<u64>,
    /// What was laid out, by its place.
    sound: HashMap<PhysAddr, u64>,
}

/// The frame bits of a table entry.
const FRAME: u64 = 0x000f_ffff_ffff_f000;
/// What an entry allows, in both stages: present or R, R/W or W, U/S.
const ALLOWS: u64 = 7;
/// The entry is a large page.
const LARGE: u64 = 1 << 7;
/// Frames of large pages, as powers of two.
const LARGE_SHIFTS: [u32; 2] = [9, 18];

impl Layout {
    /// Sound tables.
    pub(super) fn new(memory: &Arc<PhysicalMemory>, mode: Mode) -> Self {
        let memory = Arc::clone(memory);
        let mut layout =
            Self { memory, mode, named: HashSet::new(), named_large: HashSet::new(), sound: HashMap::new() };
        layout.lay_contexts();
        for (pasid, words) in (0..).zip(pasid_entries()) {
            for (at, word) in (0..).step_by(8).zip(words) {
                layout.lay(place(PASIDS, pasid * 8).offset(at), word);
            }
        }
        layout.lay(place(DIRECTORY, 0), PASIDS << 12 | 1);
        for index in INDICES {
            for level in 2..=5 {
                layout.lay(place(FIRST_STAGE + level, index), (FIRST_STAGE + level - 1) << 12 | 7);
            }
            for level in 2..=4 {
                layout.lay(place(SECOND_STAGE + level, index), (SECOND_STAGE + level - 1) << 12 | 3);
            }
            layout.lay(place(FIRST_STAGE + 1, index), (DATA + index) << 12 | 7);
        }
        // One to one, so that the first stage's tables are where the nested one looks for them.
        for frame in 0..FRAMES {
            layout.lay(place(SECOND_STAGE + 1, frame), frame << 12 | 3);
        }
        layout
    }

    fn lay_contexts(&mut self) {
        for half in [0, 1] {
            self.lay(place(ROOT, half), CONTEXTS << 12 | 1);
        }
        for source in SOURCES {
            let devfn = u64::from(source.devfn());
            match self.mode {
                Mode::Legacy => {
                    let words = [(SECOND_STAGE + 4) << 12 | 1 << 2 | 1, 2 | 1 << 8];
                    self.lay_words(place(CONTEXTS, devfn * 2), words);
                }
                Mode::Scalable => {
                    self.lay_words(place(CONTEXTS, devfn % 128 * 4), [DIRECTORY << 12 | 0b11101, 0]);
                }
            }
        }
    }

    fn lay_words(&mut self, place: PhysAddr, words: [u64; 2]) {
        self.lay(place, words[0]);
        self.lay(place.offset(8), words[1]);
    }

    fn lay(&mut self, place: PhysAddr, word: u64) {
        self.sound.insert(place, word);
        self.put(place, word);
    }

    /// Stores a word, and remembers what it may name.
    pub(super) fn put(&mut self, place: PhysAddr, word: u64) {
        self.memory.store(place, word);
        self.name(word);
    }

    /// Somebody stored `word` somewhere.
    pub(super) fn name(&mut self, word: u64) {
        let frame = (word & FRAME) >> 12;
        self.named.insert(frame);
        if word & LARGE != 0 {
            self.named_large.extend(LARGE_SHIFTS.map(|shift| frame >> shift));
        }
    }

    /// Whether a word named the page of `address`, by itself or as part of a large one.
    pub(super) fn names(&self, address: PhysAddr) -> bool {
        let frame = address.pfn().0;
        self.named.contains(&frame)
            || LARGE_SHIFTS.iter().any(|shift| self.named_large.contains(&(frame >> shift)))
    }

    /// Changes one entry of one table, mostly to another sound one.
    pub(super) fn change(&mut self, choices: &mut Choices<'_>) {
        let table = choices.of(&[
            ROOT,
            CONTEXTS,
            DIRECTORY,
            PASIDS,
            FIRST_STAGE + 1,
            FIRST_STAGE + 2,
            FIRST_STAGE + 3,
            FIRST_STAGE + 4,
            SECOND_STAGE + 1,
            SECOND_STAGE + 2,
            SECOND_STAGE + 3,
            SECOND_STAGE + 4,
        ]);
        let place = self.entry(table, choices);
        let word = match choices.below(12) {
            0 | 1 => choices.spoil(self.memory.load(place), 1),
            2 => 0,
            // A link to any of the tables, itself among them, or to data.
            3 => choices.below(FRAMES) << 12 | choices.of(&[1, 3, 7]),
            4 => choices.below(4) << choices.of(&[21, 30]) | 0x80 | choices.of(&[1, 3, 7]),
            // What was there allows something else: a level that forbids what the others allow is rare otherwise.
            5..=7 => self.sound_at(place) & !ALLOWS | choices.of(&[1, 2, 3, 5, 7]),
            // A driver mends it: tables that are spoilt more and more lead nowhere.
            8..=10 => self.sound_at(place),
            _ => choices.number(),
        };
        self.put(place, word);
    }

    /// What was laid out there, if anything was.
    fn sound_at(&self, place: PhysAddr) -> u64 {
        self.sound.get(&place).copied().unwrap_or_default()
    }

    fn entry(&self, table: u64, choices: &mut Choices<'_>) -> PhysAddr {
        let index = match table {
            ROOT => choices.below(2),
            CONTEXTS => {
                let devfn = u64::from(choices.of(&SOURCES).devfn());
                let at = if self.mode == Mode::Legacy { devfn * 2 } else { devfn % 128 * 4 };
                at + choices.below(2)
            }
            DIRECTORY => 0,
            PASIDS => choices.below(PASID_NUMBERS) * 8 + choices.below(3),
            _ => choices.of(&INDICES) + choices.below(2) * 16,
        };
        place(table, index)
    }
}

/// PGTT, AW and the tables of the PASIDs 0 to 4.
fn pasid_entries() -> [[u64; 3]; 5] {
    let second = (SECOND_STAGE + 4) << 12 | 2 << 2;
    let first = (FIRST_STAGE + 4) << 12;
    [
        [1 << 6 | 1, 1, first],
        [second | 2 << 6 | 1, 1, 0],
        [second | 3 << 6 | 1, 2, first],
        [4 << 6 | 1, 2, 0],
        [1 << 6 | 1, 1, (FIRST_STAGE + 5) << 12 | 1 << 2],
    ]
}

/// The word `index` of a frame.
pub(super) const fn place(frame: u64, index: u64) -> PhysAddr {
    PhysAddr(frame << 12 | index << 3)
}

/// An address that the tables may translate.
pub(super) fn address(choices: &mut Choices<'_>) -> VirtAddr {
    if choices.one_in(8) {
        return VirtAddr(choices.number());
    }
    // The nested stage, and a second stage of one level less, look at the lower levels only.
    let levels = choices.of(&[1, 1, 2, 4, 5]);
    let page = (0..levels).fold(0, |page, level| page | choices.of(&INDICES) << (9 * level));
    VirtAddr(page << 12 | choices.below(0x1000))
}

/// Tells the unit of the tables and switches everything on, as a driver does.
pub(super) fn start(unit: &Vtd, mode: Mode) {
    let is_scalable = u64::from(mode == Mode::Scalable);
    let write = |offset, value| unit.write(offset, Width::Bits64, value);
    let command = |value| unit.write(0x18, Width::Bits32, value);
    write(0x20, ROOT << 12 | is_scalable << 10);
    write(0x90, QUEUE << 12 | is_scalable << 11);
    write(0xb8, INTERRUPTS << 12 | u64::from(INTERRUPT_ENTRIES.ilog2() - 1));
    write(0xd0, REQUESTS << 12);
    for (control, vector) in [(0x38, 0x30), (0xa0, 0x31), (0xe0, 0x32)] {
        write(control, vector << 32);
        write(control + 8, 0xfee0_0000);
    }
    command(TAKE_ROOT);
    command(TAKE_INTERRUPTS);
    command(QUEUE_ON | INTERRUPTS_ON);
    command(QUEUE_ON | INTERRUPTS_ON | TRANSLATION);
}
