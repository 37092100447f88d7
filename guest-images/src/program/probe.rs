//! `probe`: reads the first word of the shadow window again and again and tells what it saw.
//!
//! Invariant: the statistics hold the last value before the count that includes it, so a host that reads the count
//! first sees a value at least that new. A change between two reads is counted, so none is missed.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;
use crate::layout::{control, hypercall, probe_stats};

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_probe_start, afterimage_probe_end)
}

// R12 reads, R13 the value before, R14 changes.
global_asm!(
    r#"
    .pushsection .rodata.afterimage_probe, "a", @progbits
    .balign 16
    .globl afterimage_probe_start
    .globl afterimage_probe_end
afterimage_probe_start:
    xor r12d, r12d
    xor r14d, r14d
    mov r13, [rsi]
    .balign 16, 0x90
2:
    mov rax, [rsi]
    cmp rax, r13
    jne 4f
3:
    inc r12
    mov [rdx + {LAST_VALUE}], rax
    mov [rdx + {READS}], r12
    cmp qword ptr [rdi + {STOP}], 0
    je 2b
5:
    mov eax, {STOPPED}
    ud2
    jmp 5b
4:
    inc r14
    mov r13, rax
    mov [rdx + {CHANGES}], r14
    jmp 3b
afterimage_probe_end:
    .popsection
    "#,
    LAST_VALUE = const probe_stats::LAST_VALUE,
    READS = const probe_stats::READS,
    CHANGES = const probe_stats::CHANGES,
    STOP = const control::STOP,
    STOPPED = const hypercall::STOPPED,
);
