//! ACPI tables: how a guest's operating system finds processors, interrupts, PCI and the remapping unit.
//!
//! Invariant: every table lies in [`map::ACPI`]'s pages, the root pointer first; what they say is what the board does.
//! The machine is hardware-reduced: it has no fixed ACPI hardware but two registers, to sleep and to reset. Source: ACPI
//! 6.5, chapter 5; VT-d 8.

mod dmar;
mod dsdt;

use acpi_tables::Aml;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use devices::io_apic;
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::board::{RESET_PORT, RESET_VALUE, SLEEP_PORT, SLEEP_STATUS_PORT};
use super::options::{IommuKind, MachineOptions};
use crate::boot::map;

/// Who made the tables.
const OEM: [u8; 6] = *b"AFTIMG";
const OEM_TABLE: [u8; 8] = *b"MACHINE\0";
const OEM_REVISION: u32 = 1;

/// Writes the tables.
///
/// # Panics
/// If they outgrow their pages, which at most 64 processors cannot bring about.
pub fn write(memory: &PhysicalMemory, options: &MachineOptions) {
    let mut writer = Writer { memory, next: map::ACPI + Rsdp::len().next_multiple_of(16) as u64 };
    let dsdt = writer.table(&dsdt::table(options.processors));
    let mut root = XSDT::new(OEM, OEM_TABLE, OEM_REVISION);
    root.add_entry(writer.aml(&fixed(dsdt)));
    root.add_entry(writer.aml(&processors(options.processors)));
    root.add_entry(writer.aml(&configuration_space()));
    if let IommuKind::Vtd(unit) = options.iommu {
        root.add_entry(writer.table(&dmar::table(&unit.vtd)));
    }
    let root = writer.aml(&root);
    memory.write_bytes(PhysAddr(map::ACPI), &bytes(&Rsdp::new(OEM, root)));
}

/// Puts one table behind the other.
struct Writer<'memory> {
    memory: &'memory PhysicalMemory,
    next: u64,
}

impl Writer<'_> {
    fn aml(&mut self, table: &dyn Aml) -> u64 {
        self.table(&bytes(table))
    }

    /// Where it lies.
    fn table(&mut self, table: &[u8]) -> u64 {
        let at = self.next;
        self.next = (at + table.len() as u64).next_multiple_of(16);
        assert!(self.next <= map::ACPI + map::ACPI_BYTES, "ACPI tables end at {:#x}", self.next);
        self.memory.write_bytes(PhysAddr(at), table);
        at
    }
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

fn fixed(dsdt: u64) -> acpi_tables::fadt::FADT {
    let mut table = FADTBuilder::new(OEM, OEM_TABLE, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup);
    table.reset_reg = port(RESET_PORT);
    table.reset_value = RESET_VALUE;
    table.sleep_control_reg = port(SLEEP_PORT);
    table.sleep_status_reg = port(SLEEP_STATUS_PORT);
    table.finalize()
}

fn port(number: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, number.into())
}

fn processors(count: u8) -> MADT {
    let mut table =
        MADT::new(OEM, OEM_TABLE, OEM_REVISION, LocalInterruptController::Address(low(map::LOCAL_APICS)));
    for id in 0..count {
        table.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    table.add_structure(IoApic::new(0, low(io_apic::ADDRESS), 0));
    table
}

fn configuration_space() -> MCFG {
    let mut table = MCFG::new(OEM, OEM_TABLE, OEM_REVISION);
    table.add_ecam(map::ECAM, 0, 0, 0);
    table
}

/// An address that lies below 4 GiB.
fn low(address: u64) -> u32 {
    u32::try_from(address).unwrap_or_else(|_| unreachable!("{address:#x} is above 4 GiB"))
}

#[cfg(test)]
mod tests;
