//! `testdev`: a driver for a VT-d unit in legacy mode, as small as it gets, and for `iommu-testdev` behind it.
//!
//! Invariant: as for `edu`: the first check that fails ends the machine with its number. The second stage has three
//! levels (39 bits), and one page, IOVA 0. Sources: VT-d 9.1 (root entry), 9.3 (context entry), 9.8 (second stage),
//! 6.5.2 (descriptors), 11.4 (registers).
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::{LOAD_ADDRESS, PASSED};
use crate::assembled::image;

/// Registers of the unit.
const UNIT: u32 = 0xfed9_0000;
/// Tables and the queue, a page each, and two pages for the device.
const ROOT: u32 = 0x18_0000;
const CONTEXT: u32 = 0x18_1000;
const LEVEL_3: u32 = 0x18_2000;
const LEVEL_2: u32 = 0x18_3000;
const LEVEL_1: u32 = 0x18_4000;
const QUEUE: u32 = 0x18_5000;
const STATUS: u32 = 0x18_6000;
const FIRST: u32 = 0x18_7000;
const SECOND: u32 = 0x18_8000;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_testdev_start, afterimage_bare_testdev_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_testdev, "a", @progbits
    .balign 16
    .globl afterimage_bare_testdev_start
    .globl afterimage_bare_testdev_end
    .code32
afterimage_bare_testdev_start:
    .long 0x1badb002, 0, -0x1badb002
    movl $0x90000, %esp
    cld
    xorl %ebp, %ebp                     # the number of the check
    movl $({LOAD} + .Ltname - afterimage_bare_testdev_start), %esi
    call .Ltprint

    incl %ebp                           # 1: there is an iommu-testdev on bus 0
    movl $0x80000000, %edi
1:  xorl %ecx, %ecx
    call .Ltconfig
    inl %dx, %eax
    cmpl $0x00051b36, %eax
    je 2f
    addl $0x800, %edi
    cmpl $0x80010000, %edi
    jne 1b
    jmp .Ltfail
2:  movl $4, %ecx                       # memory decoding and bus mastering
    call .Ltconfig
    inw %dx, %ax
    orw $6, %ax
    outw %ax, %dx
    movl $0x10, %ecx
    call .Ltconfig
    inl %dx, %eax
    movl %eax, %ebx                     # EBX: its registers

    # Tables: bus 0, the device's function, domain 1, three levels, IOVA 0 -> FIRST.
    movl $({CONTEXT} + 1), {ROOT}
    movl %edi, %eax
    shrl $8, %eax
    andl $0xff, %eax
    shll $4, %eax
    movl $({LEVEL_3} + 1), {CONTEXT}(%eax)
    movl $0x101, {CONTEXT} + 8(%eax)
    movl $({LEVEL_2} + 3), {LEVEL_3}
    movl $({LEVEL_1} + 3), {LEVEL_2}
    movl $({FIRST} + 3), {LEVEL_1}

    incl %ebp                           # 2: the unit takes root table, queue and translation
    movl ${ROOT}, {UNIT} + 0x20
    movl $0, {UNIT} + 0x24
    movl $0x40000000, {UNIT} + 0x18
    movl ${QUEUE}, {UNIT} + 0x90
    movl $0, {UNIT} + 0x94
    movl $0x04000000, {UNIT} + 0x18
    movl $0x84000000, {UNIT} + 0x18
    movl {UNIT} + 0x1c, %eax
    andl $0xc4000000, %eax
    cmpl $0xc4000000, %eax
    jne .Ltfail

    incl %ebp                           # 3: a write through the unit arrives where the tables say
    movl ${FIRST}, %eax
    call .Ltrun
    testl %eax, %eax
    jnz .Ltfail

    incl %ebp                           # 4: mapped elsewhere and not invalidated, it still goes to the old page
    movl $({SECOND} + 3), {LEVEL_1}
    movl ${SECOND}, %eax
    call .Ltrun
    cmpl $0xdead0004, %eax
    jne .Ltfail

    incl %ebp                           # 5: after an invalidation of the page and a wait it goes to the new one
    movl $0x00010032, {QUEUE}           # IOTLB, page selective, domain 1
    movl $0, {QUEUE} + 4
    movl $0, {QUEUE} + 8
    movl $0, {QUEUE} + 12
    movl $0x00000025, {QUEUE} + 16      # wait, with a status write
    movl $1, {QUEUE} + 20
    movl ${STATUS}, {QUEUE} + 24
    movl $0, {QUEUE} + 28
    movl $0x20, {UNIT} + 0x88
3:  cmpl $1, {STATUS}
    jne 3b
    movl ${SECOND}, %eax
    call .Ltrun
    testl %eax, %eax
    jnz .Ltfail

    movl $({LOAD} + .Ltpassed - afterimage_bare_testdev_start), %esi
    call .Ltprint
    movl ${PASSED}, %eax
    jmp .Ltend
.Ltfail:
    movl $({LOAD} + .Ltfailed - afterimage_bare_testdev_start), %esi
    call .Ltprint
    movl %ebp, %eax
.Ltend:
    movw $0xf4, %dx
    outl %eax, %dx
4:  hlt
    jmp 4b

# Writes 4 bytes to IOVA 0 and looks for them at EAX; the device's result in EAX.
.Ltrun:
    movl %eax, 0x1c(%ebx)
    xorl %ecx, %ecx
    movl %ecx, 0x20(%ebx)
    movl %ecx, 0x04(%ebx)
    movl %ecx, 0x08(%ebx)
    movl %ecx, (%eax)
    movl $4, %ecx
    movl %ecx, 0x0c(%ebx)
    movl $1, %ecx
    movl %ecx, 0x14(%ebx)
    movl (%ebx), %ecx
    movl 0x10(%ebx), %eax
    ret

# Register ECX of the function EDI, behind the data port that is left in DX.
.Ltconfig:
    pushl %eax
    movl %edi, %eax
    orl %ecx, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    popl %eax
    ret

# The text at ESI, up to its 0.
.Ltprint:
    movw $0x3f8, %dx
5:  lodsb
    testb %al, %al
    jz 6f
    outb %al, %dx
    jmp 5b
6:  ret

.Ltname:
    .asciz "iommu-testdev driver\n"
.Ltpassed:
    .asciz "passed\n"
.Ltfailed:
    .asciz "FAILED\n"
afterimage_bare_testdev_end:
    .code64
    .popsection
    "#,
    LOAD = const LOAD_ADDRESS,
    UNIT = const UNIT,
    ROOT = const ROOT,
    CONTEXT = const CONTEXT,
    LEVEL_3 = const LEVEL_3,
    LEVEL_2 = const LEVEL_2,
    LEVEL_1 = const LEVEL_1,
    QUEUE = const QUEUE,
    STATUS = const STATUS,
    FIRST = const FIRST,
    SECOND = const SECOND,
    PASSED = const PASSED,
    options(att_syntax),
);
