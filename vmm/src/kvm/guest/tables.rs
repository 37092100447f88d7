//! Four levels of page tables, written before the guest runs, and a walk of them for messages.
//!
//! Invariant: an upper entry allows everything; rights stand in the leaves. A table is made when the first mapping
//! below it is. Source: Intel SDM vol. 3, 4.5.

use mmu::address::{PAGE_LEN, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use mmu::pte::{Pte, Shape};

/// The level of the root table.
const ROOT_LEVEL: u32 = 4;
/// 2 MiB, as a length in memory.
const LARGE_PAGE_LEN: usize = PAGE_LEN * 512;
/// PCD: the page is not cached.
const CACHE_DISABLE: u64 = 1 << 4;
/// Set in advance, so that nobody has to write them while the guest runs.
const USED: u64 = Pte::ACCESSED | Pte::DIRTY;

/// What a fixed mapping allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rights {
    /// CPL3 reads and executes.
    UserRead,
    /// CPL3 reads and writes.
    UserWrite,
    /// CPL0 reads and writes device registers.
    Device,
}

impl Rights {
    fn bits(self) -> u64 {
        match self {
            Self::UserRead => Pte::USER,
            Self::UserWrite => Pte::USER | Pte::WRITE,
            Self::Device => Pte::WRITE | CACHE_DISABLE,
        }
    }
}

/// Page tables that grow.
pub(super) struct Builder<'a> {
    memory: &'a PhysicalMemory,
    allocate: &'a mut dyn FnMut() -> Pfn,
    root: PhysAddr,
}

impl<'a> Builder<'a> {
    pub(super) fn new(memory: &'a PhysicalMemory, allocate: &'a mut dyn FnMut() -> Pfn) -> Self {
        let root = allocate().address();
        Self { memory, allocate, root }
    }

    pub(super) fn memory(&self) -> &'a PhysicalMemory {
        self.memory
    }

    pub(super) fn root(&self) -> PhysAddr {
        self.root
    }

    /// A zeroed frame.
    pub(super) fn frame(&mut self) -> PhysAddr {
        (self.allocate)().address()
    }

    /// A frame that starts with `bytes`.
    pub(super) fn image(&mut self, bytes: &[u8]) -> PhysAddr {
        let frame = self.frame();
        self.memory.write_bytes(frame, bytes);
        frame
    }

    /// Maps one 4 KiB page.
    pub(super) fn map(&mut self, address: VirtAddr, to: PhysAddr, rights: Rights) {
        let entry = self.leaf_table(address).offset(8 * address.table_index(1));
        self.memory.store(entry, to.0 | Pte::PRESENT | USED | rights.bits());
    }

    /// Maps physical memory from 0 on, supervisor only, in pages of 2 MiB; the last may reach beyond its end.
    pub(super) fn map_all_memory(&mut self, at: VirtAddr) {
        let bits = Pte::PRESENT | Pte::WRITE | Pte::LARGE | USED;
        for start in (0..self.memory.len_bytes()).step_by(LARGE_PAGE_LEN) {
            let address = at.offset(start);
            let entry = self.table(address, PageSize::Size2M.level()).offset(8 * address.table_index(2));
            self.memory.store(entry, start | bits);
        }
    }

    /// The table of 4 KiB leaves for `address`.
    pub(super) fn leaf_table(&mut self, address: VirtAddr) -> PhysAddr {
        self.table(address, PageSize::Size4K.level())
    }

    /// The table of `level` for `address`, made with everything above it if it does not exist.
    fn table(&mut self, address: VirtAddr, level: u32) -> PhysAddr {
        (level + 1..=ROOT_LEVEL).rev().fold(self.root, |table, level| {
            let entry = table.offset(8 * address.table_index(level));
            self.next(entry)
        })
    }

    fn next(&mut self, entry: PhysAddr) -> PhysAddr {
        let found = Pte(self.memory.load(entry));
        if found.is_present() {
            return found.pfn().address();
        }
        let table = self.frame();
        self.memory.store(entry, Pte::table(table.pfn()).with(Pte::ACCESSED).0);
        table
    }
}

/// Where `address` leads in the tables under `root`; none if an entry is not present or leaves memory.
pub(super) fn resolve(memory: &PhysicalMemory, root: PhysAddr, address: VirtAddr) -> Option<PhysAddr> {
    let mut table = root;
    for level in (1..=ROOT_LEVEL).rev() {
        let entry = Pte(memory.try_load(table.offset(8 * address.table_index(level)))?);
        match entry.shape(level) {
            Shape::Absent | Shape::Reserved => return None,
            Shape::Page(pfn, size) => return Some(pfn.address().offset(address.offset_in(size))),
            Shape::Table(next) => table = next.address(),
        }
    }
    None
}
