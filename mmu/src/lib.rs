//! The primary MMU and everything that mirrors it: frames, page tables, CPU TLBs, the notifier chain, the shadow
//! page table, and the operations that change a page table while all of them are in use.
//!
//! Invariant: nothing here knows of KVM or of an IOMMU. A secondary MMU meets an address space at
//! [`notifier::MmuNotifier`] and at physical memory, and nowhere else.
//!
//! Read in this order:
//!
//! 1. [`address`], [`memory`], [`frame`]: what there is to map.
//! 2. [`pte`], [`entry`], [`table`], [`walker`]: how it is mapped.
//! 3. [`drain`], [`cache`], [`port`], [`cpu`]: how it is used, and what stays behind when the mapping changes.
//! 4. [`notifier`], [`shadow`]: who else must be told.
//! 5. [`live`]: what the memory manager does, as deed; as data it is [`steps::operation`].
//! 6. [`area`], [`address_space`], [`ksm`]: who does it, and when.
//! 7. [`trace`]: what is reported of it.
//!
//! Beside them stands [`mixer`], a hasher.

pub mod address;
pub mod address_space;
pub mod area;
pub mod cache;
pub mod cpu;
pub mod drain;
pub mod entry;
pub mod frame;
mod host;
pub mod ksm;
pub mod live;
pub mod memory;
pub mod mixer;
pub mod notifier;
pub mod port;
pub mod pte;
pub mod shadow;
mod sync;
pub mod table;
pub mod trace;
pub mod walker;
