//! Reset vector: what a PC's firmware has at ffff:0000, where software jumps when it knows no better way to restart.
//!
//! Invariant: whoever arrives here in real mode restarts the machine, and nobody runs on behind it. Linux comes here when
//! ACPI is hardware-reduced and there is no EFI (arch/x86/kernel/reboot.c).

use super::BootError;
use super::room::Room;

/// Linear address of ffff:0000.
pub(super) const ADDRESS: u64 = 0xf_fff0;

/// The keyboard controller's pulse of the reset line, in 16-bit code: `mov al, 0xfe; out 0x64, al`, then `hlt` for ever.
const CODE: [u8; 7] = [0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

/// Puts it where it belongs.
///
/// # Errors
/// [`BootError`] if memory is too small for it.
pub(super) fn write(room: &mut Room<'_>) -> Result<(), BootError> {
    room.put("reset vector", ADDRESS, &CODE)
}
