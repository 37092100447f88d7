//! `button`: listens for the power button, and powers off when it is pressed, unless it was told something, which it has said.
//!
//! Invariant: interrupts stay disabled: the button's is seen in the local APIC.
//! Sources: Intel 82093AA; ACPI 6.5, 4.8.3.7 (sleep control register).
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;

/// Registers of the I/O APIC and the local APIC: select, window; spurious vector; requests of vectors 0x20 to 0x3f.
const SELECT: u32 = 0xfec0_0000;
const WINDOW: u32 = 0xfec0_0010;
const SPURIOUS: u32 = 0xfee0_00f0;
const REQUESTS: u32 = 0xfee0_0210;
const VECTOR: u32 = 0x31;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_button_start, afterimage_bare_button_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_button, "a", @progbits
    .balign 16
    .globl afterimage_bare_button_start
    .globl afterimage_bare_button_end
    .code32
afterimage_bare_button_start:
    .long 0x1badb002, 0, -0x1badb002
    movl $0x1ff, {SPURIOUS}
    movl $0x23, {SELECT}                # input 9, to processor 0, by an edge
    movl $0, {WINDOW}
    movl $0x22, {SELECT}
    movl ${VECTOR}, {WINDOW}
    movw $0x3f8, %dx
    movb $0x6c, %al                     # l: it listens
    outb %al, %dx
    xorl %ebx, %ebx                     # whether it was told something
1:  pause
    movw $0x3fd, %dx
    inb %dx, %al
    testb $1, %al
    jz 4f
    movw $0x3f8, %dx
    inb %dx, %al
    movb $1, %bl
    movb $0x68, %al                     # h: it has heard
    outb %al, %dx
4:  movl {REQUESTS}, %eax
    testl $1 << ({VECTOR} & 31), %eax
    jz 1b
    testl %ebx, %ebx
    jnz 2f
    movw $0x600, %dx
    movb $0x34, %al                     # S5
    outb %al, %dx
2:  movw $0x3f8, %dx
    movb $0x6e, %al                     # n: no
    outb %al, %dx
3:  pause
    jmp 3b
afterimage_bare_button_end:
    .code64
    .popsection
    "#,
    SELECT = const SELECT,
    WINDOW = const WINDOW,
    SPURIOUS = const SPURIOUS,
    REQUESTS = const REQUESTS,
    VECTOR = const VECTOR,
    options(att_syntax),
);
