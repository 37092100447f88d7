//! `panic`: asks a pvpanic device what it understands, and says that it panicked.
#![expect(unsafe_code, reason = "the program is assembled by global_asm!")]

use std::arch::global_asm;

use crate::assembled::image;

pub(super) fn code() -> &'static [u8] {
    image!(afterimage_bare_panic_start, afterimage_bare_panic_end)
}

global_asm!(
    r#"
    .pushsection .rodata.afterimage_bare_panic, "a", @progbits
    .balign 16
    .globl afterimage_bare_panic_start
    .globl afterimage_bare_panic_end
    .code32
afterimage_bare_panic_start:
    .long 0x1badb002, 0, -0x1badb002
    movw $0x505, %dx
    inb %dx, %al
    cmpb $3, %al                        # panicked, crash loaded
    jne 1f
    decb %al
    outb %al, %dx                       # a crash kernel would go on: so does this
    decb %al
    outb %al, %dx
1:  xorl %eax, %eax
    movw $0xf4, %dx
    outl %eax, %dx
2:  hlt
    jmp 2b
afterimage_bare_panic_end:
    .code64
    .popsection
    "#,
    options(att_syntax),
);
