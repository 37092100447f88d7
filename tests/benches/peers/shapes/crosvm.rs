//! The shape of crosvm's IOMMU mapper: one tree of mappings under a mutex; a translation is a list of regions.
//!
//! Invariant: each translation makes a list on the heap, because a range may need several regions.
//! Source: crosvm devices/src/virtio/iommu/memory_mapper.rs, `BasicMemoryMapper::translate`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use mmu::address::PAGE_SIZE;

use crate::pages::{BASE, frame};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protection {
    ReadWrite,
}

struct Mapping {
    to: u64,
    len_bytes: u64,
    protection: Protection,
}

struct Region {
    from: u64,
    len_bytes: u64,
    protection: Protection,
}

pub(crate) struct Shared(Mutex<BTreeMap<u64, Mapping>>);

impl Shared {
    pub(crate) fn filled(pages: u64) -> Self {
        let mapping = |page: u64| Mapping {
            to: frame(page) * PAGE_SIZE,
            len_bytes: PAGE_SIZE,
            protection: Protection::ReadWrite,
        };
        Self(Mutex::new((0..pages).map(|page| (BASE + page * PAGE_SIZE, mapping(page))).collect()))
    }

    fn regions(&self, address: u64, len_bytes: u64) -> Option<Vec<Region>> {
        let mappings = self.0.lock().expect("nobody panics");
        let (mut at, end) = (address, address.checked_add(len_bytes)?);
        let mut found: Vec<Region> = Vec::new();
        while at < end {
            let (from, mapping) = mappings.range(..=at).next_back()?;
            let rest = (from + mapping.len_bytes).checked_sub(at).filter(|rest| *rest > 0)?.min(end - at);
            let to = mapping.to + (at - from);
            match found.last_mut() {
                Some(last) if last.from + last.len_bytes == to && last.protection == mapping.protection => {
                    last.len_bytes += rest;
                }
                _ => found.push(Region { from: to, len_bytes: rest, protection: mapping.protection }),
            }
            at += rest;
        }
        Some(found)
    }

    #[inline]
    pub(crate) fn address(&self, address: u64) -> Option<u64> {
        Some(self.regions(address, 8)?.first()?.from)
    }
}
