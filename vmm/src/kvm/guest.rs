//! A guest's address space: page tables, descriptor tables, the stub and one program, laid out in frames.
//!
//! Invariant: after [`GuestSpace::build`] the host writes no page-table entry of it that the stub has not emptied.
//! The shadow window's leaf table is the stub's; everything else never changes. Layout: [`guest_images::layout`].

mod descriptors;
mod tables;

use guest_images::layout::{self, AREA_VA, frame};
use guest_images::{Program, stub};
use mmu::address::{PAGE_SHIFT, PageSize, Pfn, PhysAddr, VirtAddr, VirtRange};
use mmu::memory::PhysicalMemory;

use super::VcpuId;
use tables::{Builder, Rights};

/// Where the parts of a guest lie in physical memory.
#[derive(Clone, Debug)]
pub struct GuestSpace {
    root: PhysAddr,
    leaf_table: PhysAddr,
    idt: PhysAddr,
    stub: PhysAddr,
    control: PhysAddr,
    vcpus: Vec<VcpuFrames>,
}

#[derive(Clone, Copy, Debug)]
struct VcpuFrames {
    mailbox: PhysAddr,
    stats: PhysAddr,
}

impl GuestSpace {
    /// Lays out a guest that runs `program` on `vcpu_count` vCPUs. `allocate` gives zeroed frames of `memory`; they
    /// belong to the guest until it is gone.
    ///
    /// # Panics
    /// If `vcpu_count` is 0 or above [`layout::MAX_VCPUS`].
    #[must_use]
    pub fn build(
        memory: &PhysicalMemory,
        allocate: &mut dyn FnMut() -> Pfn,
        program: Program,
        vcpu_count: usize,
    ) -> Self {
        assert!(vcpu_count > 0, "a guest needs at least one vCPU");
        let mut builder = Builder::new(memory, allocate);
        let leaf_table = builder.leaf_table(VirtAddr(AREA_VA));
        let space = Self {
            leaf_table,
            idt: builder.frame(),
            stub: builder.image(stub::code()),
            control: builder.frame(),
            vcpus: VcpuId::first(vcpu_count).map(|vcpu| map_vcpu(&mut builder, vcpu, leaf_table)).collect(),
            root: builder.root(),
        };
        space.map_shared(&mut builder, program);
        descriptors::write_idt(memory, space.idt, direct(space.stub));
        space
    }

    fn map_shared(&self, builder: &mut Builder<'_>, program: Program) {
        let code = builder.image(program.code());
        builder.map(VirtAddr(layout::CODE_VA), code, Rights::UserRead);
        builder.map(VirtAddr(layout::CONTROL_VA), self.control, Rights::UserWrite);
        builder.map(VirtAddr(layout::APIC_VA), PhysAddr(layout::APIC_PHYSICAL), Rights::Device);
        builder.map_all_memory(VirtAddr(layout::DIRECT_VA));
    }

    /// The root of its page tables: CR3.
    #[must_use]
    pub fn root(&self) -> PhysAddr {
        self.root
    }

    /// The interrupt descriptor table's address in the direct map.
    pub(super) fn idt(&self) -> VirtAddr {
        direct(self.idt)
    }

    /// The shadow window's leaf table: 512 entries of 8 bytes.
    #[must_use]
    pub fn leaf_table(&self) -> PhysAddr {
        self.leaf_table
    }

    /// The leaf entry of `address`; none outside the shadow window.
    #[must_use]
    pub fn leaf_entry(&self, address: VirtAddr) -> Option<PhysAddr> {
        let window = VirtRange::pages(VirtAddr(AREA_VA), layout::AREA_PAGES);
        window.contains(address).then(|| self.leaf_table.offset(8 * address.table_index(1)))
    }

    /// The control page (see [`layout::control`]).
    #[must_use]
    pub fn control(&self) -> PhysAddr {
        self.control
    }

    /// A vCPU's statistics page (see [`layout::coherence_stats`] and [`layout::probe_stats`]).
    ///
    /// # Panics
    /// If the guest was built with fewer vCPUs.
    #[must_use]
    pub fn stats(&self, vcpu: VcpuId) -> PhysAddr {
        self.frames(vcpu).stats
    }

    /// A vCPU's own frame (see [`frame`]): mailbox, descriptor tables, stack.
    ///
    /// # Panics
    /// If the guest was built with fewer vCPUs.
    #[must_use]
    pub fn mailbox(&self, vcpu: VcpuId) -> PhysAddr {
        self.frames(vcpu).mailbox
    }

    /// The vCPUs it was built for.
    #[must_use]
    pub fn vcpu_count(&self) -> usize {
        self.vcpus.len()
    }

    /// Where `address` leads in the guest's tables as they stand in memory now, for messages; none if nowhere.
    #[must_use]
    pub fn resolve(&self, memory: &PhysicalMemory, address: VirtAddr) -> Option<PhysAddr> {
        tables::resolve(memory, self.root, address)
    }

    fn frames(&self, vcpu: VcpuId) -> &VcpuFrames {
        match self.vcpus.get(vcpu.index()) {
            Some(frames) => frames,
            None => panic!("{vcpu} asked for; this guest was built with {} vCPUs", self.vcpus.len()),
        }
    }
}

/// A vCPU's frames, mapped and filled.
fn map_vcpu(builder: &mut Builder<'_>, vcpu: VcpuId, leaf_table: PhysAddr) -> VcpuFrames {
    let frames = VcpuFrames { mailbox: builder.frame(), stats: builder.frame() };
    let stats_va = VirtAddr(layout::stats_va(vcpu.index() as u64));
    builder.map(stats_va, frames.stats, Rights::UserWrite);
    descriptors::write_gdt_and_tss(builder.memory(), frames.mailbox, direct(frames.mailbox));
    builder.memory().store(frames.mailbox.offset(frame::LEAF_TABLE), direct(leaf_table).0);
    frames
}

/// Where the direct map shows `address`.
pub(super) fn direct(address: PhysAddr) -> VirtAddr {
    VirtAddr(layout::DIRECT_VA).offset(address.0)
}

/// The number of `address`'s page in the shadow window; none outside.
pub(super) fn area_page(address: VirtAddr) -> Option<u64> {
    let page = address.0.checked_sub(AREA_VA)? >> PAGE_SHIFT;
    (page < layout::AREA_PAGES).then_some(page)
}

const _: () = assert!(layout::AREA_PAGES << PAGE_SHIFT == PageSize::Size2M.bytes(), "one leaf table's worth");

#[cfg(test)]
mod tests;
