//! `timers`: what a kernel calibrates by and masks on a PC: power management timer, 8254, 8259; and the test device.
//!
//! Invariant: as for `edu`: the first check that fails ends the machine with its number. Interrupts stay disabled: one that
//! came is seen in the local APIC. Sources: Intel 82C54, 8259A, 82093AA; ACPI 6.5, 4.8.3.3.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::PASSED;
use crate::assembled::image;

/// Registers of the I/O APIC and the local APIC: select, window; spurious vector; requests of vectors 0x20 to 0x3f.
const SELECT: u32 = 0xfec0_0000;
const WINDOW: u32 = 0xfec0_0010;
const SPURIOUS: u32 = 0xfee0_00f0;
const REQUESTS: u32 = 0xfee0_0210;
const VECTOR: u32 = 0x31;
/// Memory of the test device.
const TEST_MEMORY: u32 = 0xff00_0000;
/// Counts of the power management timer in 65,535 of the 8254, less some.
const LEAST: u32 = 196_000;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_timers_start, afterimage_bare_timers_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_timers, "a", @progbits
    .balign 16
    .globl afterimage_bare_timers_start
    .globl afterimage_bare_timers_end
    .code32
afterimage_bare_timers_start:
    .long 0x1badb002, 0, -0x1badb002
    movl $1, %ebp                       # 1: the power management timer counts
    movw $0x608, %dx
    inl %dx, %eax
    movl %eax, %ebx                     # EBX: what it was at the beginning
1:  inl %dx, %eax
    cmpl %eax, %ebx
    je 1b

    incl %ebp                           # 2: channel 2 waits for its gate, and takes its time
    movb $0, %al
    outb %al, $0x61
    movb $0xb0, %al
    outb %al, $0x43
    movb $0xff, %al
    outb %al, $0x42
    outb %al, $0x42
    inb $0x61, %al
    testb $0x20, %al
    jnz .Ltmfail
    movw $0x608, %dx
    inl %dx, %eax
    movl %eax, %ebx
    movb $1, %al
    outb %al, $0x61
2:  inb $0x61, %al
    testb $0x20, %al
    jz 2b
    inl %dx, %eax
    subl %ebx, %eax
    andl $0xffffff, %eax
    cmpl ${LEAST}, %eax
    jb .Ltmfail

    incl %ebp                           # 3: a latched count of channel 0 stands still, the next one is lower
    movb $0x34, %al
    outb %al, $0x43
    movb $0, %al
    outb %al, $0x40
    outb %al, $0x40
    outb %al, $0x43
    inb $0x40, %al
    movb %al, %bl
    inb $0x40, %al
    movb %al, %bh
    movb $0, %al
    outb %al, $0x43
    inb $0x40, %al
    movb %al, %cl
    inb $0x40, %al
    movb %al, %ch
    cmpw %bx, %cx
    je .Ltmfail

    incl %ebp                           # 4: both 8259 are initialised and masked
    movb $0x11, %al
    outb %al, $0x20
    outb %al, $0xa0
    movb $0x20, %al
    outb %al, $0x21
    movb $0x28, %al
    outb %al, $0xa1
    movb $4, %al
    outb %al, $0x21
    movb $2, %al
    outb %al, $0xa1
    movb $1, %al
    outb %al, $0x21
    outb %al, $0xa1
    movb $0xfb, %al
    outb %al, $0x21
    inb $0x21, %al
    cmpb $0xfb, %al
    jne .Ltmfail
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1

    incl %ebp                           # 5: channel 0 interrupts at input 2 of the I/O APIC, once in mode 0
    movl $0x1ff, {SPURIOUS}
    movl $0x15, {SELECT}
    movl $0, {WINDOW}
    movl $0x14, {SELECT}
    movl ${VECTOR}, {WINDOW}
    movb $0x30, %al
    outb %al, $0x43
    movb $0xff, %al
    outb %al, $0x40
    movb $0, %al
    outb %al, $0x40
3:  movl {REQUESTS}, %eax
    testl $1 << ({VECTOR} & 31), %eax
    jz 3b

    incl %ebp                           # 6: the test device keeps a word and memory
    movl $0x12345678, %eax
    movw $0xe0, %dx
    outl %eax, %dx
    incw %dx
    inb %dx, %al
    cmpb $0x56, %al
    jne .Ltmfail
    movl $0x9abcdef0, {TEST_MEMORY} + 0xfffc
    movl {TEST_MEMORY} + 0xfffc, %eax
    cmpl $0x9abcdef0, %eax
    jne .Ltmfail

    movl ${PASSED}, %eax
    jmp 4f
.Ltmfail:
    movl %ebp, %eax
4:  movw $0xf4, %dx
    outl %eax, %dx
5:  hlt
    jmp 5b
afterimage_bare_timers_end:
    .code64
    .popsection
    "#,
    SELECT = const SELECT,
    WINDOW = const WINDOW,
    SPURIOUS = const SPURIOUS,
    REQUESTS = const REQUESTS,
    VECTOR = const VECTOR,
    TEST_MEMORY = const TEST_MEMORY,
    LEAST = const LEAST,
    PASSED = const PASSED,
    options(att_syntax),
);
