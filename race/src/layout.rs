//! Where everything of a scenario lies in physical memory, and under which addresses its pages are reached.
//!
//! Invariant: an upper entry covers 2 MiB of an address space, and so does a page that has none above it, so that no two
//! of them share a table unless the scenario says so. Everything is placed before the first step and never moves.

use mmu::address::{PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::memory::{MIN_MEMORY_BYTES, MemoryError, PhysicalMemory};
use mmu::pte::Pte;
use mmu::table::{Levels, Root};
use ordering::language::syntax::FrameKind;
use ordering::lowering::{FrameId, MmId, PageId, PmdId, Scene};
use steps::entry::Bit;

use crate::unit::entries::Entries;
use crate::unit::queue::Ring;

/// Frames of 4 KiB in one of 2 MiB.
const LARGE: u64 = PageSize::Size2M.bytes() / PAGE_SIZE;

/// Where shadow entries begin in their table: one table may have them, and entries of pages, too.
const SHADOW_INDEX: u64 = 256;

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
    /// Under which address a vCPU reaches it.
    pub(crate) guest_address: VirtAddr,
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
    /// By upper entry: the shadow entry above the same pages.
    pub(crate) spmds: Vec<PhysAddr>,
    /// What the units in front of devices read.
    pub(crate) entries: Entries,
    /// By user: the ring of his unit's invalidation queue, and the frame that waits write to.
    pub(crate) rings: Vec<Ring>,
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
struct Spaces {
    root: Pfn,
    uppers: Pfn,
}

impl Layout {
    /// The places of `scene`, in frames from `free_from` on; shadow entries in `leaf_table`, by page, if there is one.
    pub(crate) fn new(scene: &Scene, free_from: Pfn, leaf_table: Option<PhysAddr>) -> Self {
        let mut free = Allocator { next: free_from.0 };
        let mut fixed = Vec::new();
        let mut tables = |free: &mut Allocator| {
            let [root, middle, uppers] = [free.table(), free.table(), free.table()];
            fixed.extend([(root.address(), middle), (middle.address(), uppers)]);
            Spaces { root, uppers }
        };
        let spaces: Vec<Spaces> = (0..=scene.mms.len()).map(|_| tables(&mut free)).collect();
        let shadow = tables(&mut free);
        let large = scene.entries.iter().any(|entry| entry.bits.has(Bit::Huge));
        let frame = |frame: &ordering::lowering::SceneFrame| match frame.kind {
            FrameKind::Frame if large => free.take(LARGE, LARGE),
            FrameKind::Frame | FrameKind::Slot | FrameKind::Table => free.table(),
        };
        let frames: Vec<Pfn> = scene.frames.iter().map(frame).collect();
        let (regions, frames_at) = (0, &frames);
        let mut places =
            Places { scene, spaces: &spaces, shadow: &shadow, leaf_table, frames: frames_at, fixed, regions };
        let mut pmds = vec![PhysAddr(0); scene.pmds.len()];
        let mut spmds = pmds.clone();
        let mut pages: Vec<Option<PagePlace>> = vec![None; scene.pages.len()];
        for (id, (pmd, spmd)) in pmds.iter_mut().zip(&mut spmds).enumerate() {
            let under = (0..pages.len()).filter(|page| scene.pages[*page].above == Some(PmdId(id)));
            let under: Vec<usize> = under.collect();
            *spmd = places.next_shadow();
            *pmd = places.region(&under, true, &mut pages, &mut free);
        }
        for page in 0..pages.len() {
            if pages[page].is_none() {
                places.region(&[page], false, &mut pages, &mut free);
            }
        }
        let root = |tables: &Spaces| Root { table: tables.root, levels: Levels::Four };
        let fixed = places.fixed;
        let pages = pages.into_iter().flatten().collect();
        let (roots, shadow): (Vec<Root>, Root) = (spaces.iter().map(root).collect(), root(&shadow));
        let entries = Entries::new(scene, &roots, |frames| free.take(frames, 1));
        let rings = scene.users.iter().map(|_| Ring { queue: free.table(), status: free.table() }).collect();
        let bytes = (free.next.next_multiple_of(LARGE) * PAGE_SIZE).max(MIN_MEMORY_BYTES);
        Self { frames, pages, pmds, spmds, entries, rings, roots, shadow, fixed, bytes }
    }

    /// The memory that it takes, with what lies before it.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
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
        self.entries.link(memory, self.pages.iter().map(|page| page.mm));
    }

    pub(crate) fn page(&self, page: PageId) -> &PagePlace {
        &self.pages[page.0]
    }

    pub(crate) fn pmd(&self, pmd: PmdId) -> PhysAddr {
        self.pmds[pmd.0]
    }

    /// The shadow entry above the pages under `pmd`.
    pub(crate) fn spmd(&self, pmd: PmdId) -> PhysAddr {
        self.spmds[pmd.0]
    }
}

/// Regions of 2 MiB, as they are given to upper entries and pages.
struct Places<'a> {
    scene: &'a Scene,
    spaces: &'a [Spaces],
    shadow: &'a Spaces,
    /// The table of all shadow entries, if it is given from outside.
    leaf_table: Option<PhysAddr>,
    frames: &'a [Pfn],
    fixed: Vec<(PhysAddr, Pfn)>,
    regions: u64,
}

impl Places<'_> {
    /// Where the shadow entry stands above the pages of the next region.
    fn next_shadow(&self) -> PhysAddr {
        self.shadow.uppers.address().offset(self.regions * 8)
    }

    /// Places `pages` in the next region, and returns where its upper entry is. `named`: the scenario writes that entry.
    fn region(
        &mut self,
        pages: &[usize],
        named: bool,
        places: &mut [Option<PagePlace>],
        free: &mut Allocator,
    ) -> PhysAddr {
        let scene = self.scene;
        // Who has the address of another page is placed behind it.
        let there = pages.first().and_then(|page| places[scene.pages[*page].address.0]);
        let number = match there {
            Some(place) => place.address.0 / PageSize::Size2M.bytes(),
            None => {
                self.regions += 1;
                self.regions - 1
            }
        };
        let nowhere = self.spaces.len() - 1;
        let space = |home: Option<MmId>| home.map_or(nowhere, |mm| mm.0);
        // An upper entry lies in one address space, also where its pages are said to be in several.
        let home = space(pages.iter().find_map(|page| scene.pages[*page].home));
        let upper = self.spaces[home].uppers.address().offset(number * 8);
        let above_shadow = self.shadow.uppers.address().offset(number * 8);
        let shadow_table = free.table();
        // A scenario that has shadow entries there links them itself. No vCPU has tags: the first page's is there.
        let linked = pages.iter().any(|page| scene.pages[*page].shadow_above.is_some());
        if !linked && there.is_none() {
            self.fixed.push((above_shadow, shadow_table));
        }
        let own_table = (!named).then(|| free.table());
        self.fixed.extend(own_table.map(|table| (upper, table)));
        for (index, page) in (0..).zip(pages) {
            let of_scenario = |FrameId(frame): FrameId| self.frames[frame];
            // An upper entry that never names a table leaves its pages without entries of their own.
            let table = scene.pages[*page].table.map(of_scenario).or(own_table);
            let table = table.unwrap_or_else(|| free.table());
            let shadow_table = scene.pages[*page].shadow_table.map_or(shadow_table, of_scenario);
            let guest = SHADOW_INDEX + *page as u64;
            places[*page] = Some(PagePlace {
                address: VirtAddr(number * PageSize::Size2M.bytes() + index * PAGE_SIZE),
                mm: space(scene.pages[*page].home),
                slot: table.address().offset(index * 8),
                shadow: self.leaf_table.map_or_else(
                    || shadow_table.address().offset(guest * 8),
                    |table| table.offset(*page as u64 * 8),
                ),
                guest_address: VirtAddr(number * PageSize::Size2M.bytes() + guest * PAGE_SIZE),
            });
        }
        upper
    }
}
