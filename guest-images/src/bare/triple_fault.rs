//! `triple-fault`: an exception with no descriptor table to take it.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_triple_fault_start, afterimage_bare_triple_fault_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_triple_fault, "a", @progbits
    .balign 16
    .globl afterimage_bare_triple_fault_start
    .globl afterimage_bare_triple_fault_end
    .code32
afterimage_bare_triple_fault_start:
    .long 0x1badb002, 0, -0x1badb002
    mov dword ptr [0x800], 0
    mov dword ptr [0x804], 0
    lidt [0x800]
    ud2
afterimage_bare_triple_fault_end:
    .code64
    .popsection
    "#
);
