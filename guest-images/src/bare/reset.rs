//! `reset`: goes back to real mode and jumps to ffff:0000, as a kernel does that knows no other way to restart.
//!
//! Invariant: the 16-bit part runs in a segment whose base is the image's address, before and after the switch.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::LOAD_ADDRESS;
use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_reset_start, afterimage_bare_reset_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_reset, "a", @progbits
    .balign 16
    .globl afterimage_bare_reset_start
    .globl afterimage_bare_reset_end
    .code32
afterimage_bare_reset_start:
    .long 0x1badb002, 0, -0x1badb002
    lgdt {LOAD} + .Lreset_pointer - afterimage_bare_reset_start
    ljmpl $8, $(.Lreset_16 - afterimage_bare_reset_start)
    .code16
.Lreset_16:
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $0xffff, $0
    .balign 8
.Lreset_table:
    .quad 0
    .word 0xffff, {LOAD} & 0xffff       # code of 16 bits, 64 KiB from the image on
    .byte ({LOAD} >> 16) & 0xff, 0x9b, 0, {LOAD} >> 24
.Lreset_pointer:
    .word 15
    .long {LOAD} + .Lreset_table - afterimage_bare_reset_start
afterimage_bare_reset_end:
    .code64
    .popsection
    "#,
    LOAD = const LOAD_ADDRESS,
    options(att_syntax),
);
