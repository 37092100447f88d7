//! Where everything of a scenario lies in physical memory, and under which addresses its pages are reached.
//!
//! Invariant: an upper entry covers 2 MiB of an address space, and so does a page that has none above it, so that no two
//! of them share a table unless the scenario says so. Everything is placed before the first step and never moves.

use mmu::address::{PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::memory::{MIN_MEMORY_BYTES, MemoryError, PhysicalMemory};
use mmu::pte::Pte;
use mmu::table::{Levels, Root};
use ordering::language::syntax::FrameKind;
use ordering::lowering::{FrameId, MmId, PageId, PasidId, PmdId, Scene};
use steps::entry::Bit;

/// Frames of 4 KiB in one of 2 MiB.
const LARGE: u64 = PageSize::Size2M.bytes() / PAGE_SIZE;

/// A page's places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PagePlace {
    /// Under which address it is reached.
    pub(crate) address: VirtAddr,
    /// In which address space; those of the scenario come first.
    pub(crate) mm: usize,
    /// Its entry.
    pub(crate) slot: PhysAddr,
    /// Its shadow entry.
    pub(crate) shadow: PhysAddr,
}

/// All places of a scenario.
#[derive(Debug)]
pub(crate) struct Layout {
    /// By frame.
    pub(crate) frames: Vec<Pfn>,
    /// By page.
    pub(crate) pages: Vec<PagePlace>,
    /// By upper entry.
    pub(crate) pmds: Vec<PhysAddr>,
    /// By PASID: its entry, which holds the frame of a root table, or 0.
    pub(crate) pasids: Vec<PhysAddr>,
    /// By address space: its uppermost table. Behind those of the scenario comes that of pages in none.
    pub(crate) roots: Vec<Root>,
    /// The uppermost table of the shadow page table.
    pub(crate) shadow: Root,
    /// What is linked once and for all: the entry, and the table that it leads to.
    fixed: Vec<(PhysAddr, Pfn)>,
    bytes: u64,
}

/// Hands out frames, one after the other.
struct Allocator {
    next: u64,
}

impl Allocator {
    fn take(&mut self, frames: u64, aligned: u64) -> Pfn {
        let first = self.next.next_multiple_of(aligned);
        self.next = first + frames;
        Pfn(first)
    }

    fn table(&mut self) -> Pfn {
        self.take(1, 1)
    }
}

/// Three tables of an address space, from above; the third has the upper entries.
struct Tables {
    root: Pfn,
    uppers: Pfn,
}

impl Layout {
    /// The places of `scene`.
    pub(crate) fn new(scene: &Scene) -> Self {
        // Frame 0 stays free: a zero that is taken for a frame hits nobody.
        let mut free = Allocator { next: 1 };
        let mut fixed = Vec::new();
        let mut tables = |free: &mut Allocator| {
            let [root, middle, uppers] = [free.table(), free.table(), free.table()];
            fixed.extend([(root.address(), middle), (middle.address(), uppers)]);
            Tables { root, uppers }
        };
        let spaces: Vec<Tables> = (0..=scene.mms.len()).map(|_| tables(&mut free)).collect();
        let shadow = tables(&mut free);
        let pasid_table = free.table();
        let large = scene.entries.iter().any(|entry| entry.bits.has(Bit::Huge));
        let frame = |frame: &ordering::lowering::SceneFrame| match frame.kind {
            FrameKind::Frame if large => free.take(LARGE, LARGE),
            FrameKind::Frame | FrameKind::Slot | FrameKind::Table => free.table(),
        };
        let frames: Vec<Pfn> = scene.frames.iter().map(frame).collect();
        let mut places =
            Places { scene, spaces: &spaces, shadow: &shadow, frames: &frames, fixed, regions: 0 };
        let mut pmds = vec![PhysAddr(0); scene.pmds.len()];
        let mut pages: Vec<Option<PagePlace>> = vec![None; scene.pages.len()];
        for (id, pmd) in pmds.iter_mut().enumerate() {
            let under = (0..pages.len()).filter(|page| scene.pages[*page].above == Some(PmdId(id)));
            let under: Vec<usize> = under.collect();
            *pmd = places.region(&under, true, &mut pages, &mut free);
        }
        for page in 0..pages.len() {
            if pages[page].is_none() {
                places.region(&[page], false, &mut pages, &mut free);
            }
        }
        let root = |tables: &Tables| Root { table: tables.root, levels: Levels::Four };
        let fixed = places.fixed;
        let pages = pages.into_iter().flatten().collect();
        let bytes = (free.next.next_multiple_of(LARGE) * PAGE_SIZE).max(MIN_MEMORY_BYTES);
        let pasids = (0..scene.pasids.len() as u64).map(|id| pasid_table.address().offset(id * 8)).collect();
        let (roots, shadow) = (spaces.iter().map(root).collect(), root(&shadow));
        Self { frames, pages, pmds, pasids, roots, shadow, fixed, bytes }
    }

    /// Memory for all of it.
    ///
    /// # Errors
    /// As [`PhysicalMemory::new`].
    pub(crate) fn memory(&self) -> Result<PhysicalMemory, MemoryError> {
        PhysicalMemory::new(self.bytes)
    }

    /// Links the tables that no scenario names.
    pub(crate) fn link(&self, memory: &PhysicalMemory) {
        for (place, table) in &self.fixed {
            memory.store(*place, Pte::table(*table).with(Pte::ACCESSED).0);
        }
    }

    pub(crate) fn page(&self, page: PageId) -> &PagePlace {
        &self.pages[page.0]
    }

    /// What the entry of a PASID holds that names `mm`.
    pub(crate) fn pasid_entry(&self, mm: Option<MmId>) -> u64 {
        mm.map_or(0, |mm| self.roots[mm.0].table.0)
    }

    /// Which address space an entry of a PASID names.
    pub(crate) fn named(&self, entry: u64) -> Option<usize> {
        self.roots.iter().position(|root| root.table.0 == entry)
    }

    pub(crate) fn pasid(&self, pasid: PasidId) -> PhysAddr {
        self.pasids[pasid.0]
    }

    pub(crate) fn pmd(&self, pmd: PmdId) -> PhysAddr {
        self.pmds[pmd.0]
    }
}

/// Regions of 2 MiB, as they are given to upper entries and pages.
struct Places<'a> {
    scene: &'a Scene,
    spaces: &'a [Tables],
    shadow: &'a Tables,
    frames: &'a [Pfn],
    fixed: Vec<(PhysAddr, Pfn)>,
    regions: u64,
}

impl Places<'_> {
    /// Places `pages` in the next region, and returns where its upper entry is. `named`: the scenario writes that entry.
    fn region(
        &mut self,
        pages: &[usize],
        named: bool,
        places: &mut [Option<PagePlace>],
        free: &mut Allocator,
    ) -> PhysAddr {
        let number = self.regions;
        self.regions += 1;
        let scene = self.scene;
        let nowhere = self.spaces.len() - 1;
        let space = |home: Option<MmId>| home.map_or(nowhere, |mm| mm.0);
        // An upper entry lies in one address space, also where its pages are said to be in several.
        let home = space(pages.iter().find_map(|page| scene.pages[*page].home));
        let upper = self.spaces[home].uppers.address().offset(number * 8);
        let shadow_table = free.table();
        self.fixed.push((self.shadow.uppers.address().offset(number * 8), shadow_table));
        let own_table = (!named).then(|| free.table());
        self.fixed.extend(own_table.map(|table| (upper, table)));
        for (index, page) in (0..).zip(pages) {
            let of_scenario = |FrameId(frame): FrameId| self.frames[frame];
            // An upper entry that never names a table leaves its pages without entries of their own.
            let table = scene.pages[*page].table.map(of_scenario).or(own_table);
            let table = table.unwrap_or_else(|| free.table());
            places[*page] = Some(PagePlace {
                address: VirtAddr(number * PageSize::Size2M.bytes() + index * PAGE_SIZE),
                mm: space(scene.pages[*page].home),
                slot: table.address().offset(index * 8),
                shadow: shadow_table.address().offset(index * 8),
            });
        }
        upper
    }
}
