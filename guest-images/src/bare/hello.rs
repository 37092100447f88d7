//! `hello`: the smallest image with a visible effect.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::{LOAD_ADDRESS, PASSED};
use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_hello_start, afterimage_bare_hello_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_hello, "a", @progbits
    .balign 16
    .globl afterimage_bare_hello_start
    .globl afterimage_bare_hello_end
    .code32
afterimage_bare_hello_start:
    .long 0x1badb002, 0, -0x1badb002
    movl $({LOAD} + .Lhello - afterimage_bare_hello_start), %esi
    movw $0x3f8, %dx
1:  movb (%esi), %al
    incl %esi
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  movl ${PASSED}, %eax
    movw $0xf4, %dx
    outl %eax, %dx
3:  hlt
    jmp 3b
.Lhello:
    .asciz "hello\n"
afterimage_bare_hello_end:
    .code64
    .popsection
    "#,
    LOAD = const LOAD_ADDRESS,
    PASSED = const PASSED,
    options(att_syntax),
);
