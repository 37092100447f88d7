//! From a requester to its stages, and whether the stages of all requesters can be told apart by their tags.
//!
//! Source: VT-d 3.4, 9.1 to 9.6; 6.2.1 (tags).

use std::collections::HashMap;

use iommu::vtd::options::VtdOptions;
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use pcie::SourceId;

/// PASIDs of the unit.
const PASIDS: u64 = 1 << 12;

/// Tables, as a unit finds them.
#[derive(Clone, Copy, Debug)]
pub(in crate::fuzz::tables) struct Tables<'a> {
    pub(in crate::fuzz::tables) memory: &'a PhysicalMemory,
    /// RTADDR.
    pub(in crate::fuzz::tables) register: u64,
    /// What the unit has.
    pub(in crate::fuzz::tables) options: VtdOptions,
}

/// A second-stage table and its levels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Second {
    pub(super) table: u64,
    pub(super) levels: u32,
}

/// What an address passes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stages {
    None,
    Second(Second),
    /// With the register-like word of the first stage.
    First(u64, Option<Second>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route {
    pub(super) stages: Stages,
    pub(super) has_device_tlb: bool,
    domain: u64,
    pasid: u64,
}

/// How the requester is translated by `tables`; none if it is blocked.
pub(super) fn route(tables: &Tables<'_>, source: SourceId, pasid: Option<u32>) -> Option<Route> {
    match tables.register >> 10 & 3 {
        0 => tables.legacy(source, pasid),
        1 if tables.options.scalable_mode => tables.scalable(source, pasid),
        _ => None,
    }
}

/// Whether no two requesters have the same tag and different tables: software must not do that, because their
/// translations share a cache.
pub(in crate::fuzz::tables) fn is_unambiguous(tables: &Tables<'_>, sources: &[SourceId]) -> bool {
    let mut first_stages = HashMap::new();
    let mut second_stages = HashMap::new();
    for (source, pasid) in sources.iter().flat_map(|source| {
        [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)].map(|pasid| (*source, pasid))
    }) {
        let Some(route) = route(tables, source, pasid) else { continue };
        let (first, second) = match route.stages {
            Stages::None => continue,
            Stages::Second(second) => (None, Some(second)),
            Stages::First(first, nest) => (Some((first, nest)), nest),
        };
        let key = (route.domain, route.pasid, second.is_some());
        if first.is_some_and(|first| *first_stages.entry(key).or_insert(first) != first)
            || second.is_some_and(|second| *second_stages.entry(route.domain).or_insert(second) != second)
        {
            return false;
        }
    }
    true
}

impl Tables<'_> {
    fn load(&self, place: u64) -> Option<u64> {
        self.memory.try_load(PhysAddr(place))
    }

    /// The context table that the root entry at `offset` leads to.
    fn context_table(&self, offset: u64) -> Option<u64> {
        let entry = self.load((self.register & !0xfff) + offset)?;
        (entry & 0xfff == 1).then_some(entry & !0xfff)
    }

    fn legacy(&self, source: SourceId, pasid: Option<u32>) -> Option<Route> {
        let table = self.context_table(u64::from(source.bus()) * 16)?;
        let place = table + u64::from(source.devfn()) * 16;
        let (low, high) = (self.load(place)?, self.load(place + 8)?);
        let levels = levels(high & 7)?;
        let is_sound = low & 1 == 1 && low & 0xff0 == 0 && high & 0x80 == 0 && high >> 24 == 0;
        if !is_sound || pasid.is_some() {
            return None;
        }
        let stages = match low >> 2 & 3 {
            0 | 1 => Stages::Second(Second { table: low & !0xfff, levels }),
            2 => Stages::None,
            _ => return None,
        };
        Some(Route { stages, has_device_tlb: low >> 2 & 3 == 1, domain: high >> 8 & 0xffff, pasid: 0 })
    }

    fn scalable(&self, source: SourceId, pasid: Option<u32>) -> Option<Route> {
        let devfn = u64::from(source.devfn());
        let table = self.context_table(u64::from(source.bus()) * 16 + devfn / 128 * 8)?;
        let place = table + devfn % 128 * 32;
        let (low, high) = (self.load(place)?, self.load(place + 8)?);
        if low & 1 == 0 || low & 0x1e0 != 0 || high >> 21 != 0 || pasid.is_some() && low & 8 == 0 {
            return None;
        }
        let pasid = pasid.map_or(high & 0xf_ffff, u64::from);
        if pasid >= PASIDS || pasid >> 6 >= 1 << ((low >> 9 & 7) + 7) {
            return None;
        }
        let directory = self.load((low & !0xfff).checked_add(pasid / 64 * 8)?)?;
        if directory & 1 == 0 || directory & 0xffc != 0 {
            return None;
        }
        let place = (directory & !0xfff) + pasid % 64 * 64;
        let words = [self.load(place)?, self.load(place + 8)?, self.load(place + 16)?];
        let stages = stages(words)?;
        if matches!(stages, Stages::First(first, _) if first & 4 != 0 && !self.options.five_levels) {
            return None;
        }
        Some(Route { stages, has_device_tlb: low & 4 != 0, domain: words[1] & 0xffff, pasid })
    }
}

/// Those of a PASID entry.
fn stages([low, middle, first]: [u64; 3]) -> Option<Stages> {
    let has_reserved = low & 0xc00 != 0 || middle & 0x7f_0000 != 0 || first & 0xf00 != 0;
    let second = levels(low >> 2 & 7).map(|levels| Second { table: low & !0xfff, levels });
    match low >> 6 & 7 {
        _ if low & 1 == 0 || has_reserved => None,
        1 => Some(Stages::First(first, None)),
        2 => second.map(Stages::Second),
        3 => second.map(|second| Stages::First(first, Some(second))),
        4 => Some(Stages::None),
        _ => None,
    }
}

/// Of a field AW.
const fn levels(width: u64) -> Option<u32> {
    match width {
        1 => Some(3),
        2 => Some(4),
        _ => None,
    }
}
