//! `hypercall`: both vendors' instructions, of which at least one is an invalid opcode.
//!
//! Invariant: the descriptor table has the one gate that is needed, at the end of the frame below [`LOAD_ADDRESS`]'s, and
//! the stack is below it.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::{LOAD_ADDRESS, PASSED};
use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_hypercall_start, afterimage_bare_hypercall_end)
}

/// Descriptors of the interrupt table: up to that of the invalid opcode.
const TABLE_BYTES: u32 = 7 * 8;
const TABLE: u32 = LOAD_ADDRESS - 0x100;
const GATE: u32 = TABLE + 6 * 8;

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_hypercall, "a", @progbits
    .balign 16
    .globl afterimage_bare_hypercall_start
    .globl afterimage_bare_hypercall_end
    .code32
afterimage_bare_hypercall_start:
    .long 0x1badb002, 0, -0x1badb002
    movl ${TABLE}, %esp
    movl $({LOAD} + .Linvalid - afterimage_bare_hypercall_start), %eax
    movw %ax, {GATE}
    movw %cs, {GATE} + 2
    movw $0x8e00, {GATE} + 4
    shrl $16, %eax
    movw %ax, {GATE} + 6
    pushl ${TABLE}
    pushw ${TABLE_BYTES} - 1
    lidt (%esp)
    movl $-1, %eax
    vmcall
    movl $-1, %eax
    vmmcall
    movl ${PASSED}, %eax
    movw $0xf4, %dx
    outl %eax, %dx
3:  hlt
    jmp 3b
    // Both instructions have three bytes. An iret is what KVM does not emulate.
.Linvalid:
    popl %eax
    addl $8, %esp
    addl $3, %eax
    jmp *%eax
afterimage_bare_hypercall_end:
    .code64
    .popsection
    "#,
    LOAD = const LOAD_ADDRESS,
    PASSED = const PASSED,
    TABLE = const TABLE,
    TABLE_BYTES = const TABLE_BYTES,
    GATE = const GATE,
    options(att_syntax),
);
