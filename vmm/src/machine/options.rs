//! What a machine can have.

use devices::edu::EduOptions;
use devices::pci_engine::PciEngineOptions;
use iommu::vtd::options::VtdOptions;

use crate::boot::map;

/// The least memory that a machine has: the first MiB is not all memory.
pub const MIN_MEMORY_BYTES: u64 = 2 << 20;
/// The most: it ends below the place of devices.
pub const MAX_MEMORY_BYTES: u64 = map::HOLE;

/// How a machine is built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineOptions {
    /// Bytes of memory, from [`MIN_MEMORY_BYTES`] to [`MAX_MEMORY_BYTES`].
    pub memory_bytes: u64,
    /// Processors, 1 to 64.
    pub processors: u8,
    /// What devices reach memory through.
    pub iommu: IommuKind,
    /// Devices on the bus, in the order of their numbers from 1 on.
    pub devices: Vec<DeviceKind>,
}

/// What stands between devices and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IommuKind {
    /// Nothing.
    None,
    /// A VT-d unit.
    Vtd {
        /// How it is built.
        unit: VtdOptions,
        /// Translations that a device keeps which translates ahead; 0 for none.
        device_tlb_entries: usize,
    },
}

impl Default for IommuKind {
    fn default() -> Self {
        Self::Vtd { unit: VtdOptions::default(), device_tlb_entries: 64 }
    }
}

/// A device for the bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKind {
    /// The educational device.
    Edu(EduOptions),
    /// The device that looks behind the remapping unit.
    IommuTestdev,
    /// The DMA engine with a ring of descriptors.
    DmaEngine(PciEngineOptions),
}
