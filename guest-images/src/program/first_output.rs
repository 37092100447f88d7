//! `first-output`: the shortest program with a visible effect, for measuring how fast a guest starts.
//!
//! Invariant: its first hypercall puts out [`BYTE`], its second says that it stopped.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;
use crate::layout::hypercall;

/// What it puts out.
const BYTE: u64 = b'A' as u64;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_first_output_start, afterimage_first_output_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_first_output, "a", @progbits
    .balign 16
    .globl afterimage_first_output_start
    .globl afterimage_first_output_end
afterimage_first_output_start:
    mov eax, {OUTPUT}
    mov r8d, {BYTE}
    ud2
2:
    mov eax, {STOPPED}
    ud2
    jmp 2b
afterimage_first_output_end:
    .popsection
    "#,
    OUTPUT = const hypercall::OUTPUT,
    STOPPED = const hypercall::STOPPED,
    BYTE = const BYTE,
);
