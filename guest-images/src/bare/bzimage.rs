//! A bzImage: sectors that nobody runs, with the header in them, and a kernel at 1 MiB.
//!
//! Source: Documentation/arch/x86/boot.rst, protocol 2.15.

use super::LOAD_ADDRESS;

/// Where a kernel is put and entered.
const KERNEL_ADDRESS: u32 = 0x10_0000;
const SETUP_SECTORS: u8 = 4;
const SECTOR_BYTES: usize = 512;
/// JMP with a 32-bit displacement, and its length.
const JUMP: u8 = 0xe9;
const JUMP_BYTES: u32 = 5;

/// A file whose kernel jumps to `entry`, in `code` at [`LOAD_ADDRESS`].
pub(super) fn wrap(code: &[u8], entry: u32) -> Vec<u8> {
    let mut file = vec![0; (usize::from(SETUP_SECTORS) + 1) * SECTOR_BYTES];
    for (at, bytes) in [
        (0x1f1, &[SETUP_SECTORS][..]),
        (0x201, &[0x6a]),
        (0x202, b"HdrS"),
        (0x206, &0x20f_u16.to_le_bytes()),
        (0x211, &[1]),
        (0x22c, &0x7fff_ffff_u32.to_le_bytes()),
        (0x238, &2047_u32.to_le_bytes()),
        (0x258, &u64::from(KERNEL_ADDRESS).to_le_bytes()),
        (0x260, &0x1_0000_u32.to_le_bytes()),
    ] {
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let kernel = file.len();
    file.push(JUMP);
    file.extend((entry - KERNEL_ADDRESS - JUMP_BYTES).to_le_bytes());
    file.resize(kernel + (LOAD_ADDRESS - KERNEL_ADDRESS) as usize, 0);
    file.extend_from_slice(code);
    file
}
