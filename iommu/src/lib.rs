//! The remapping unit: what stands between a device and memory.
//!
//! Invariant: the unit keeps no copy of a page table. It walks the bytes that the CPU walks, and the only things in
//! it that can be stale are its caches. It learns of changes from the notifier chain and from nowhere else.
//!
//! Read [`spec`] (what lies where), [`vtd`] (what the unit does), [`stale`] (what is reported of its stale uses),
//! `watched` (how the two are put together), `holdings` (what is
//! cached for a device); and [`sva`], the driver with which address spaces of `mmu` become devices'
//! own. A guest brings its own driver.

/// Where PASIDs were; they are words of PCI Express.
pub mod pasid {
    pub use pcie::{BadPasid, PASID_COUNT, Pasid};
}
mod holdings;
pub mod spec;
pub mod stale;
pub mod sva;
pub mod vtd;
mod watched;
