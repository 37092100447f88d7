//! DMAR: the remapping unit, whose devices are all, and whose interrupts are those of the I/O APIC too; and which devices have
//! a TLB of their own.
//!
//! There is no RMRR: it names memory that firmware lets a device use before and beside the guest's driver (a USB
//! keyboard, a graphics aperture). No firmware runs here, and no device moves anything before a driver tells it to.
//!
//! Source: VT-d 8.1 to 8.3, 8.5 (ATSR), 8.9 (SATC).

use acpi_tables::sdt::Sdt;
use iommu::vtd::options::VtdOptions;

use super::{OEM, OEM_REVISION, OEM_TABLE};
use crate::boot::map;
use crate::machine::interrupts::IO_APIC_SOURCE;
use crate::machine::options::{MachineOptions, Placement};

/// Table header, width of addresses less 1, flags, 10 reserved bytes.
const HEADER_BYTES: u32 = 48;
/// Width of the addresses that devices can be given, less 1.
const ADDRESS_WIDTH: u8 = 48 - 1;
/// The unit can remap interrupts.
const INTERRUPT_REMAPPING: u8 = 1 << 0;

/// A remapping hardware unit for all devices of its segment.
const HARDWARE_UNIT: u16 = 0;
const ALL_DEVICES: u8 = 1;
/// A scope that names an I/O APIC, by its id and by its path.
const SCOPE_IO_APIC: u8 = 3;
const SCOPE_BYTES: u8 = 8;
const UNIT_BYTES: u16 = 16 + SCOPE_BYTES as u16;

/// Root ports below which functions may translate ahead, and integrated functions that may. Whose scopes they are follows.
const ROOT_PORTS: u16 = 2;
const INTEGRATED: u16 = 5;
const LIST_BYTES: u16 = 8;
/// A scope that names a function, and one that names a bridge and what is below.
const SCOPE_ENDPOINT: u8 = 1;
const SCOPE_BRIDGE: u8 = 2;

/// The table.
pub(super) fn table(unit: &VtdOptions, options: &MachineOptions) -> Vec<u8> {
    let mut table = Sdt::new(*b"DMAR", HEADER_BYTES, 1, OEM, OEM_TABLE, OEM_REVISION);
    table.write_u8(36, ADDRESS_WIDTH);
    table.write_u8(37, if unit.interrupt_remapping { INTERRUPT_REMAPPING } else { 0 });
    let mut hardware = Vec::new();
    hardware.extend(HARDWARE_UNIT.to_le_bytes());
    hardware.extend(UNIT_BYTES.to_le_bytes());
    // Flags, size of the register page (4 KiB), segment.
    hardware.extend([ALL_DEVICES, 0, 0, 0]);
    hardware.extend(map::REMAPPING_UNIT.to_le_bytes());
    let (bus, path) = (IO_APIC_SOURCE.bus(), IO_APIC_SOURCE.devfn());
    hardware.extend([SCOPE_IO_APIC, SCOPE_BYTES, 0, 0, 0, bus, path >> 3, path & 7]);
    table.append_slice(&hardware);
    if unit.device_tlb {
        table.append_slice(&translating_ahead(options));
    }
    table.as_slice().to_vec()
}

/// Devices with a TLB of their own: of an integrated one none says that it needs it. Nothing if there are none.
fn translating_ahead(options: &MachineOptions) -> Vec<u8> {
    let (kind, scope) = match options.placement {
        Placement::Integrated => (INTEGRATED, SCOPE_ENDPOINT),
        Placement::BehindPorts => (ROOT_PORTS, SCOPE_BRIDGE),
    };
    // Device 0 is the host bridge.
    let numbered = (1_u8..).zip(&options.devices).filter(|(_, device)| device.has_tlb());
    let scopes: Vec<u8> =
        numbered.flat_map(|(number, _)| [scope, SCOPE_BYTES, 0, 0, 0, 0, number, 0]).collect();
    if scopes.is_empty() {
        return scopes;
    }
    let len_bytes = LIST_BYTES + u16::try_from(scopes.len()).unwrap_or_else(|_| unreachable!("32 devices"));
    let mut list = [kind.to_le_bytes(), len_bytes.to_le_bytes()].concat();
    // Flags, a reserved byte, the segment.
    list.extend([0; 4]);
    list.extend(scopes);
    list
}
