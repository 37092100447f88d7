//! The CPL0 part of every guest: page fault, kick, hypercall, and a report of anything else.
//!
//! Invariant: all handlers stand behind interrupt gates, so one runs to its `iretq` without another in between,
//! and none returns to CPL3 while a zap that was requested before it looked is unapplied. Every register comes
//! back as it was. A leaf entry of the shadow window that is in use is written here and nowhere else, followed by
//! `invlpg`: a KVM that shadows guest page tables does not see the host's stores to it.
//!
//! The stack is the end of the vCPU's own frame, so the mailbox lies at a fixed distance from RSP and needs no
//! register. Instructions count here (about 200 ns each where CPL0 is emulated), hence no common prologue.
#![expect(unsafe_code, reason = "the stub is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;
use crate::layout::{self, frame, hypercall, port, vector};

/// The stub's image.
#[must_use]
pub fn code() -> &'static [u8] {
    image!(afterimage_stub_start, afterimage_stub_end)
}

/// The offset of the handler of `vector` in the image, in bytes; vectors without a handler of their own are
/// reported as unexpected.
#[must_use]
pub fn handler(vector: u8) -> u64 {
    let slot = match vector {
        vector::KICK => SLOT_KICK,
        exception if exception < vector::EXCEPTIONS => usize::from(exception),
        _ => SLOT_SPURIOUS,
    };
    let bytes = code().get(4 * slot..4 * slot + 4).and_then(|bytes| bytes.try_into().ok());
    u64::from(u32::from_le_bytes(bytes.unwrap_or_default()))
}

const SLOT_KICK: usize = 32;
const SLOT_SPURIOUS: usize = 33;

// In the text, `depth` is the number of bytes on the stack: RSP + (offset - STACK_TOP + depth) is the mailbox.
global_asm!(
    r#"
    .pushsection .rodata.afterimage_stub, "a", @progbits
    .balign 16
    .globl afterimage_stub_start
    .globl afterimage_stub_end

    .macro afterimage_exception_slot number
        .long .Lafterimage_exception_\number - afterimage_stub_start
    .endm

    // An entry for one unexpected vector: the CPU pushes an error code for some, zero stands in for the rest.
    .macro afterimage_exception number
    .Lafterimage_exception_\number:
        .ifeq ((\number - 8) * (\number - 10) * (\number - 11) * (\number - 12) * (\number - 13) * (\number - 17) * (\number - 21) * (\number - 29) * (\number - 30))
        .else
        push 0
        .endif
        push \number
        jmp .Lafterimage_unexpected
    .endm

    // RAX is free. Applies what was requested by now; the usual case costs three instructions.
    .macro afterimage_apply_zaps depth
        mov rax, [rsp + {ZAP_REQUEST} - {STACK_TOP} + \depth]
        cmp rax, [rsp + {ZAP_ACK} - {STACK_TOP} + \depth]
        je .Lafterimage_zapped_\@
        call .Lafterimage_apply_zaps
    .Lafterimage_zapped_\@:
    .endm

afterimage_stub_start:
    .altmacro
    .set .Lafterimage_number, 0
    .rept 32
        .if .Lafterimage_number == {PAGE_FAULT_VECTOR}
        .long .Lafterimage_page_fault - afterimage_stub_start
        .elseif .Lafterimage_number == {INVALID_OPCODE_VECTOR}
        .long .Lafterimage_hypercall - afterimage_stub_start
        .else
        afterimage_exception_slot %.Lafterimage_number
        .endif
        .set .Lafterimage_number, .Lafterimage_number + 1
    .endr
    .noaltmacro
    .long .Lafterimage_kick - afterimage_stub_start
    .long .Lafterimage_exception_255 - afterimage_stub_start

    .balign 16
.Lafterimage_page_fault:
    push rax
    mov rax, cr2
    mov [rsp + {CR2} - {STACK_TOP} + 56], rax
    out {PAGE_FAULT_PORT}, al
    // Taking the answer is one atomic step: a zap that comes before it revokes the answer, one that comes after it
    // waits until the answer's place is empty.
    push rcx
    mov ecx, {ANSWER_TAKEN}
    xchg [rsp + {ANSWER_ENTRY} - {STACK_TOP} + 64], rcx
    test rcx, rcx
    jz 2f
    mov rax, [rsp + {ANSWER_VALUE} - {STACK_TOP} + 64]
    mov [rcx], rax
    mov rax, [rsp + {ANSWER_ADDRESS} - {STACK_TOP} + 64]
    invlpg [rax]
2:
    mov qword ptr [rsp + {ANSWER_ENTRY} - {STACK_TOP} + 64], 0
    pop rcx
    afterimage_apply_zaps 56
    pop rax
    add rsp, 8
    iretq

    .balign 16
.Lafterimage_kick:
    push rax
    afterimage_apply_zaps 48
    mov dword ptr [{APIC_EOI}], 0
    pop rax
    iretq

    // From CPL0, #UD is a fault of the stub itself.
    .balign 16
.Lafterimage_hypercall:
    test byte ptr [rsp + 8], 3
    jz .Lafterimage_exception_{INVALID_OPCODE_VECTOR}
    mov [rsp + {HYPERCALL_NUMBER} - {STACK_TOP} + 40], rax
    mov [rsp + {HYPERCALL_ARGUMENT} - {STACK_TOP} + 40], r8
    out {HYPERCALL_PORT}, al
    add qword ptr [rsp], {HYPERCALL_BYTES}
    push rax
    afterimage_apply_zaps 48
    pop rax
    iretq

    // RAX is the request to acknowledge and stays. The summary goes before its words and a word before its
    // entries: whoever sets a bit after we took it sets the summary after that, and finds us in the next round.
    .balign 16
.Lafterimage_apply_zaps:
    push rcx
    push rdx
    push rbx
    push rsi
    push rdi
    mov rdi, rsp
    and rdi, -4096
    xor ecx, ecx
    xchg [rdi + {ZAP_SUMMARY}], rcx
3:
    bsf rdx, rcx
    jz 5f
    btr rcx, rdx
    xor ebx, ebx
    xchg [rdi + {ZAP_BITS} + rdx * 8], rbx
    shl edx, 6
4:
    bsf rsi, rbx
    jz 3b
    btr rbx, rsi
    add esi, edx
    push rbx
    mov rbx, [rdi + {LEAF_TABLE}]
    mov qword ptr [rbx + rsi * 8], 0
    pop rbx
    shl esi, 12
    invlpg [rsi + {AREA_VA}]
    jmp 4b
5:
    mov [rdi + {ZAP_ACK}], rax
    pop rdi
    pop rsi
    pop rbx
    pop rdx
    pop rcx
    ret

    // On the stack: vector, error code, RIP. May come from CPL0 too, so the mailbox is found by rounding RSP.
    .balign 16
.Lafterimage_unexpected:
    push rax
    push rdi
    mov rdi, rsp
    and rdi, -4096
    mov rax, [rsp + 16]
    mov [rdi + {VECTOR}], rax
    mov rax, [rsp + 24]
    mov [rdi + {ERROR_CODE}], rax
    mov rax, [rsp + 32]
    mov [rdi + {RIP}], rax
    mov rax, cr2
    mov [rdi + {CR2}], rax
    mov rax, [rsp + 8]
    mov rdi, [rsp]
6:
    out {EXCEPTION_PORT}, al
    jmp 6b

    .altmacro
    .set .Lafterimage_number, 0
    .rept 32
        .if .Lafterimage_number != {PAGE_FAULT_VECTOR}
        afterimage_exception %.Lafterimage_number
        .endif
        .set .Lafterimage_number, .Lafterimage_number + 1
    .endr
    .noaltmacro
    afterimage_exception 255
afterimage_stub_end:
    .purgem afterimage_exception_slot
    .purgem afterimage_exception
    .purgem afterimage_apply_zaps
    .popsection
    "#,
    PAGE_FAULT_VECTOR = const vector::PAGE_FAULT,
    INVALID_OPCODE_VECTOR = const vector::INVALID_OPCODE,
    HYPERCALL_BYTES = const hypercall::INSTRUCTION_BYTES,
    PAGE_FAULT_PORT = const port::PAGE_FAULT,
    HYPERCALL_PORT = const port::HYPERCALL,
    EXCEPTION_PORT = const port::EXCEPTION,
    APIC_EOI = const layout::APIC_VA + 0xb0,
    AREA_VA = const layout::AREA_VA,
    STACK_TOP = const frame::STACK_TOP,
    CR2 = const frame::CR2,
    VECTOR = const frame::VECTOR,
    ERROR_CODE = const frame::ERROR_CODE,
    RIP = const frame::RIP,
    HYPERCALL_NUMBER = const frame::HYPERCALL_NUMBER,
    HYPERCALL_ARGUMENT = const frame::HYPERCALL_ARGUMENT,
    ANSWER_ENTRY = const frame::ANSWER_ENTRY,
    ANSWER_TAKEN = const frame::ANSWER_TAKEN,
    ANSWER_VALUE = const frame::ANSWER_VALUE,
    ANSWER_ADDRESS = const frame::ANSWER_ADDRESS,
    LEAF_TABLE = const frame::LEAF_TABLE,
    ZAP_REQUEST = const frame::ZAP_REQUEST,
    ZAP_SUMMARY = const frame::ZAP_SUMMARY,
    ZAP_BITS = const frame::ZAP_BITS,
    ZAP_ACK = const frame::ZAP_ACK,
);

#[cfg(test)]
mod tests;
