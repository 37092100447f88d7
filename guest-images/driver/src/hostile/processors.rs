//! Processors: some that break down, one against another, and code where no code is.
//!
//! Invariant: a program for another processor, or for CPL0, is copied to where it is started. Source: Intel SDM vol. 3, 9.4
//! (start-up), 11.6 (messages between processors).
#![expect(unsafe_code, reason = "programs of other modes are assembled by global_asm!")]

use core::arch::global_asm;
use core::hint::spin_loop;

use super::Hostile;
use super::raw::{jump, load32, store8, store32, trap};
use super::sign::Sign;
use crate::id::Vector;
use crate::interrupts;
use crate::memory::ABOVE;
use crate::pci::WINDOW;
use crate::unit;

const LOCAL: u64 = 0xfee0_0000;
const ICR: u64 = 0x300;
const OTHERS: u32 = 3 << 18;
const INIT: u32 = 0x4500;
const START: u32 = 0x4600;
/// The page where other processors start.
const PAGE: u64 = 8;
const PLACE: u64 = PAGE << 12;
/// In it, the registers that both processors use.
const SHARED: u64 = PLACE + 4;
/// And what the other one counts.
const COUNT: u64 = PLACE + 8;
const INVALID_OPCODE: Vector = Vector(6);
const PROTECTION: Vector = Vector(13);

/// A port behind which nobody is: the monitor tells of an access, wherever the program cannot say anything.
const BEACON: u8 = 0xed;

unsafe extern "C" {
    static guest_hostile_fault: u8;
    static guest_hostile_hammer: u8;
    static guest_hostile_halt: u8;
    static guest_hostile_calls: u8;
    static guest_hostile_registers: u8;
    static guest_hostile_end: u8;
}

/// Copies what lies at `program`, up to the end of all of them.
fn copy(program: *const u8, to: u64) {
    let (from, end) = (program as u64, (&raw const guest_hostile_end) as u64);
    for offset in 0..end - from {
        store8(to + offset, super::raw::load8(from + offset));
    }
}

fn start(program: *const u8) {
    copy(program, PLACE);
    for message in [INIT, START | PAGE as u32, START | PAGE as u32] {
        store32(LOCAL + ICR, OTHERS | message);
        (0..100_000).for_each(|_| spin_loop());
    }
}

/// Other processors break down.
pub(super) fn fault(guest: &mut Hostile) {
    if !guest.has_started {
        guest.has_started = true;
        start(&raw const guest_hostile_fault);
    }
}

/// Another processor writes to what this one writes to.
pub(super) fn against(guest: &mut Hostile) {
    if !guest.has_started {
        guest.has_started = true;
        store32(SHARED, WINDOW as u32);
        start(&raw const guest_hostile_hammer);
    }
    let engine = guest.engines[0].map_or(WINDOW, |function| function.bar());
    let base = guest.random.pick(&[WINDOW, unit::BASE, engine, 0xfec0_0000]);
    store32(SHARED, base as u32);
    for _ in 0..1000 {
        let offset = guest.random.below(0x400) * 4;
        store32(base + offset, guest.random.word());
        _ = load32(base + offset);
    }
    guest.engines.into_iter().flatten().for_each(crate::pci::Function::enable);
    guest.shows(Sign::Against, load32(COUNT) != 0);
}

/// Others are started and stopped while they start.
pub(super) fn restart(guest: &mut Hostile) {
    copy(&raw const guest_hostile_halt, PLACE);
    let message = guest.random.pick(&[INIT, START | PAGE as u32, 0x4400, 0x4040]);
    store32(LOCAL + ICR, OTHERS | message);
}

/// Code in devices, and where nothing is.
pub(super) fn elsewhere(guest: &mut Hostile) {
    jump(guest.random.pick(&[unit::BASE, WINDOW, 0xfec0_0000, 0xd000_0000, guest.end, 0xfff0_0000]));
}

/// Code that is not mapped.
pub(super) fn unmapped(guest: &mut Hostile) {
    jump(guest.random.pick(&[ABOVE.end, 1 << 46, u64::MAX << 20]));
}

/// No gate leads anywhere.
pub(super) fn gates(_: &mut Hostile) {
    (0..=u8::MAX).for_each(|vector| interrupts::lead(Vector(vector), 0));
    trap()
}

fn at_cpl0(guest: &mut Hostile, program: *const u8) -> ! {
    let to = guest.random.page();
    copy(program, to);
    interrupts::lead(INVALID_OPCODE, to);
    interrupts::lead(PROTECTION, to);
    trap()
}

/// Halts, and takes no interrupt.
pub(super) fn halt(guest: &mut Hostile) {
    at_cpl0(guest, &raw const guest_hostile_halt)
}

/// Asks the hypervisor for anything.
pub(super) fn calls(guest: &mut Hostile) {
    at_cpl0(guest, &raw const guest_hostile_calls)
}

/// Writes anything to the processor's registers.
pub(super) fn registers(guest: &mut Hostile) {
    at_cpl0(guest, &raw const guest_hostile_registers)
}

global_asm!(
    r#"
    .pushsection .rodata.guest_hostile, "a", @progbits
    .balign 16
    # From real to protected mode, where there are no gates, and an interrupt.
    .code16
guest_hostile_fault:
    cli
    lidt %cs:(1f - guest_hostile_fault)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    int3
1:  .word 0
    .long 0
    # In real mode with a segment of 4 GiB: writes whatever to what SHARED names, and to configuration space.
    .balign 16
guest_hostile_hammer:
    jmp 1f
    .balign 4
2:  .long 0
    .long 0                             # COUNT
3:  .word 15
    .long {PLACE} + 4f - guest_hostile_hammer
    .balign 8
4:  .quad 0, 0x00cf93000000ffff
1:  cli
    lgdtl %cs:(3b - guest_hostile_hammer)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $8, %bx
    movw %bx, %es
    andb $0xfe, %al
    movl %eax, %cr0
    movl $0x12345678, %edi
5:  movl %edi, %eax
    shll $13, %eax
    xorl %eax, %edi
    movl %edi, %eax
    shrl $17, %eax
    xorl %eax, %edi
    movl %edi, %eax
    shll $5, %eax
    xorl %eax, %edi
    movl %cs:(2b - guest_hostile_hammer), %esi
    movl %edi, %ebx
    andl $0xffc, %ebx
    movl %edi, %es:(%esi, %ebx)
    movl %es:(%esi, %ebx), %eax
    incl %es:{COUNT}
    movw $0xcf8, %dx
    movl %edi, %eax
    orl $0x80000000, %eax
    outl %eax, %dx
    movw $0xcfc, %dx
    inl %dx, %eax
    jmp 5b
    # The same bytes in every mode.
    .code64
    .balign 16
guest_hostile_halt:
    cli
    outb %al, ${BEACON}
    hlt
    jmp guest_hostile_halt
    .balign 16
guest_hostile_calls:
    outb %al, ${BEACON}
    movl $guest_stack_place, %esp
    rdtsc
    movl %eax, %ebx
    andl $0xf, %eax
    movl %ebx, %ecx
    movl %ebx, %edx
    .byte 0x0f, 0x01, 0xc1
    jmp guest_hostile_calls
    .balign 16
guest_hostile_registers:
    outb %al, ${BEACON}
    movl $guest_stack_place, %esp
    rdtsc
    movl %eax, %ecx
    andl $0x1fff, %ecx
    testl $0x4000, %eax
    jz 6f
    addl $0xc0000000, %ecx
6:  wrmsr
    jmp guest_hostile_registers
guest_hostile_end:
    .set guest_stack_place, 0x9000
    .popsection
    "#,
    PLACE = const PLACE,
    COUNT = const COUNT,
    BEACON = const BEACON,
    options(att_syntax),
);
