//! What is left of a BIOS: the reset vector, an interrupt table whose services refuse, and the data area.
//!
//! Invariant: whoever jumps to ffff:0000 in real mode restarts the machine; whoever calls a service is told that it does
//! not exist (carry, AH = 0x86), but for the size of memory. Table and data area stand where the image leaves room.
//! Linux comes to the reset vector when ACPI is hardware-reduced and there is no EFI (arch/x86/kernel/reboot.c). Xen puts
//! its real-mode code below the end that the data area names (arch/x86/boot/head.S), and calls services. Source: IBM PC
//! AT Technical Reference, BIOS listing.

use super::bytes::put;
use super::room::Room;
use super::{BootError, map};

/// Linear address of ffff:0000.
const RESET: u64 = 0xf_fff0;
/// The keyboard controller's pulse of the reset line, in 16-bit code: `mov al, 0xfe; out 0x64, al`, then `hlt` for ever.
const RESET_CODE: [u8; 7] = [0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

/// Segment and offsets of the services.
const SEGMENT: u16 = 0xf000;
const REFUSING: u16 = 0xff00;
const MEMORY_SIZE: u16 = 0xff10;
/// `push bp; mov bp, sp; or byte [bp + 6], 1; pop bp; mov ah, 0x86; iret`: the flags on the stack get their carry.
const REFUSING_CODE: [u8; 11] = [0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xb4, 0x86, 0xcf];

/// The interrupt table: 256 far pointers; the service that gives the size of memory.
const VECTORS: usize = 256;
const MEMORY_SIZE_VECTOR: usize = 0x12;
/// The data area and what of it is not 0: the first serial port, the segment of the extended data area, KiB of memory
/// below that.
const DATA: u64 = 0x400;
const DATA_BYTES: usize = 0x100;
const SERIAL_PORT: usize = 0x00;
const EXTENDED_DATA: usize = 0x0e;
const MEMORY_KIB: usize = 0x13;

/// Puts the part that would be read-only memory where it belongs.
///
/// # Errors
/// [`BootError`] if memory is too small for it.
pub(super) fn write(room: &mut Room<'_>) -> Result<(), BootError> {
    let service = |offset: u16| (u64::from(SEGMENT) << 4) + u64::from(offset);
    room.put("services of the firmware", service(REFUSING), &REFUSING_CODE)?;
    // mov ax, KiB; iret
    let [low, high] = memory_kib().to_le_bytes();
    room.put("services of the firmware", service(MEMORY_SIZE), &[0xb8, low, high, 0xcf])?;
    room.put("reset vector", RESET, &RESET_CODE)
}

/// Puts the part in low memory where nothing else lies.
///
/// # Errors
/// [`BootError`] if memory is too small for it.
pub(super) fn write_low(room: &mut Room<'_>) -> Result<(), BootError> {
    let mut data = [0; DATA_BYTES];
    put(&mut data, SERIAL_PORT, devices::serial::PORT.to_le_bytes());
    let extended = u16::try_from(map::CONVENTIONAL_END >> 4).unwrap_or(u16::MAX);
    put(&mut data, EXTENDED_DATA, extended.to_le_bytes());
    put(&mut data, MEMORY_KIB, memory_kib().to_le_bytes());
    for (what, start, bytes) in
        [("interrupt table", 0, &vectors()[..]), ("firmware's data area", DATA, &data)]
    {
        if room.is_free(start, bytes.len() as u64) {
            room.put(what, start, bytes)?;
        }
    }
    Ok(())
}

fn vectors() -> [u8; 4 * VECTORS] {
    let mut table = [0; 4 * VECTORS];
    for (number, vector) in table.chunks_exact_mut(4).enumerate() {
        let offset = if number == MEMORY_SIZE_VECTOR { MEMORY_SIZE } else { REFUSING };
        put(vector, 0, offset.to_le_bytes());
        put(vector, 2, SEGMENT.to_le_bytes());
    }
    table
}

fn memory_kib() -> u16 {
    u16::try_from(map::CONVENTIONAL_END / 1024).unwrap_or(u16::MAX)
}
