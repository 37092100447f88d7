//! What the tables say, once more: no caches, no types, one function a table.
//!
//! Invariant: it shares nothing with the unit but memory, and it changes nothing. Source: VT-d 3.4 (routes), 3.6 and 3.7
//! (stages), 3.8 (nested), 9 (layouts).

mod route;

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use pcie::{Ats, SourceId};

use self::route::{Route, Second, Stages, route};

pub(super) use self::route::{Tables, is_unambiguous};

const FRAME: u64 = 0x000f_ffff_ffff_f000;
const LARGE: u64 = 1 << 7;
/// In a leaf of the second stage; reserved above.
const SNOOP: u64 = 1 << 11;

/// What came of a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    /// The physical address, unless the request is blocked.
    pub(super) reached: Option<u64>,
    /// What translates it.
    pub(super) way: &'static str,
    /// Whether the unit sets a bit in a table on the way, be it in vain.
    pub(super) marks: bool,
    /// Whether a bit had to be set that the second stage protects.
    pub(super) is_mark_denied: bool,
    /// Whether a level above a leaf forbids what the leaf allows.
    pub(super) is_denied_above: bool,
    has_device_tlb: bool,
    has_pasid: bool,
}

impl Look {
    const BLOCKED: Self = Self {
        reached: None,
        way: "blocked",
        marks: false,
        is_mark_denied: false,
        is_denied_above: false,
        has_device_tlb: false,
        has_pasid: false,
    };

    /// Whether a request to `address` may come at all, from a device that translates ahead or not.
    pub(super) fn admits(&self, address: VirtAddr, ats: Ats) -> bool {
        let is_translated = self.has_pasid && self.way != "identity";
        (!is_interrupt(address.0) || is_translated) && (ats == Ats::Disabled || self.has_device_tlb)
    }
}

/// The tables of one requester, as they are followed.
struct Walk<'a> {
    memory: &'a PhysicalMemory,
    address: u64,
    write: bool,
    look: Look,
    /// What the unit sets on the way, and where: a table may be met again as another one.
    marked: Vec<(u64, u64)>,
}

/// An entry of the first stage, where it was found.
#[derive(Clone, Copy)]
struct Entry {
    place: u64,
    word: u64,
    /// Whether it may be marked.
    writable: bool,
}

/// Looks where the request goes.
pub(super) fn look(
    tables: &Tables<'_>,
    source: SourceId,
    pasid: Option<u32>,
    address: VirtAddr,
    access: Access,
) -> Look {
    let write = access == Access::Write;
    let look = Look { has_pasid: pasid.is_some(), ..Look::BLOCKED };
    let mut walk = Walk { memory: tables.memory, address: address.0, write, look, marked: Vec::new() };
    let reached = route(tables, source, pasid).and_then(|route| walk.follow(route));
    let is_mark_denied = walk.look.is_mark_denied;
    let marks = !walk.marked.is_empty();
    Look { reached: reached.filter(|_| !is_mark_denied), marks, ..walk.look }
}

impl Walk<'_> {
    fn load(&self, place: u64) -> Option<u64> {
        let word = self.memory.try_load(PhysAddr(place))?;
        let here = self.marked.iter().filter(|(marked, _)| *marked == place);
        Some(here.fold(word, |word, (_, marks)| word | marks))
    }

    /// Through whatever the route leads through.
    fn follow(&mut self, route: Route) -> Option<u64> {
        self.look.has_device_tlb = route.has_device_tlb;
        match route.stages {
            Stages::None => {
                self.look.way = "identity";
                Some(self.address)
            }
            Stages::Second(second) => {
                self.look.way = "second stage";
                let (reached, allowed) = self.second(second, self.address)?;
                (allowed & self.needed() != 0 && !is_interrupt(reached)).then_some(reached)
            }
            Stages::First(register, nest) => {
                self.first(register, nest).filter(|reached| !is_interrupt(*reached))
            }
        }
    }

    /// The bit of a second-stage entry that allows the access.
    const fn needed(&self) -> u64 {
        if self.write { 2 } else { 1 }
    }

    /// Where the second stage leads, and what it allows, which is something.
    fn second(&mut self, stage: Second, address: u64) -> Option<(u64, u64)> {
        if address >> (12 + 9 * stage.levels) != 0 {
            return None;
        }
        let (mut table, mut allowed) = (stage.table, 3);
        for level in (1..=stage.levels).rev() {
            let shift = 3 + 9 * level;
            let entry = self.load(table + (address >> shift & 0x1ff) * 8)?;
            allowed &= entry;
            if entry & 3 == 0 {
                return None;
            }
            if level > 1 && entry & LARGE == 0 {
                if entry & SNOOP != 0 {
                    return None;
                }
                table = entry & FRAME;
                continue;
            }
            let inside = (1 << shift) - 1;
            if level > 3 || level > 1 && entry & FRAME & inside != 0 {
                return None;
            }
            self.look.is_denied_above |= entry & !allowed & self.needed() != 0;
            return (allowed & 3 != 0).then_some((entry & FRAME | address & inside, allowed & 3));
        }
        None
    }

    /// Where a first-stage table lies, and whether its entries may be marked.
    fn first_table(&mut self, nest: Option<Second>, address: u64) -> Option<(u64, bool)> {
        let Some(second) = nest else { return Some((address, true)) };
        let (reached, allowed) = self.second(second, address)?;
        (allowed & 1 != 0).then_some((reached, allowed & 2 != 0))
    }

    fn first(&mut self, register: u64, nest: Option<Second>) -> Option<u64> {
        self.look.way = if nest.is_some() { "nested" } else { "first stage" };
        let levels = match register >> 2 & 3 {
            0 => 4,
            1 => 5,
            _ => return None,
        };
        let sign = self.address.cast_signed() >> (11 + 9 * levels);
        if sign != 0 && sign != -1 {
            return None;
        }
        let (mut table, mut writable) = self.first_table(nest, register & !0xfff)?;
        let mut allowed = u64::MAX;
        for level in (1..=levels).rev() {
            let shift = 3 + 9 * level;
            let place = table + (self.address >> shift & 0x1ff) * 8;
            let entry = self.load(place)?;
            let is_leaf = level == 1 || entry & LARGE != 0;
            let inside = (1_u64 << shift) - 1;
            let has_reserved = level > 1 && is_leaf && (level > 3 || entry & FRAME & inside & !0x1000 != 0);
            if entry & 1 == 0 || has_reserved {
                return None;
            }
            allowed &= entry;
            if is_leaf {
                let own = entry & FRAME & !inside | self.address & inside;
                return self.leaf(nest, own, allowed, Entry { place, word: entry, writable });
            }
            self.mark(Entry { place, word: entry, writable }, 0x20)?;
            (table, writable) = self.first_table(nest, entry & FRAME)?;
        }
        None
    }

    /// `entry` is the leaf.
    fn leaf(&mut self, nest: Option<Second>, own: u64, allowed: u64, entry: Entry) -> Option<u64> {
        self.look.is_denied_above |= entry.word & !allowed & if self.write { 6 } else { 4 } != 0;
        if allowed & 4 == 0 || self.write && allowed & 2 == 0 {
            return None;
        }
        let reached = match nest {
            None => own,
            Some(second) => {
                let (reached, allowed) = self.second(second, own)?;
                (allowed & self.needed() != 0).then_some(reached)?
            }
        };
        self.mark(entry, if self.write { 0x60 } else { 0x20 })?;
        Some(reached)
    }

    /// Whether the walk goes on: `marks` are set in the entry, or can be.
    fn mark(&mut self, entry: Entry, marks: u64) -> Option<()> {
        if entry.word & marks == marks {
            return Some(());
        }
        if entry.writable {
            self.marked.push((entry.place, marks));
        }
        self.look.is_mark_denied |= !entry.writable;
        entry.writable.then_some(())
    }
}

/// Whether interrupts are stored to `address`.
const fn is_interrupt(address: u64) -> bool {
    address >> 20 == 0xfee
}
