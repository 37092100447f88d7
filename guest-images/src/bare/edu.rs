//! `edu`: a driver for the educational device, as small as it gets.
//!
//! Invariant: each check has a number, counted up before it, and the first that fails ends the machine with it.
//! Interrupts are never taken: the image enables its local APIC and looks for them among the requested ones. Where there
//! is a VT-d unit, they go through it too. Sources: VT-d 5.1.2 (formats), 9.10 (entries), 11.4.4 (GCMD), 11.4.14 (FRCD).
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::{LOAD_ADDRESS, PASSED};
use crate::assembled::image;

/// A line of bytes in memory that crosses a page, and where its copy goes.
const LINE: u32 = 0x18_0ff0;
const COPY: u32 = 0x19_0001;
const LINE_BYTES: u32 = 64;
/// The remapping unit's registers, and its table of 256 interrupt entries.
const UNIT: u32 = 0xfed9_0000;
const TABLE: u32 = 0x1a_0000;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_edu_start, afterimage_bare_edu_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_edu, "a", @progbits
    .balign 16
    .globl afterimage_bare_edu_start
    .globl afterimage_bare_edu_end
    .code32
afterimage_bare_edu_start:
    .long 0x1badb002, 0, -0x1badb002
    movl $0x90000, %esp
    cld
    xorl %ebp, %ebp                     # the number of the check

    incl %ebp                           # 1: the loader is a Multiboot loader
    cmpl $0x2badb002, %eax
    jne .Lfail
    movl $({LOAD} + .Lname - afterimage_bare_edu_start), %esi
    call .Lprint

    incl %ebp                           # 2: there is an edu on bus 0
    movl $0x80000000, %edi
1:  xorl %ecx, %ecx
    call .Lconfig
    inl %dx, %eax
    cmpl $0x11e81234, %eax
    je 2f
    addl $0x800, %edi
    cmpl $0x80010000, %edi
    jne 1b
    jmp .Lfail

2:  incl %ebp                           # 3: an unaligned register number reaches its register: the pin is INTA#
    movl $0x3d, %ecx
    call .Lconfig
    inb %dx, %al
    cmpb $1, %al
    jne .Lfail

    movl $4, %ecx                       # memory decoding and bus mastering
    call .Lconfig
    inw %dx, %ax
    orw $6, %ax
    outw %ax, %dx
    movl $0x10, %ecx
    call .Lconfig
    inl %dx, %eax
    movl %eax, %ebx                     # EBX: its registers

    incl %ebp                           # 4: it is an edu, and it lives
    movl (%ebx), %eax
    cmpl $0x010000ed, %eax
    jne .Lfail
    movl $0x12345678, 4(%ebx)
    movl 4(%ebx), %eax
    cmpl $0xedcba987, %eax
    jne .Lfail

    incl %ebp                           # 5: bytes go there and back
    movl ${LINE}, %esi
    xorl %eax, %eax
3:  movb %al, (%esi,%eax)
    incl %eax
    cmpl ${LINE_BYTES}, %eax
    jne 3b
    movl ${LINE}, %eax
    movl $0x40000, %ecx
    movl $1, %edx
    call .Ltransfer
    movl $0x40000, %eax
    movl ${COPY}, %ecx
    movl $3, %edx
    call .Ltransfer
    xorl %eax, %eax
    movl ${COPY}, %esi
4:  cmpb %al, (%esi,%eax)
    jne .Lfail
    incl %eax
    cmpl ${LINE_BYTES}, %eax
    jne 4b

    movl $0x1ff, %eax                   # the local APIC takes interrupts; the processor does not
    movl %eax, 0xfee000f0

    incl %ebp                           # 6: its line, level triggered, asks for vector 0x42
    movl $0x3c, %ecx
    call .Lconfig
    inb %dx, %al
    movzbl %al, %eax
    leal 0x10(%eax,%eax), %eax
    movl %eax, 0xfec00000
    movl $0x8042, %ecx
    movl %ecx, 0xfec00010
    incl %eax
    movl %eax, 0xfec00000
    xorl %ecx, %ecx
    movl %ecx, 0xfec00010
    movl $1, 0x60(%ebx)
    movl 0xfee00220, %eax
    testl $4, %eax
    jz .Lfail
    movl 0x24(%ebx), %eax
    cmpl $1, %eax
    jne .Lfail
    movl $1, 0x64(%ebx)

    incl %ebp                           # 7: its MSI asks for vector 0x41
    movl $0x34, %ecx
    call .Lconfig
    inb %dx, %al
    movzbl %al, %esi
    leal 4(%esi), %ecx
    call .Lconfig
    movl $0xfee00000, %eax
    outl %eax, %dx
    leal 12(%esi), %ecx
    call .Lconfig
    movl $0x41, %eax
    outw %ax, %dx
    leal 2(%esi), %ecx
    call .Lconfig
    inw %dx, %ax
    orw $1, %ax
    outw %ax, %dx
    movl $2, 0x60(%ebx)
    movl 0xfee00220, %eax
    testl $2, %eax
    jz .Lfail

    movl {UNIT}, %eax                   # without a unit that is all
    cmpl $-1, %eax
    je .Lpass
    pushl %esi
    movl $({LOAD} + .Lremapping - afterimage_bare_edu_start), %esi
    call .Lprint
    popl %esi

    incl %ebp                           # 8: the unit takes its table and remaps
    movl $({TABLE} + 7), {UNIT} + 0xb8
    movl $0, {UNIT} + 0xbc
    movl $0x01000000, {UNIT} + 0x18
    movl $0x02000000, {UNIT} + 0x18
    movl {UNIT} + 0x1c, %eax
    andl $0x03000000, %eax
    cmpl $0x03000000, %eax
    jne .Lfail
    movl %edi, %eax                     # EDX: entries are for this function only
    shrl $8, %eax
    andl $0xffff, %eax
    orl $0x40000, %eax
    movl %eax, %edx

    incl %ebp                           # 9: its MSI names entry 1, which makes it vector 0x43
    movl $0x430001, {TABLE} + 0x10
    movl %edx, {TABLE} + 0x18
    movl $0xfee00030, %eax
    call .Lmessage
    movl $4, 0x60(%ebx)
    movl 0xfee00220, %eax
    testl $8, %eax
    jz .Lfail

    incl %ebp                           # 10: entry 2 is for another function: blocked, and recorded with its index
    movl $0x440001, {TABLE} + 0x20
    movl %edx, %eax
    xorl $8, %eax
    movl %eax, {TABLE} + 0x28
    movl $0xfee00050, %eax
    call .Lmessage
    movl $8, 0x60(%ebx)
    movl 0xfee00220, %eax
    testl $0x10, %eax
    jnz .Lfail
    movl $0x26, %ecx
    movl $0x20000, %eax
    call .Lfault

    incl %ebp                           # 11: the compatibility format is blocked
    movl $0xfee00000, %eax
    call .Lmessage
    movl $0x10, 0x60(%ebx)
    movl $0x25, %ecx
    xorl %eax, %eax
    call .Lfault

    incl %ebp                           # 12: its line names entry 3: vector 0x45, and the I/O APIC is not asked who it is
    movl $0xff, 0x64(%ebx)
    leal 2(%esi), %ecx
    call .Lconfig
    inw %dx, %ax
    andw $0xfffe, %ax
    outw %ax, %dx
    movl {TABLE} + 0x18, %eax
    movl %eax, {TABLE} + 0x38
    movl $0x450001, {TABLE} + 0x30
    movl $0x3c, %ecx
    call .Lconfig
    inb %dx, %al
    movzbl %al, %eax
    leal 0x11(%eax,%eax), %eax
    movl %eax, 0xfec00000
    movl $0x70000, %ecx
    movl %ecx, 0xfec00010
    decl %eax
    movl %eax, 0xfec00000
    movl $0x45, %ecx
    movl %ecx, 0xfec00010
    movl $1, 0x60(%ebx)
    movl 0xfee00220, %eax
    testl $0x20, %eax
    jz .Lfail

.Lpass:
    movl $({LOAD} + .Lpassed - afterimage_bare_edu_start), %esi
    call .Lprint
    movl ${PASSED}, %eax
    jmp .Lend
.Lfail:
    movl $({LOAD} + .Lfailed - afterimage_bare_edu_start), %esi
    call .Lprint
    movl %ebp, %eax
.Lend:
    movw $0xf4, %dx
    outl %eax, %dx
5:  hlt
    jmp 5b

# Register ECX of the function EDI, behind the data port that is left in DX.
.Lconfig:
    pushl %eax
    movl %edi, %eax
    orl %ecx, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    popl %eax
    ret

# The MSI capability at ESI sends to address EAX, and no data.
.Lmessage:
    pushl %edx
    leal 4(%esi), %ecx
    call .Lconfig
    outl %eax, %dx
    leal 12(%esi), %ecx
    call .Lconfig
    xorl %eax, %eax
    outw %ax, %dx
    popl %edx
    ret

# The oldest fault is of reason ECX and says EAX above the page's bits; frees its record.
.Lfault:
    pushl %edx
    pushl %ecx
    movl {UNIT} + 0x34, %ecx
    shrl $8, %ecx
    andl $0xff, %ecx
    shll $4, %ecx
    leal {UNIT} + 0x220(%ecx), %ecx
    popl %edx
    cmpl %eax, 4(%ecx)
    jne .Lfail
    movl 12(%ecx), %eax
    testl %eax, %eax
    jns .Lfail
    cmpb %al, %dl
    jne .Lfail
    movl $0x80000000, %eax
    movl %eax, 12(%ecx)
    popl %edx
    ret

# One line from EAX to ECX by command EDX; waits for its end.
.Ltransfer:
    movl %eax, 0x80(%ebx)
    movl %ecx, 0x88(%ebx)
    movl ${LINE_BYTES}, %eax
    movl %eax, 0x90(%ebx)
    movl %edx, 0x98(%ebx)
6:  movl 0x98(%ebx), %eax
    testl $1, %eax
    jnz 6b
    ret

# The text at ESI, up to its 0.
.Lprint:
    movw $0x3f8, %dx
7:  lodsb
    testb %al, %al
    jz 8f
    outb %al, %dx
    jmp 7b
8:  ret

.Lname:
    .asciz "edu driver\n"
.Lremapping:
    .asciz "interrupts through the unit\n"
.Lpassed:
    .asciz "passed\n"
.Lfailed:
    .asciz "FAILED\n"
afterimage_bare_edu_end:
    .code64
    .popsection
    "#,
    LOAD = const LOAD_ADDRESS,
    LINE = const LINE,
    COPY = const COPY,
    LINE_BYTES = const LINE_BYTES,
    UNIT = const UNIT,
    TABLE = const TABLE,
    PASSED = const PASSED,
    options(att_syntax),
);
