//! `outs`: puts out many pages by one `rep outsb`, through page tables that turn their order round.
//!
//! Invariant: 64-bit code; what stands at a linear address is the address times [`FACTOR`], so whoever takes linear
//! addresses for physical ones puts out something else. Source: Intel SDM vol. 3, 4.5 (4-level paging), 9.8.5.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use super::{LOAD_ADDRESS, PASSED};
use crate::assembled::image;

/// Four tables, one behind the other; the last one maps the second 2 MiB page by page, and the first are one page.
const TABLES: u32 = 0x20_0000;
const PAGE_TABLE: u32 = TABLES + 0x3000;
/// Linear addresses of 16 pages, the first of which lies in the frame of the last.
const PAGES: u32 = 0x30_0000;
const PAGES_BYTES: u32 = 0x1_0000;
const LAST_FRAME: u32 = PAGES + PAGES_BYTES - 0x1000;
/// What is put out: neither begins nor ends with a page.
const TEXT: u32 = PAGES + 0x123;
const TEXT_BYTES: u32 = PAGES_BYTES - 0x321;
const FACTOR: u32 = 0x9e37_79b1;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_outs_start, afterimage_bare_outs_end)
}

/// What is put out.
pub(super) fn text() -> Vec<u8> {
    let words = (PAGES..PAGES + PAGES_BYTES).step_by(4).map(|address| address.wrapping_mul(FACTOR));
    let begin = (TEXT - PAGES) as usize;
    words.flat_map(u32::to_le_bytes).skip(begin).take(TEXT_BYTES as usize).collect()
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_outs, "a", @progbits
    .balign 16
    .globl afterimage_bare_outs_start
    .globl afterimage_bare_outs_end
    .code32
afterimage_bare_outs_start:
    .long 0x1badb002, 0, -0x1badb002
    cld
    movl ${TABLES}, %edi
    xorl %eax, %eax
    movl $0x1000, %ecx
    rep stosl
    movl ${TABLES} + 0x1003, {TABLES}
    movl ${TABLES} + 0x2003, {TABLES} + 0x1000
    movl $0x83, {TABLES} + 0x2000
    movl ${PAGE_TABLE} + 3, {TABLES} + 0x2008
    movl ${PAGE_TABLE}, %edi            # every page lies in its own frame,
    movl $0x200003, %eax
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x1000, %eax
    cmpl $0x400003, %eax
    jne 1b
    movl ${PAGE_TABLE} + ({PAGES} - 0x200000) / 0x200, %edi
    movl ${LAST_FRAME} + 3, %eax        # but for these
2:  movl %eax, (%edi)
    addl $8, %edi
    subl $0x1000, %eax
    cmpl ${PAGES}, %eax
    ja 2b

    movl ${TABLES}, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax                     # PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx              # EFER.LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    lgdt {LOAD} + (.Louts_gdtr - afterimage_bare_outs_start)
    ljmpl $8, ${LOAD} + (.Louts_long - afterimage_bare_outs_start)

    .code64
.Louts_long:
    movl $16, %eax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl ${PAGES}, %edi
3:  imull ${FACTOR}, %edi, %eax
    movl %eax, (%rdi)
    addl $4, %edi
    cmpl ${PAGES} + {PAGES_BYTES}, %edi
    jne 3b

    movl ${TEXT}, %esi
    movl ${TEXT_BYTES}, %ecx
    movw $0x3f8, %dx
    rep outsb
    movl ${PASSED}, %eax
    movw $0xf4, %dx
    outb %al, %dx
4:  hlt
    jmp 4b

    .balign 8
.Louts_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
.Louts_gdtr:
    .word . - .Louts_gdt - 1
    .long {LOAD} + (.Louts_gdt - afterimage_bare_outs_start)
afterimage_bare_outs_end:
    .popsection
    "#,
    LOAD = const LOAD_ADDRESS,
    TABLES = const TABLES,
    PAGE_TABLE = const PAGE_TABLE,
    PAGES = const PAGES,
    PAGES_BYTES = const PAGES_BYTES,
    LAST_FRAME = const LAST_FRAME,
    TEXT = const TEXT,
    TEXT_BYTES = const TEXT_BYTES,
    FACTOR = const FACTOR as i32,
    PASSED = const PASSED,
    options(att_syntax),
);
