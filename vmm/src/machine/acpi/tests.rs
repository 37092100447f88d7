//! The tables as a guest finds them.

use devices::bus::value_of;
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::write;
use crate::boot::map;
use crate::machine::options::{IommuKind, MachineOptions};
use crate::sandbox::Sandbox;

fn tables(processors: u8, iommu: IommuKind) -> Vec<Vec<u8>> {
    let memory = PhysicalMemory::new(2 << 20).unwrap();
    write(
        &memory,
        &MachineOptions {
            memory_bytes: 2 << 20,
            processors,
            iommu,
            devices: Vec::new(),
            sandbox: Sandbox::OFF,
        },
    );
    let read = |at: u64, len: usize| {
        let mut bytes = vec![0; len];
        memory.read_bytes(PhysAddr(at), &mut bytes);
        bytes
    };
    let table = |at: u64| read(at, usize::try_from(value_of(&read(at + 4, 4))).unwrap());
    let pointer = read(map::ACPI, 36);
    assert!(pointer.starts_with(b"RSD PTR ") && sum(&pointer) == 0 && sum(&pointer[..20]) == 0);
    let root = table(value_of(&pointer[24..32]));
    let mut found: Vec<_> = root[36..].chunks(8).map(|entry| table(value_of(entry))).collect();
    let fixed = found.iter().find(|table| table.starts_with(b"FACP")).unwrap();
    found.push(table(value_of(&fixed[140..148])));
    found.push(root);
    found
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn named<'tables>(tables: &'tables [Vec<u8>], name: &[u8]) -> Option<&'tables Vec<u8>> {
    tables.iter().find(|table| table.starts_with(name))
}

#[test]
fn every_table_is_found_and_its_checksum_holds() {
    let tables = tables(3, IommuKind::default());
    for name in [b"FACP", b"APIC", b"MCFG", b"DMAR", b"DSDT", b"XSDT"] {
        let table = named(&tables, name).unwrap_or_else(|| panic!("no {}", name.escape_ascii()));
        assert_eq!(sum(table), 0, "{}", name.escape_ascii());
    }
}

#[test]
fn the_unit_is_named_if_there_is_one() {
    let with = tables(1, IommuKind::default());
    let table = named(&with, b"DMAR").unwrap();
    assert_eq!((table[36], table[37]), (47, 1));
    assert_eq!(value_of(&table[56..64]), 0xfed9_0000);
    assert_eq!(table[64..], [3, 8, 0, 0, 0, 0xf0, 31, 0]);
    assert!(named(&tables(1, IommuKind::None), b"DMAR").is_none());
}

#[test]
fn there_is_an_entry_for_each_processor_and_room_for_the_most() {
    for processors in [1, 64] {
        let tables = tables(processors, IommuKind::default());
        let table = named(&tables, b"APIC").unwrap();
        assert_eq!(table.len(), 44 + 8 * usize::from(processors) + 12);
    }
}
