//! `player`: takes one access at a time from its mailbox, executes it and answers.
//!
//! Invariant: the count of answers is stored behind everything that the access did, so a host that reads it sees a store of
//! the access, too. Between being asked and answering it leaves the guest for a fault alone; a host that refuses the access
//! goes on at [`REFUSED_AT`](player::REFUSED_AT) instead of repeating it.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;
use crate::layout::{hypercall, player};

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_player_start, afterimage_player_end)
}

// R12 answers, R13 looks left before the CPU is offered to others, R14 the value, RBX the address.
global_asm!(
    r#"
    .pushsection .rodata.afterimage_player, "a", @progbits
    .balign 16
    .globl afterimage_player_start
    .globl afterimage_player_end
afterimage_player_start:
    xor r12d, r12d
    jmp .Lafterimage_player_idle
    .org afterimage_player_start + {REFUSED_AT}
    mov qword ptr [rdx + {OUTCOME}], {REFUSED}
    jmp .Lafterimage_player_answer

.Lafterimage_player_done:
    mov qword ptr [rdx + {OUTCOME}], {DONE}
.Lafterimage_player_answer:
    inc r12
    mov [rdx + {ANSWERED}], r12
.Lafterimage_player_idle:
    mov r13d, {PATIENCE}
2:
    cmp [rdx + {ASKED}], r12
    jne 3f
    pause
    dec r13d
    jnz 2b
    mov eax, {YIELD}
    ud2
    jmp .Lafterimage_player_idle
3:
    mov rax, [rdx + {DEED}]
    mov rbx, [rdx + {ADDRESS}]
    cmp rax, {LOAD}
    je 4f
    cmp rax, {STORE}
    jne .Lafterimage_player_done
    mov r14, [rdx + {VALUE}]
    mov [rbx], r14
    jmp .Lafterimage_player_done
4:
    mov r14, [rbx]
    mov [rdx + {VALUE}], r14
    jmp .Lafterimage_player_done
afterimage_player_end:
    .popsection
    "#,
    REFUSED_AT = const player::REFUSED_AT,
    PATIENCE = const player::PATIENCE,
    ASKED = const player::ASKED,
    DEED = const player::DEED,
    ADDRESS = const player::ADDRESS,
    VALUE = const player::VALUE,
    ANSWERED = const player::ANSWERED,
    OUTCOME = const player::OUTCOME,
    LOAD = const player::LOAD,
    STORE = const player::STORE,
    DONE = const player::DONE,
    REFUSED = const player::REFUSED,
    YIELD = const hypercall::YIELD,
);
