//! From the boot loader's 32-bit mode to 64-bit code at CPL3, and back from there only for interrupts and exceptions.
//!
//! Invariant: CPL0 runs the few instructions in this file and nothing else: a KVM without hardware virtualization
//! emulates each of them. Memory is mapped as it lies, all of it for the program too, so whatever can be prepared at
//! CPL3 is. SSE is on, because the compiler uses it. Sources: Multiboot Specification 0.6.96; Intel SDM vol. 3, 3.4.5
//! (segments), 5.8 (pages), 6.14 (64-bit interrupts), 7.7 (task segment), 9.8.5 (long mode).
#![expect(unsafe_code, reason = "assembler, and symbols that it and the linker share with Rust")]

use core::arch::global_asm;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::console::say;
use crate::ending;
use crate::id::Vector;
use crate::interrupts::{self, COUNTS, GATES, KERNEL_CODE};
use crate::memory::Memory;

/// Segment selectors, as the table in the assembler has them.
const USER_CODE: u64 = 0x10 | 3;
const USER_DATA: u64 = 0x18 | 3;
const TASK: u64 = 0x20;
/// RFLAGS of the program: the bit that is always 1, and IF. Ports are its own by the task segment's map, because not every
/// KVM keeps IOPL.
const PROGRAM_FLAGS: u64 = 0x202;
/// RFLAGS of whoever tells of an exception: as before, without IF.
const TRAP_FLAGS: u64 = 0x002;
const STACK_BYTES: usize = 0x1_0000;
const EXCEPTIONS: u64 = 32;
/// Bytes from one gate's stub to the next.
const STUB_BYTES: u64 = 16;

/// Where the boot loader's information lies.
static INFORMATION: AtomicU32 = AtomicU32::new(0);
/// Vector, error code, RIP and CR2 of an exception.
static TRAP: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
/// The task segment: RSP0 in its second and third word, the offset of the port map in the last one's upper half, and the
/// map, in which every port is allowed.
static TASK_SEGMENT: [AtomicU32; TASK_WORDS] = [const { AtomicU32::new(0) }; TASK_WORDS];
const PORT_MAP: u32 = 0x68;
const TASK_WORDS: usize = (PORT_MAP as usize + 0x1_0000 / 8) / 4 + 1;
const TASK_LIMIT: u16 = 0x68 + 0x2000;
/// The segment descriptors of [`KERNEL_CODE`] and so on; that of the task segment is filled in at run time.
static SEGMENTS: [AtomicU16; 24] = segments();

const fn segments() -> [AtomicU16; 24] {
    let words: [u16; 24] = [
        0, 0, 0, 0, // none
        0, 0, 0x9b00, 0x0020, // CPL0 code, 64 bits
        0, 0, 0xfb00, 0x0020, // CPL3 code, 64 bits
        0xffff, 0, 0xf300, 0x00cf, // CPL3 data
        TASK_LIMIT, 0, 0x8900, 0, // the task segment
        0, 0, 0, 0, // its upper half
    ];
    let mut table = [const { AtomicU16::new(0) }; 24];
    let mut at = 0;
    while at < words.len() {
        table[at] = AtomicU16::new(words[at]);
        at += 1;
    }
    table
}

unsafe extern "C" {
    /// The first of 256 stubs.
    fn guest_stubs();
    /// The first address behind the image, from the linker.
    static guest_end: u8;
}

/// The program's first instruction at CPL3.
extern "C" fn enter() -> ! {
    for vector in 0..=u8::MAX {
        interrupts::lead(Vector(vector), guest_stubs as *const () as u64 + u64::from(vector) * STUB_BYTES);
    }
    let end = (&raw const guest_end) as u64;
    let (memory, command_line) = Memory::begin(INFORMATION.load(Ordering::Relaxed).into(), end);
    crate::run(memory, &command_line)
}

/// Where an exception leads, at CPL3 again.
extern "C" fn trap() -> ! {
    let [vector, error, rip, cr2] = &TRAP;
    let value = |word: &AtomicU64| word.load(Ordering::Relaxed);
    say!(
        "FAILED exception {} (error {:#x}) at {:#x}, CR2 {:#x}",
        value(vector),
        value(error),
        value(rip),
        value(cr2)
    );
    ending::broken()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("FAILED {info}");
    ending::broken()
}

global_asm!(
    r#"
    .section .boot, "awx", @progbits
    .code32
    .balign 16
guest_header:
    .long 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
    .long guest_header, guest_image, guest_data_end, guest_end, guest_start
    .globl guest_start
guest_start:
    movl %ebx, {INFORMATION}
    movl ${TASK_SEGMENT}, %eax
    movw %ax, {SEGMENTS} + {TASK} + 2
    shrl $16, %eax
    movb %al, {SEGMENTS} + {TASK} + 4
    movb %ah, {SEGMENTS} + {TASK} + 7
    movl $guest_kernel_stack_end, {TASK_SEGMENT} + 4
    movw ${PORT_MAP}, {TASK_SEGMENT} + 0x66
    movb $0xff, {TASK_SEGMENT} + {TASK_LIMIT}
    lgdt guest_segments
    movl $guest_level_4, %eax
    movl %eax, %cr3
    movl $0x620, %eax                   # OSXMMEXCPT, OSFXSR, PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    movl $0x100, %eax                   # LME
    xorl %edx, %edx
    wrmsr
    movl $0x80010033, %eax              # PG, WP, NE, ET, MP, PE
    movl %eax, %cr0
    ljmp ${KERNEL_CODE}, $1f
    .code64
1:  movl ${TASK}, %eax
    ltr %ax
    lidt guest_gates
    movl $guest_kernel_stack_end, %esp
    pushq ${USER_DATA}
    pushq $guest_stack_end - 8
    pushq ${PROGRAM_FLAGS}
    pushq ${USER_CODE}
    pushq ${enter}
    iretq

guest_segments:
    .word 47
    .quad {SEGMENTS}
guest_gates:
    .word 4095
    .quad {GATES}

# An interrupt's stub leaves its vector and a zero, or the error code, on the stack.
    .balign 16
guest_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
    pushq $0
    .endif
    pushq $vector
    .if vector < {EXCEPTIONS}
    jmp guest_exception
    .else
    jmp guest_interrupt
    .endif
    .set vector, vector + 1
    .endr

guest_interrupt:
    pushq %rax
    movq 8(%rsp), %rax
    incq {COUNTS}(,%rax,8)
    movl $0xfee000b0, %eax              # end of interrupt
    movl $0, (%rax)
    popq %rax
    addq $16, %rsp
    iretq

guest_exception:
    popq {TRAP}
    popq {TRAP} + 8
    popq {TRAP} + 16
    movq %cr2, %rax
    movq %rax, {TRAP} + 24
    pushq ${USER_DATA}
    pushq $guest_stack_end - 8
    pushq ${TRAP_FLAGS}
    pushq ${USER_CODE}
    pushq ${trap}
    iretq

# The first 5 GiB as they lie: memory goes on at the fifth, if there is much, in pages of 2 MiB: present, writable, the program's, accessed, dirty, large.
    .section .data.guest_tables, "aw", @progbits
    .balign 4096
guest_level_4:
    .quad guest_level_3 + 0x27
    .fill 511, 8, 0
guest_level_3:
    .set number, 0
    .rept 5
    .quad guest_level_2 + number * 0x1000 + 0x27
    .set number, number + 1
    .endr
    .fill 507, 8, 0
    .globl guest_level_2
guest_level_2:
    .set number, 0
    .rept 2560
    .quad number * 0x200000 + 0xe7
    .set number, number + 1
    .endr

    .section .bss.guest_stacks, "aw", @nobits
    .balign 16
    .skip 4096
guest_kernel_stack_end:
    .skip {STACK_BYTES}
guest_stack_end:

# What the compiler calls.
    .section .text.guest_bytes, "ax", @progbits
    .globl memcpy
memcpy:
    movq %rdi, %rax
    movq %rdx, %rcx
    rep movsb
    ret
    .globl memmove
memmove:
    movq %rdi, %rax
    movq %rdx, %rcx
    movq %rdi, %r8
    subq %rsi, %r8
    cmpq %rdx, %r8
    jb 2f
    rep movsb
    ret
2:  leaq -1(%rdi,%rdx), %rdi
    leaq -1(%rsi,%rdx), %rsi
    std
    rep movsb
    cld
    ret
    .globl memset
memset:
    movq %rdi, %r8
    movl %esi, %eax
    movq %rdx, %rcx
    rep stosb
    movq %r8, %rax
    ret
    .globl memcmp
    .globl bcmp
memcmp:
bcmp:
    xorl %eax, %eax
    movq %rdx, %rcx
    testq %rcx, %rcx
    jz 3f
    repe cmpsb
    je 3f
    movzbl -1(%rdi), %ecx
    movzbl -1(%rsi), %eax
    subl %ecx, %eax
3:  ret
    "#,
    INFORMATION = sym INFORMATION,
    TASK_SEGMENT = sym TASK_SEGMENT,
    SEGMENTS = sym SEGMENTS,
    GATES = sym GATES,
    COUNTS = sym COUNTS,
    TRAP = sym TRAP,
    enter = sym enter,
    trap = sym trap,
    KERNEL_CODE = const KERNEL_CODE,
    USER_CODE = const USER_CODE,
    USER_DATA = const USER_DATA,
    TASK = const TASK,
    PORT_MAP = const PORT_MAP,
    TASK_LIMIT = const TASK_LIMIT,
    PROGRAM_FLAGS = const PROGRAM_FLAGS,
    TRAP_FLAGS = const TRAP_FLAGS,
    EXCEPTIONS = const EXCEPTIONS,
    STACK_BYTES = const STACK_BYTES,
    options(att_syntax),
);
