//! `flood`: writes to the serial port for ever, as fast as `rep outsb` goes.
//!
//! Invariant: it never looks at the line status, so whoever reads too slowly loses bytes.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_flood_start, afterimage_bare_flood_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_flood, "a", @progbits
    .balign 16
    .globl afterimage_bare_flood_start
    .globl afterimage_bare_flood_end
    .code32
afterimage_bare_flood_start:
    .long 0x1badb002, 0, -0x1badb002
    cld
    movw $0x3f8, %dx
1:  movl $0x100000, %esi
    movl $0x10000, %ecx
    rep outsb
    jmp 1b
afterimage_bare_flood_end:
    .code64
    .popsection
    "#,
    options(att_syntax),
);
