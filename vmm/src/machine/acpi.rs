//! ACPI tables: how a guest's operating system finds processors, interrupts, timers, its console, PCI and the remapping
//! unit.
//!
//! Invariant: every table lies in [`map::ACPI`]'s pages, the root pointer first; what they say is what the board does.
//! Source: ACPI 6.5, chapter 5; VT-d 8.

mod console;
mod dmar;
mod dsdt;
mod fadt;
mod madt;
mod root;

use acpi_tables::Aml;
use acpi_tables::facs::FACS;
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::options::{IommuKind, MachineOptions};
use crate::boot::map;

/// Who made the tables.
const OEM: [u8; 6] = *b"AFTIMG";
const OEM_TABLE: [u8; 8] = *b"MACHINE\0";
const OEM_REVISION: u32 = 1;
/// The first table behind the root pointer, which is aligned to 64 bytes.
const FACS_OFFSET: u64 = 64;
const _: () = assert!(size_of::<Rsdp>() as u64 <= FACS_OFFSET, "the root pointer ends before it");

/// Writes the tables.
///
/// # Panics
/// If they outgrow their pages, which at most 64 processors cannot bring about.
pub fn write(memory: &PhysicalMemory, options: &MachineOptions) {
    let mut writer = Writer { memory, next: map::ACPI + FACS_OFFSET };
    let facs = writer.aml(&FACS::new());
    let dsdt = writer.table(&dsdt::table(options.processors, options.last_bus()));
    let mut tables = vec![
        writer.aml(&fadt::table(dsdt, facs)),
        writer.table(&madt::table(options.processors)),
        writer.aml(&configuration_space(options.last_bus())),
        writer.table(&console::redirection()),
        writer.table(&console::debug_port()),
    ];
    if let IommuKind::Vtd(unit) = options.iommu {
        tables.push(writer.table(&dmar::table(&unit.vtd, options)));
    }
    let older_list = writer.table(&root::older_list(&tables));
    let list = writer.table(&root::list_of_tables(&tables));
    memory.write_bytes(PhysAddr(map::ACPI), &root::pointer(older_list, list));
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

fn port(number: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, number.into())
}

fn configuration_space(last_bus: u8) -> MCFG {
    let mut table = MCFG::new(OEM, OEM_TABLE, OEM_REVISION);
    table.add_ecam(map::ECAM, 0, 0, last_bus);
    table
}

/// An address that lies below 4 GiB.
fn low(address: u64) -> u32 {
    u32::try_from(address).unwrap_or_else(|_| unreachable!("{address:#x} is above 4 GiB"))
}

#[cfg(test)]
mod tests;
