//! What the units in front of devices read: root, context, PASID directory, PASID tables.
//!
//! Invariant: each page has a PASID that names its address space for good, which pages under one upper entry share: so
//! what is invalidated of one page ends no walk to another. The scenario's PASIDs come behind. An entry that changes is
//! not present meanwhile. All units read the same tables; what they keep of them is their own.
//! Source: VT-d 9.2, 9.4, 9.5, 9.6; drivers/iommu/intel/pasid.c `intel_pasid_setup_first_level`.

use iommu::spec::context::{Admissions, RootEntry, ScalableContext};
use iommu::spec::id::DomainId;
use iommu::spec::pasid_entry::{
    DIRECTORY_ENTRY_BYTES, DirectoryEntry, PASID_ENTRY_BYTES, PasidEntry, directory_index, table_index,
};
use mmu::address::{PAGE_SIZE, Pfn, PhysAddr};
use mmu::memory::PhysicalMemory;
use mmu::table::{Levels, Root};
use ordering::lowering::{PageId, PasidId, Scene};
use pcie::{Pasid, SourceId};
use steps::Half;

/// The domain of all: they differ in their PASIDs.
pub(crate) const DOMAIN: DomainId = DomainId(1);
/// The function that every unit has in front of it.
pub(crate) const SOURCE: SourceId = SourceId(0);
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

    /// Writes everything that never changes. `roots`: by page, of its address space.
    pub(crate) fn link(&self, memory: &PhysicalMemory, roots: impl Iterator<Item = Root>) {
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
        for (page, root) in roots.enumerate() {
            self.set(memory, self.of_page(PageId(page)), Some(root));
        }
    }

    /// Lets the entry of a PASID name `root`.
    pub(crate) fn set(&self, memory: &PhysicalMemory, pasid: Pasid, root: Option<Root>) {
        self.set_half(memory, pasid, Half::Low, None);
        self.set_half(memory, pasid, Half::High, root);
        self.set_half(memory, pasid, Half::Low, root);
    }

    /// Writes the word with the present bit, or those behind it.
    pub(crate) fn set_half(&self, memory: &PhysicalMemory, pasid: Pasid, half: Half, root: Option<Root>) {
        let (place, [first, second, third]) = (self.place(pasid), root.map_or([0; 3], words_for));
        match half {
            Half::Low => memory.store(place, first),
            Half::High => {
                memory.store(place.offset(16), third);
                memory.store(place.offset(8), second);
            }
        }
    }

    /// What the entry of a PASID names.
    pub(crate) fn named(&self, memory: &PhysicalMemory, pasid: Pasid) -> Option<Root> {
        root_of(PasidEntry(self.words(memory, pasid)))
    }

    /// For whom its word with the present bit was written.
    pub(crate) fn low(&self, memory: &PhysicalMemory, pasid: Pasid) -> Option<Root> {
        low_root(self.words(memory, pasid))
    }

    /// What the words behind it name.
    pub(crate) fn high(&self, memory: &PhysicalMemory, pasid: Pasid) -> Option<Root> {
        high_root(self.words(memory, pasid))
    }

    /// Its words that say something.
    pub(crate) fn words(&self, memory: &PhysicalMemory, pasid: Pasid) -> [u64; 3] {
        self.places(pasid).map(|place| memory.load(place))
    }

    /// Where they lie.
    pub(crate) fn places(&self, pasid: Pasid) -> [PhysAddr; 3] {
        [0, 8, 16].map(|offset| self.place(pasid).offset(offset))
    }

    fn place(&self, pasid: Pasid) -> PhysAddr {
        let table = Pfn(self.pasids.0 + directory_index(pasid)).address();
        table.offset(table_index(pasid) * PASID_ENTRY_BYTES)
    }
}

/// The root table that a PASID's entry leads to.
pub(crate) fn root_of(entry: PasidEntry) -> Option<Root> {
    if entry.is_present() { entry.first_stage().ok() } else { None }
}

/// The words of an entry for `root`. SLPTPTR, which no first stage heeds, says for whom the word with the present bit is.
fn words_for(root: Root) -> [u64; 3] {
    let PasidEntry([first, second, third]) = PasidEntry::of_first_stage(DOMAIN, root);
    [first | root.table.address().0, second, third]
}

/// For whom the word with the present bit was written; none: the entry is not present.
pub(crate) fn low_root(words: [u64; 3]) -> Option<Root> {
    let entry = PasidEntry(words);
    entry.is_present().then(|| Root { table: entry.second_stage().pfn(), levels: Levels::Four })
}

/// What the words behind it name; none: nothing is written there.
pub(crate) fn high_root(words: [u64; 3]) -> Option<Root> {
    let [_, domain, table] = words;
    if domain == 0 && table == 0 { None } else { PasidEntry(words).first_stage().ok() }
}

fn pasid(number: usize) -> Pasid {
    let number = u32::try_from(number).ok().and_then(|number| Pasid::new(number).ok());
    number.expect("a scenario has few pages and PASIDs")
}
