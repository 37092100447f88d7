//! SMBIOS tables: what the machine is called, and what of processors and memory it has, for those who show it.
//!
//! Invariant: the entry point lies where a BIOS would have it, at the beginning of the F segment, where whoever has no EFI
//! looks for it (Linux: drivers/firmware/dmi_scan.c); all structures lie right behind it. What is not known is said to be
//! unknown. Source: SMBIOS 3.0, 5.2.2 (entry point), 6.1 (structures), 7.

mod structure;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::options::MachineOptions;
use crate::boot::map;
use structure::Structure;

/// What everything in the machine is called.
const NAME: &str = "Afterimage";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Linux takes machines from before 2008 for such whose ACPI is wrong about PCI.
const DATE: &str = "01/01/2026";

/// The entry point's first bytes, its length, and where its checksum stands.
const ANCHOR: &[u8; 5] = b"_SM3_";
const ENTRY_BYTES: u8 = 24;
const CHECKSUM: usize = 5;
/// Structures begin behind the entry point, at a multiple of 16.
const STRUCTURES: u64 = map::SMBIOS + 32;

/// Handles: by the number of the type, with 0 to 255 of each.
const CHASSIS: u16 = 0x0300;
const MEMORY_ARRAY: u16 = 0x1000;
/// No such handle: nothing has it; nobody looks for errors.
const NO_HANDLE: u16 = 0xffff;
const NO_ERRORS: u16 = 0xfffe;

/// Writes the tables.
///
/// # Panics
/// If they outgrow their place, which no options can bring about.
pub fn write(memory: &PhysicalMemory, options: &MachineOptions) {
    let bytes: Vec<u8> = structures(options).iter().flat_map(Structure::to_bytes).collect();
    let end = STRUCTURES + bytes.len() as u64;
    assert!(end <= map::SMBIOS + map::SMBIOS_BYTES, "SMBIOS tables end at {end:#x}");
    memory.write_bytes(PhysAddr(STRUCTURES), &bytes);
    memory.write_bytes(PhysAddr(map::SMBIOS), &entry_point(bytes.len()));
}

fn entry_point(len: usize) -> Vec<u8> {
    let mut bytes = ANCHOR.to_vec();
    // The checksum; length; version 3.0, no revision of its text; revision 1 of the entry point; reserved.
    bytes.extend([0, ENTRY_BYTES, 3, 0, 0, 1, 0]);
    bytes.extend(u32::try_from(len).unwrap_or_else(|_| unreachable!("they fit their place")).to_le_bytes());
    bytes.extend(STRUCTURES.to_le_bytes());
    bytes[CHECKSUM] = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    bytes
}

fn structures(options: &MachineOptions) -> Vec<Structure> {
    let mut all = vec![firmware(), system(), board(), chassis(), processor(options.processors)];
    all.extend([memory_array(options.memory_bytes), memory_device(options.memory_bytes)]);
    let pieces = [0..map::first_piece_end(options.memory_bytes), map::second_piece(options.memory_bytes)];
    let present = pieces.iter().filter(|piece| !piece.is_empty());
    all.extend((0x1300..).zip(present).map(|(handle, piece)| mapped(handle, piece.start, piece.end - 1)));
    all.extend([boot_status(), Structure::new(127, 0x7f00)]);
    all
}

/// Type 0. It has ACPI, and it is of a virtual machine.
fn firmware() -> Structure {
    const CHARACTERISTICS_UNKNOWN: u64 = 1 << 3;
    const ACPI: u8 = 1 << 0;
    const VIRTUAL_MACHINE: u8 = 1 << 4;
    const NO_CONTROLLER: [u8; 2] = [0xff; 2];
    let mut firmware = Structure::new(0, 0);
    firmware.text(NAME).text(VERSION).word(0xf000).text(DATE).byte(0).qword(CHARACTERISTICS_UNKNOWN);
    // The release of the firmware is its version's text.
    firmware.byte(ACPI).byte(VIRTUAL_MACHINE).bytes(&[0xff; 2]).bytes(&NO_CONTROLLER);
    firmware
}

/// Type 1. It has neither a serial number nor a UUID.
fn system() -> Structure {
    const NO_UUID: [u8; 16] = [0; 16];
    const POWER_SWITCH: u8 = 6;
    let mut system = Structure::new(1, 0x0100);
    system.text(NAME).text(NAME).text(VERSION).none().bytes(&NO_UUID).byte(POWER_SWITCH).none().none();
    system
}

/// Type 2.
fn board() -> Structure {
    const HOSTING: u8 = 1 << 0;
    const MOTHERBOARD: u8 = 0x0a;
    let mut board = Structure::new(2, 0x0200);
    board.text(NAME).text(NAME).text(VERSION).none().none().byte(HOSTING).none();
    board.word(CHASSIS).byte(MOTHERBOARD).byte(0);
    board
}

/// Type 3. It is none that one could name, safe, and has no height, no cords and no parts.
fn chassis() -> Structure {
    const OTHER: u8 = 1;
    const SAFE: u8 = 3;
    const NO_SECURITY: u8 = 3;
    let mut chassis = Structure::new(3, CHASSIS);
    chassis.text(NAME).byte(OTHER).text(VERSION).none().none();
    chassis.bytes(&[SAFE, SAFE, SAFE, NO_SECURITY]).dword(0).bytes(&[0; 4]).none();
    chassis
}

/// Type 4: all processors are cores of one package, without threads. CPUID says what they are.
fn processor(count: u8) -> Structure {
    const CENTRAL: u8 = 3;
    const UNKNOWN: u8 = 2;
    const POPULATED_AND_ENABLED: u8 = 0x41;
    const BITS_64: u16 = 1 << 2;
    const SEVERAL_CORES: u16 = 1 << 3;
    let mut processor = Structure::new(4, 0x0400);
    processor.text("CPU 0").byte(CENTRAL).byte(UNKNOWN).text(NAME).qword(0).none();
    // Voltage and three frequencies are not known.
    processor.byte(0).word(0).word(0).word(0).byte(POPULATED_AND_ENABLED).byte(UNKNOWN);
    processor.word(NO_HANDLE).word(NO_HANDLE).word(NO_HANDLE).none().none().none();
    processor.bytes(&[count, count, count]);
    processor.word(BITS_64 | if count > 1 { SEVERAL_CORES } else { 0 }).word(UNKNOWN.into());
    (0..3).for_each(|_| _ = processor.word(count.into()));
    processor
}

/// Type 16: one device, on the board, for the system, without error correction.
fn memory_array(memory_bytes: u64) -> Structure {
    const BOARD: u8 = 3;
    const SYSTEM: u8 = 3;
    const NO_CORRECTION: u8 = 3;
    let mut array = Structure::new(16, MEMORY_ARRAY);
    array.bytes(&[BOARD, SYSTEM, NO_CORRECTION]).dword(kib(memory_bytes)).word(NO_ERRORS).word(1).qword(0);
    array
}

/// Type 17.
fn memory_device(memory_bytes: u64) -> Structure {
    const UNKNOWN_WIDTH: u16 = 0xffff;
    const EXTENDED: u16 = 0x7fff;
    const DIMM: u8 = 9;
    const RAM: u8 = 7;
    const OTHER: u16 = 1 << 1;
    let mib = u32::try_from(memory_bytes >> 20).unwrap_or_else(|_| unreachable!("a TiB at most"));
    let short = u16::try_from(mib).ok().filter(|mib| *mib < EXTENDED);
    let mut device = Structure::new(17, 0x1100);
    device.word(MEMORY_ARRAY).word(NO_ERRORS).word(UNKNOWN_WIDTH).word(UNKNOWN_WIDTH);
    device.word(short.unwrap_or(EXTENDED)).byte(DIMM).byte(0).text("DIMM 0").none().byte(RAM).word(OTHER);
    device.word(0).text(NAME).none().none().none().byte(0);
    device.dword(if short.is_some() { 0 } else { mib });
    // Speed and three voltages are not known.
    device.word(0).word(0).word(0).word(0);
    device
}

/// Type 19: addresses of the array, in KiB.
fn mapped(handle: u16, first: u64, last: u64) -> Structure {
    let mut mapped = Structure::new(19, handle);
    mapped.dword(kib(first)).dword(kib(last)).word(MEMORY_ARRAY).byte(1).qword(0).qword(0);
    mapped
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or_else(|_| unreachable!("{bytes:#x} is far above a TiB"))
}

/// Type 32: nothing went wrong.
fn boot_status() -> Structure {
    let mut status = Structure::new(32, 0x2000);
    status.bytes(&[0; 6]).byte(0);
    status
}

#[cfg(test)]
mod tests;
