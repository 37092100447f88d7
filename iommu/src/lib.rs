//! The remapping unit: what stands between a device and memory.
//!
//! Invariant: the unit keeps no copy of a page table. It walks the bytes that the CPU walks, and the only things in
//! it that can be stale are its caches. It learns of changes from the notifier chain and from nowhere else.
//!
//! There are two. The demonstration's binds PASIDs to address spaces directly: read [`pasid`] (which address space a
//! request belongs to), [`mod@unit`] (binding, IOTLB, page requests), [`dma`] (a device's port). A guest's is VT-d: read
//! [`spec`] (what lies where), then [`vtd`] (what it does), then [`stale`] (what is reported of its stale uses);
//! [`sva`] is its driver for address spaces of `mmu`, with page tables shared and page requests answered.

pub mod dma;
pub mod pasid;
pub mod spec;
pub mod stale;
pub mod sva;
pub mod unit;
pub mod vtd;
