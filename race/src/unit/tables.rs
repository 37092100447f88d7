//! What units in scalable mode read: root, context, PASID directory, PASID tables.
//!
//! Invariant: each page has a PASID that names its address space for good, which pages under one upper entry share: so
//! what is invalidated of one page ends no walk to another. The scenario's PASIDs come behind. All units read the same
//! tables; what they keep of them is their own.
//! Source: VT-d 9.2, 9.4, 9.5, 9.6; drivers/iommu/intel/pasid.c `intel_pasid_setup_first_level`.

use iommu::spec::context::{Admissions, RootEntry, ScalableContext};
use iommu::spec::pasid_entry::{
    DIRECTORY_ENTRY_BYTES, DirectoryEntry, PASID_ENTRY_BYTES, directory_index, table_index,
};
use mmu::address::{PAGE_SIZE, Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use ordering::lowering::{PageId, PasidId, Scene};
use pcie::Pasid;

/// PASIDs of one table.
const PASIDS: u64 = PAGE_SIZE / PASID_ENTRY_BYTES;

/// Where they lie.
#[derive(Debug)]
pub(crate) struct Tables {
    root: Pfn,
    context: Pfn,
    directory: Pfn,
    /// The first of the PASID tables, which lie side by side.
    pasids: Pfn,
    /// How many there are.
    count: u64,
    /// By page: the first of those that it shares its PASID with.
    first: Vec<usize>,
}

impl Tables {
    /// For `scene`, in frames that `take` gives.
    pub(crate) fn new(scene: &Scene, mut take: impl FnMut(u64) -> Pfn) -> Self {
        let above = |page: usize| scene.pages[page].above;
        let first =
            |page: usize| (0..page).find(|other| above(page).is_some() && above(*other) == above(page));
        let first: Vec<usize> = (0..scene.pages.len()).map(|page| first(page).unwrap_or(page)).collect();
        // PASID 0 is that of requests that carry none.
        let count = (1 + first.len() + scene.pasids.len()) as u64;
        let count = count.div_ceil(PASIDS);
        let [root, context, directory] = [take(1), take(1), take(1)];
        Self { root, context, directory, pasids: take(count), count, first }
    }

    /// The root table.
    pub(crate) fn root(&self) -> PhysAddr {
        self.root.address()
    }

    /// The PASID that names the address space of `page` for good.
    pub(crate) fn of_page(&self, page: PageId) -> Pasid {
        pasid(1 + self.first[page.0])
    }

    /// The number of a PASID of the scenario.
    pub(crate) fn number(&self, id: PasidId) -> Pasid {
        pasid(1 + self.first.len() + id.0)
    }

    /// Writes everything that never changes.
    pub(crate) fn link(&self, memory: &PhysicalMemory) {
        memory.store(self.root.address(), RootEntry::to(self.context.address()).0);
        // What a device is refused the scenario knows of: no fault is to be recorded.
        let admits = Admissions { device_tlb: true, page_requests: false, hides_faults: true };
        let context = ScalableContext::of(self.directory.address(), admits).0;
        for (word, offset) in context.into_iter().zip([0, 8]) {
            memory.store(self.context.address().offset(offset), word);
        }
        for table in 0..self.count {
            let place = self.directory.address().offset(table * DIRECTORY_ENTRY_BYTES);
            memory.store(place, DirectoryEntry::to(Pfn(self.pasids.0 + table).address()).0);
        }
    }

    /// Writes the entry of a PASID that nobody reads yet.
    pub(crate) fn write(&self, memory: &PhysicalMemory, pasid: Pasid, words: &[u64]) {
        for (offset, word) in (0..).step_by(8).zip(words) {
            memory.store(self.place(pasid).offset(offset), *word);
        }
    }

    /// Where its entry stands.
    pub(crate) fn place(&self, pasid: Pasid) -> PhysAddr {
        let table = Pfn(self.pasids.0 + directory_index(pasid)).address();
        table.offset(table_index(pasid) * PASID_ENTRY_BYTES)
    }
}

fn pasid(number: usize) -> Pasid {
    let number = u32::try_from(number).ok().and_then(|number| Pasid::new(number).ok());
    number.expect("a scenario has few pages and PASIDs")
}
