//! MADT: the processors' local APICs, the I/O APIC, and where the timer's interrupt leads.
//!
//! Source: ACPI 6.5, 5.2.12.

use acpi_tables::Aml;
use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};
use acpi_tables::sdt::Sdt;
use devices::{io_apic, pit};

use super::{OEM, OEM_REVISION, OEM_TABLE, bytes, low};
use crate::boot::map;

/// Table header, address of the local APICs, flags.
const HEADER_BYTES: u32 = 44;
/// There is a pair of 8259 that is to be masked.
const PC_AT_COMPATIBLE: u32 = 1 << 0;

/// A structure that says where an ISA interrupt leads.
const OVERRIDE: u8 = 2;
const OVERRIDE_BYTES: u8 = 10;
const ISA_BUS: u8 = 0;
const TIMER_INTERRUPT: u8 = 0;

/// The table.
pub(super) fn table(processors: u8) -> Vec<u8> {
    let mut table = Sdt::new(*b"APIC", HEADER_BYTES, 1, OEM, OEM_TABLE, OEM_REVISION);
    table.write_u32(36, low(map::LOCAL_APICS));
    table.write_u32(40, PC_AT_COMPATIBLE);
    let mut add = |structure: &dyn Aml| table.append_slice(&bytes(structure));
    for id in 0..processors {
        add(&ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    add(&IoApic::new(0, low(io_apic::ADDRESS), 0));
    // Polarity and trigger as the bus has them.
    table.append_slice(&[OVERRIDE, OVERRIDE_BYTES, ISA_BUS, TIMER_INTERRUPT, pit::PIN, 0, 0, 0, 0, 0]);
    table.as_slice().to_vec()
}
