//! The tables as a guest finds them.

use devices::bus::value_of;
use devices::edu::EduOptions;
use devices::pci_engine::{Offer, PciEngineOptions};
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::write;
use crate::boot::map;
use crate::kvm::CpuFlags;
use crate::machine::options::{Debugger, DeviceKind, IommuKind, MachineOptions, Placement};
use crate::sandbox::Sandbox;

fn options(processors: u8, iommu: IommuKind) -> MachineOptions {
    MachineOptions {
        memory_bytes: 2 << 20,
        processors,
        masked_cpu_flags: CpuFlags::default(),
        iommu,
        devices: Vec::new(),
        virtio: Vec::new(),
        functions: Vec::new(),
        placement: Placement::default(),
        debugger: Debugger::None,
        sandbox: Sandbox::OFF,
        tracer: None,
    }
}

fn tables(processors: u8, iommu: IommuKind) -> Vec<Vec<u8>> {
    tables_of(&options(processors, iommu))
}

fn tables_of(options: &MachineOptions) -> Vec<Vec<u8>> {
    let memory = PhysicalMemory::new(2 << 20).unwrap();
    write(&memory, options);
    let read = |at: u64, len: usize| {
        let mut bytes = vec![0; len];
        memory.read_bytes(PhysAddr(at), &mut bytes);
        bytes
    };
    let table = |at: u64| read(at, usize::try_from(value_of(&read(at + 4, 4))).unwrap());
    let pointer = read(map::ACPI, 36);
    assert!(pointer.starts_with(b"RSD PTR ") && sum(&pointer) == 0 && sum(&pointer[..20]) == 0);
    let root = table(value_of(&pointer[24..32]));
    let older = table(value_of(&pointer[16..20]));
    let entries = |list: &[u8], len| list[36..].chunks(len).map(value_of).collect::<Vec<_>>();
    assert_eq!(entries(&older, 4), entries(&root, 8));
    let mut found: Vec<_> = entries(&root, 8).into_iter().map(table).collect();
    let fixed = found.iter().find(|table| table.starts_with(b"FACP")).unwrap();
    assert_eq!(value_of(&fixed[40..44]), value_of(&fixed[140..148]), "either address of the DSDT");
    let (facs, dsdt) = (value_of(&fixed[36..40]), value_of(&fixed[140..148]));
    assert!(facs.is_multiple_of(64));
    found.extend([table(facs), table(dsdt), older, root]);
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
    for name in [b"FACP", b"APIC", b"MCFG", b"DMAR", b"DSDT", b"XSDT", b"RSDT", b"SPCR", b"DBG2"] {
        let table = named(&tables, name).unwrap_or_else(|| panic!("no {}", name.escape_ascii()));
        assert_eq!(sum(table), 0, "{}", name.escape_ascii());
    }
}

#[test]
fn the_timer_interrupts_at_pin_2_beside_a_pair_of_8259() {
    let tables = tables(1, IommuKind::None);
    let table = named(&tables, b"APIC").unwrap();
    assert_eq!((value_of(&table[40..44]), &table[64..]), (1, &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0][..]));
}

#[test]
fn what_is_not_there_is_not_looked_for_and_what_is_has_its_port() {
    let tables = tables(1, IommuKind::None);
    let fixed = named(&tables, b"FACP").unwrap();
    assert_eq!(value_of(&fixed[109..111]), 0x04, "no VGA, no keyboard controller");
    assert_eq!(fixed[108], 0x32, "the century of the clock");
    assert_eq!(
        value_of(&fixed[112..116]),
        1 << 20 | 1 << 10 | 1 << 8 | 1 << 6,
        "hardware-reduced, a reset register, a timer of 32 bits"
    );
    assert_eq!((value_of(&fixed[76..80]), fixed[91]), (0x608, 4));
    assert_eq!(fixed[208..220], [1, 32, 0, 3, 8, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!((fixed[116], value_of(&fixed[120..128]), fixed[128]), (1, 0xcf9, 6));
}

#[test]
fn the_console_is_found_by_either_table() {
    let tables = tables(1, IommuKind::None);
    let spcr = named(&tables, b"SPCR").unwrap();
    assert_eq!((spcr.len(), spcr[36], spcr[58]), (80, 0, 7));
    let port = [1, 8, 0, 1, 0xf8, 3, 0, 0, 0, 0, 0, 0];
    assert_eq!((&spcr[40..52], value_of(&spcr[54..58])), (&port[..], 4));
    let dbg2 = named(&tables, b"DBG2").unwrap();
    let [devices, count] = [36, 40].map(|at| usize::try_from(value_of(&dbg2[at..at + 4])).unwrap());
    let device = &dbg2[devices..];
    let half = |at: usize| usize::try_from(value_of(&device[at..at + 2])).unwrap();
    assert_eq!((count, half(1), half(12), half(14)), (1, device.len(), 0x8000, 0));
    assert_eq!((&device[half(18)..half(18) + 12], device[half(20)]), (&port[..], 8));
    assert_eq!(&device[half(6)..half(6) + half(4)], b"\\_SB.COM1\0");
}

#[test]
fn the_panic_port_has_the_name_that_drivers_look_for() {
    let tables = tables(1, IommuKind::None);
    let table = named(&tables, b"DSDT").unwrap();
    let at = table.windows(8).position(|name| name == b"QEMU0001").expect("it is there");
    // Its only resource: an I/O port, 16 bits decoded.
    assert!(table[at..at + 40].windows(8).any(|bytes| bytes == [0x47, 1, 5, 5, 5, 5, 1, 1]));
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

/// What stands behind the unit in DMAR, of two engines, the first without ATS, and edu between them.
fn translating_ahead(placement: Placement, device_tlb: bool) -> Vec<u8> {
    let without = PciEngineOptions { ats: Offer::Absent, ..PciEngineOptions::default() };
    let IommuKind::Vtd(mut unit) = IommuKind::default() else { unreachable!("there is a unit") };
    unit.vtd.device_tlb = device_tlb;
    let options = MachineOptions {
        placement,
        iommu: IommuKind::Vtd(unit),
        devices: vec![
            DeviceKind::DmaEngine(without),
            DeviceKind::Edu(EduOptions::default()),
            DeviceKind::DmaEngine(PciEngineOptions::default()),
        ],
        ..options(1, IommuKind::None)
    };
    named(&tables_of(&options), b"DMAR").unwrap()[72..].to_vec()
}

#[test]
fn devices_with_a_tlb_of_their_own_are_named_by_themselves_or_by_their_ports() {
    let integrated = [5, 0, 16, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 3, 0];
    assert_eq!(translating_ahead(Placement::Integrated, true), integrated);
    let behind_ports = [2, 0, 16, 0, 0, 0, 0, 0, 2, 8, 0, 0, 0, 0, 3, 0];
    assert_eq!(translating_ahead(Placement::BehindPorts, true), behind_ports);
    assert!(translating_ahead(Placement::Integrated, false).is_empty());
}

#[test]
fn buses_behind_ports_are_in_the_window_and_with_the_bridge() {
    for (placement, last_bus) in [(Placement::Integrated, 0), (Placement::BehindPorts, 2)] {
        let devices = vec![DeviceKind::IommuTestdev; 2];
        let options = MachineOptions { placement, devices, ..options(1, IommuKind::None) };
        let tables = tables_of(&options);
        let window = named(&tables, b"MCFG").unwrap();
        assert_eq!((value_of(&window[44..52]), window[54], window[55]), (0xe000_0000, 0, last_bus));
        // A word address space of bus numbers: granularity, first, last, translation, length.
        let numbers = [0, 0, 0, 0, last_bus, 0, 0, 0, last_bus + 1, 0];
        let found = named(&tables, b"DSDT").unwrap().windows(10).any(|bytes| bytes == numbers);
        assert!(found, "{placement:?}");
    }
}

#[test]
fn that_interrupts_can_be_remapped_is_told_if_they_can() {
    let flags = |interrupt_remapping| {
        let IommuKind::Vtd(mut unit) = IommuKind::default() else { unreachable!("there is a unit") };
        unit.vtd.interrupt_remapping = interrupt_remapping;
        named(&tables(1, IommuKind::Vtd(unit)), b"DMAR").map(|table| table[37])
    };
    assert_eq!([true, false].map(flags), [Some(1), Some(0)]);
}

#[test]
fn there_is_an_entry_for_each_processor_and_room_for_the_most() {
    for processors in [1, 64] {
        let tables = tables(processors, IommuKind::default());
        let table = named(&tables, b"APIC").unwrap();
        assert_eq!(table.len(), 44 + 8 * usize::from(processors) + 12 + 10);
    }
}
