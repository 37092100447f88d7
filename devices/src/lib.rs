//! Devices, and the bus they sit on.
//!
//! Invariant: a device touches memory only through its DMA port: `iommu::sva::port::DmaPort` for the demonstration's engines,
//! [`upstream::Upstream`] for functions on the PCI bus.
//!
//! Read in this order: [`bus`], [`interrupt`] and [`upstream`] (registers, interrupts, memory), [`pci`], [`io_apic`],
//! [`worker`] (a device's own thread), then the devices. A network device's cable is a [`link`], and its other end may be the
//! [`user_network`].

pub mod bus;
pub mod cmos_clock;
pub mod debug_exit;
pub mod dma_engine;
pub mod edu;
pub mod interrupt;
pub mod io_apic;
pub mod iommu_testdev;
pub mod link;
pub mod masked;
pub mod pc_testdev;
pub mod pci;
pub mod pci_engine;
pub mod pic;
pub mod pit;
pub mod pm_timer;
pub mod port92;
pub mod pvpanic;
pub mod serial;
pub mod upstream;
pub mod user_network;
pub mod virtio;
pub mod worker;

#[cfg(test)]
mod rig;
