//! `echo`: gives back what it is told.
//!
//! Invariant: it asks the line status before it reads, so no byte is made up and none is lost; it ends when the carrier
//! has gone and nothing is left.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::PASSED;
use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_echo_start, afterimage_bare_echo_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_echo, "a", @progbits
    .balign 16
    .globl afterimage_bare_echo_start
    .globl afterimage_bare_echo_end
    .code32
afterimage_bare_echo_start:
    .long 0x1badb002, 0, -0x1badb002
1:  movw $0x3fd, %dx
    inb %dx, %al
    testb $1, %al                       # data ready
    jnz 2f
    movw $0x3fe, %dx
    inb %dx, %al
    testb $0x80, %al                    # carrier
    jnz 1b
    jmp 3f
2:  movw $0x3f8, %dx
    inb %dx, %al
    outb %al, %dx
    cmpb ${END}, %al
    jne 1b
3:  movl ${PASSED}, %eax
    movw $0xf4, %dx
    outl %eax, %dx
4:  hlt
    jmp 4b
afterimage_bare_echo_end:
    .code64
    .popsection
    "#,
    END = const b'.',
    PASSED = const PASSED,
    options(att_syntax),
);
