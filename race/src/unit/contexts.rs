//! Root tables and context tables of units in legacy mode: a device that goes by a context entry has such a unit.
//!
//! Invariant: each context entry of the scenario has a root table of its own, and stands there for the one function that
//! every unit has in front of it. Beside it stand those of other functions, which nobody writes any more: what a unit keeps
//! of theirs is none of what it keeps of the scenario's.
//! Source: VT-d 9.1, 9.3; drivers/iommu/intel/iommu.c `domain_context_mapping_one`.

use iommu::spec::context::{LEGACY_CONTEXT_BYTES, ROOT_ENTRY_BYTES, RootEntry};
use mmu::address::{Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use pcie::SourceId;

use super::requests::{NEIGHBOURS, SOURCE};

/// Tables of the one unit, or of the few, for which one context entry of the scenario is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContextTables {
    root: Pfn,
    /// By bus.
    contexts: [Pfn; 2],
}

impl ContextTables {
    /// In frames that `take` gives.
    pub(crate) fn new(mut take: impl FnMut(u64) -> Pfn) -> Self {
        Self { root: take(1), contexts: [take(1), take(1)] }
    }

    /// The root table.
    pub(crate) fn root(&self) -> PhysAddr {
        self.root.address()
    }

    /// Where the scenario's entry stands.
    pub(crate) fn entry(&self) -> PhysAddr {
        self.place(SOURCE)
    }

    /// Writes everything that never changes; the entries of the neighbours are `words`.
    pub(crate) fn link(&self, memory: &PhysicalMemory, words: &[u64]) {
        for (bus, table) in (0..).zip(self.contexts) {
            let place = self.root().offset(bus * ROOT_ENTRY_BYTES);
            memory.store(place, RootEntry::to(table.address()).0);
        }
        for neighbour in NEIGHBOURS {
            for (offset, word) in (0..).step_by(8).zip(words) {
                memory.store(self.place(neighbour).offset(offset), *word);
            }
        }
    }

    fn place(&self, source: SourceId) -> PhysAddr {
        let table = self.contexts[usize::from(source.bus())];
        table.address().offset(u64::from(source.devfn()) * LEGACY_CONTEXT_BYTES)
    }
}
