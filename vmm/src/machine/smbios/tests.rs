//! The tables as Linux finds them.

use std::collections::{BTreeMap, BTreeSet};

use devices::bus::value_of;
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::write;
use crate::kvm::CpuFlags;
use crate::machine::options::{Debugger, IommuKind, MachineOptions, Placement};
use crate::sandbox::Sandbox;

/// A structure: its bytes, and its strings.
type Found = (Vec<u8>, Vec<String>);

/// The structures by their types, as drivers/firmware/dmi_scan.c reads them.
fn tables(processors: u8, memory_bytes: u64) -> BTreeMap<u8, Vec<Found>> {
    let memory = PhysicalMemory::new(2 << 20).unwrap();
    let options = MachineOptions {
        memory_bytes,
        processors,
        masked_cpu_flags: CpuFlags::default(),
        iommu: IommuKind::None,
        devices: Vec::new(),
        virtio: Vec::new(),
        functions: Vec::new(),
        placement: Placement::default(),
        debugger: Debugger::None,
        sandbox: Sandbox::OFF,
        tracer: None,
    };
    write(&memory, &options);
    let mut segment = vec![0; 0x1_0000];
    memory.read_bytes(PhysAddr(0xf_0000), &mut segment);
    let entry = segment.chunks(16).position(|bytes| bytes.starts_with(b"_SM3_")).expect("it is found") * 16;
    let entry = &segment[entry..entry + 24];
    assert_eq!((entry[6], &entry[7..11]), (24, &[3, 0, 0, 1][..]));
    assert_eq!(entry.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    let (len, at) = (value_of(&entry[12..16]), value_of(&entry[16..24]) - 0xf_0000);
    let table = &segment[usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap()];
    parse(table)
}

fn parse(mut table: &[u8]) -> BTreeMap<u8, Vec<Found>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    while !table.is_empty() {
        let (fields, rest) = table.split_at(usize::from(table[1]));
        let end = rest.windows(2).position(|pair| pair == [0, 0]).expect("strings end") + 2;
        let strings = rest[..end].split(|byte| *byte == 0).filter(|string| !string.is_empty());
        let strings = strings.map(|string| String::from_utf8(string.to_vec()).unwrap()).collect();
        found.entry(fields[0]).or_default().push((fields.to_vec(), strings));
        table = &rest[end..];
    }
    found
}

fn one(tables: &BTreeMap<u8, Vec<Found>>, kind: u8) -> &Found {
    let [found] = &tables[&kind][..] else { panic!("several of type {kind}") };
    found
}

fn string((fields, strings): &Found, at: usize) -> &str {
    &strings[usize::from(fields[at]) - 1]
}

#[test]
fn every_type_is_there_with_the_length_of_its_version() {
    let tables = tables(1, 128 << 20);
    let lengths: Vec<_> = tables.iter().map(|(kind, found)| (*kind, found.len(), found[0].0.len())).collect();
    let expected = [
        (0, 1, 0x18),
        (1, 1, 0x1b),
        (2, 1, 0x0f),
        (3, 1, 0x16),
        (4, 1, 0x30),
        (16, 1, 0x17),
        (17, 1, 0x28),
        (19, 1, 0x1f),
        (32, 1, 0x0b),
        (127, 1, 4),
    ];
    assert_eq!(lengths, expected);
    let handles: BTreeSet<_> = tables.values().flatten().map(|(fields, _)| value_of(&fields[2..4])).collect();
    assert_eq!(handles.len(), expected.len(), "each has a handle of its own");
}

#[test]
fn the_machine_has_a_name_and_a_firmware_that_is_young_enough() {
    let tables = tables(1, 128 << 20);
    assert_eq!([4, 5].map(|at| string(one(&tables, 1), at)), ["Afterimage"; 2]);
    assert_eq!(string(one(&tables, 0), 4), "Afterimage");
    let date = string(one(&tables, 0), 8);
    assert!(date[6..].parse::<u32>().unwrap() >= 2008, "{date}");
    assert_eq!(one(&tables, 0).0[0x13] & 1 << 4, 1 << 4, "a virtual machine");
    assert_eq!(value_of(&one(&tables, 2).0[0x0b..0x0d]), value_of(&one(&tables, 3).0[2..4]), "its chassis");
}

#[test]
fn processors_are_cores_of_one_package() {
    for count in [1, 64] {
        let tables = tables(count, 128 << 20);
        let (fields, _) = one(&tables, 4);
        assert_eq!(fields[0x23..0x26], [count; 3]);
        assert_eq!(value_of(&fields[0x2a..0x2c]), u64::from(count));
    }
}

#[test]
fn memory_has_its_size_and_its_pieces() {
    let first = (0, (3 << 20) - 1);
    for (bytes, size, extended, pieces) in [
        (2 << 20, 2, 0, vec![(0, 2047)]),
        (3 << 30, 3072, 0, vec![first]),
        (6 << 30, 6144, 0, vec![first, (4 << 20, (7 << 20) - 1)]),
        (32 << 30, 0x7fff, 32 << 10, vec![first, (4 << 20, (33 << 20) - 1)]),
        (1 << 40, 0x7fff, 1 << 20, vec![first, (4 << 20, (1 << 30) + (1 << 20) - 1)]),
    ] {
        let tables = tables(1, bytes);
        let (device, _) = one(&tables, 17);
        assert_eq!((value_of(&device[0x0c..0x0e]), value_of(&device[0x1c..0x20])), (size, extended));
        let (array, _) = one(&tables, 16);
        assert_eq!(value_of(&array[7..11]) << 10, bytes);
        let mapped = |(fields, _): &Found| (value_of(&fields[4..8]), value_of(&fields[8..12]));
        assert_eq!(tables[&19].iter().map(mapped).collect::<Vec<_>>(), pieces, "{bytes:#x}");
    }
}
