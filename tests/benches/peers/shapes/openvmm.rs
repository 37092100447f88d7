//! The shape of OpenVMM's emulated IOMMU: no IOTLB at all; each access walks the tables in guest memory under a lock
//! that is read.
//!
//! Invariant: four entries are loaded for each translation, each one checked against the size of memory.
//! Source: microsoft/openvmm vm/devices/iommu.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use mmu::address::PAGE_SIZE;

use crate::pages::{BASE, frame};

const WORDS: u64 = 512;
const PRESENT: u64 = 1;

pub(crate) struct Shared {
    /// Whether it translates.
    enabled: RwLock<bool>,
    memory: Vec<AtomicU64>,
}

impl Shared {
    pub(crate) fn filled(pages: u64) -> Self {
        // Root, two levels below it, and as many tables of leaves as it takes, all for BASE on.
        let tables = pages.div_ceil(WORDS);
        let directories = tables.div_ceil(WORDS);
        let words = (2 + directories + tables) * WORDS;
        let memory: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let store = |table: u64, index: u64, value: u64| {
            let place = usize::try_from(table * WORDS + index % WORDS).expect("it was just counted");
            memory[place].store(value, Ordering::Relaxed);
        };
        store(0, BASE >> 39, PAGE_SIZE | PRESENT);
        for directory in 0..directories {
            store(1, (BASE >> 30) + directory, ((2 + directory) * PAGE_SIZE) | PRESENT);
        }
        for table in 0..tables {
            store(2 + table / WORDS, table, ((2 + directories + table) * PAGE_SIZE) | PRESENT);
        }
        for page in 0..pages {
            store(2 + directories + page / WORDS, page, (frame(page) * PAGE_SIZE) | PRESENT);
        }
        Self { enabled: RwLock::new(true), memory }
    }

    #[inline]
    pub(crate) fn address(&self, address: u64) -> Option<u64> {
        let enabled = self.enabled.read().expect("nobody panics");
        if !*enabled {
            return Some(address);
        }
        let mut table = 0;
        for shift in [39, 30, 21, 12] {
            let place = usize::try_from(table / 8 + (address >> shift) % WORDS).ok()?;
            let entry = self.memory.get(place)?.load(Ordering::Acquire);
            if entry & PRESENT == 0 {
                return None;
            }
            table = entry & !(PAGE_SIZE - 1);
        }
        Some(table | (address % PAGE_SIZE))
    }
}
