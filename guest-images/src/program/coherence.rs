//! `coherence`: every vCPU reads the shared pages of the shadow window and holds each value against what was
//! published before the read; whose turn it is also writes the next value.
//!
//! Invariant: the published value is loaded before the page (x86 keeps loads in order), so a page that reads
//! *less* is stale: the newer value was there before this read began. A writer stores the page first and
//! publishes after it (stores stay in order too); [`PUBLISH_EARLY`](control::PUBLISH_EARLY) turns the two
//! around, and then readers must report: the positive control.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;
use crate::layout::{coherence_stats as stats, control, hypercall};

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_coherence_start, afterimage_coherence_end)
}

// R9 page number, R10 page count, R11 its control slot, RBX its page, R12 accesses, R13 published before the
// read, R14 value read, R15 poison, RBP accesses at the last yield. RAX and R8 are for hypercalls and scratch.
global_asm!(
    r#"
    .pushsection .rodata.afterimage_coherence, "a", @progbits
    .balign 16
    .globl afterimage_coherence_start
    .globl afterimage_coherence_end
afterimage_coherence_start:
    xor r12d, r12d
    xor ebp, ebp
    movabs r15, {POISON}

.Lafterimage_coherence_round:
    cmp qword ptr [rdi + {STOP}], 0
    jne .Lafterimage_coherence_stopped
    mov rax, [rdi + {YIELD_EVERY}]
    test rax, rax
    jnz .Lafterimage_coherence_consider_yield
.Lafterimage_coherence_pages:
    mov r10, [rdi + {PAGE_COUNT}]
    xor r9d, r9d
    mov r11, rdi
    mov rbx, rsi
    jmp 3f

    .balign 16, 0x90
2:
    mov r13, [r11 + {PUBLISHED}]
    mov r14, [rbx]
    inc r12
    mov [rdx + {ACCESSES}], r12
    cmp r14, r13
    jb .Lafterimage_coherence_stale
    cmp r14, r15
    je .Lafterimage_coherence_freed
.Lafterimage_coherence_checked:
    cmp [r11 + {TURN}], rcx
    je .Lafterimage_coherence_write
.Lafterimage_coherence_next:
    add r11, {SLOT_BYTES}
    add rbx, 4096
    inc r9
3:
    cmp r9, r10
    jb 2b
    jmp .Lafterimage_coherence_round

.Lafterimage_coherence_write:
    mov rax, [r11 + {DELAY}]
    test rax, rax
    jz 5f
4:
    pause
    dec rax
    jnz 4b
5:
    mov r8, [r11 + {PUBLISHED}]
    inc r8
    cmp qword ptr [rdi + {PUBLISH_EARLY}], 0
    jne 6f
    mov [rbx], r8
    mov [r11 + {PUBLISHED}], r8
    jmp 7f
6:
    mov [r11 + {PUBLISHED}], r8
    mov [rbx], r8
7:
    mov qword ptr [r11 + {TURN}], 0
    inc qword ptr [rdx + {WRITES}]
    jmp .Lafterimage_coherence_next

.Lafterimage_coherence_freed:
    inc qword ptr [rdx + {FREED_USES}]
    mov eax, {KIND_FREED}
    jmp 8f
    // The poison is a large number, but a published value may have passed it: freed goes before stale.
.Lafterimage_coherence_stale:
    cmp r14, r15
    je .Lafterimage_coherence_freed
    inc qword ptr [rdx + {STALE}]
    mov eax, {KIND_STALE}
8:
    cmp qword ptr [rdx + {FIRST_KIND}], 0
    jne .Lafterimage_coherence_checked
    mov [rdx + {FIRST_PAGE}], r9
    mov [rdx + {FIRST_VALUE}], r14
    mov [rdx + {FIRST_PUBLISHED}], r13
    mov [rdx + {FIRST_KIND}], rax
    mov eax, {FIRST_VIOLATION}
    mov r8, r9
    ud2
    jmp .Lafterimage_coherence_checked

.Lafterimage_coherence_consider_yield:
    mov r8, r12
    sub r8, rbp
    cmp r8, rax
    jb .Lafterimage_coherence_pages
    mov rbp, r12
    mov eax, {YIELD}
    ud2
    jmp .Lafterimage_coherence_pages

.Lafterimage_coherence_stopped:
    mov eax, {STOPPED}
    ud2
    jmp .Lafterimage_coherence_stopped
afterimage_coherence_end:
    .popsection
    "#,
    POISON = const stats::POISON,
    ACCESSES = const stats::ACCESSES,
    STALE = const stats::STALE,
    FREED_USES = const stats::FREED_USES,
    WRITES = const stats::WRITES,
    FIRST_PAGE = const stats::FIRST_PAGE,
    FIRST_VALUE = const stats::FIRST_VALUE,
    FIRST_PUBLISHED = const stats::FIRST_PUBLISHED,
    FIRST_KIND = const stats::FIRST_KIND,
    KIND_STALE = const stats::KIND_STALE,
    KIND_FREED = const stats::KIND_FREED,
    SLOT_BYTES = const control::SLOT_BYTES,
    PUBLISHED = const control::PUBLISHED,
    TURN = const control::TURN,
    DELAY = const control::DELAY,
    STOP = const control::STOP,
    PUBLISH_EARLY = const control::PUBLISH_EARLY,
    YIELD_EVERY = const control::YIELD_EVERY,
    PAGE_COUNT = const control::PAGE_COUNT,
    STOPPED = const hypercall::STOPPED,
    FIRST_VIOLATION = const hypercall::FIRST_VIOLATION,
    YIELD = const hypercall::YIELD,
);
