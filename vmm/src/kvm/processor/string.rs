//! `rep outsb`: KVM leaves the guest for each byte; the rest of a page is put out at one of these exits.
//!
//! Invariant: bytes are put out here only where the processor is at the instruction, at privilege level 0, and only from
//! the page whose byte before KVM has loaded with all its checks. The guest is entered between two pages, so its interrupts
//! come, and for what the device does not take. Whatever is not plain (prefixes, 16-bit code, downwards, single steps) is
//! KVM's alone. Sources: Intel SDM vol. 2, OUTS and REP; arch/x86/kvm/emulate.c: RSI and RCX say what is left at each exit.

use kvm_bindings::{kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::memory::PhysicalMemory;

use super::Access;
use crate::kvm::registers::Registers;

const CR0_PE: u64 = 1 << 0;
const EFER_LMA: u64 = 1 << 10;
/// RFLAGS: single steps, downwards, virtual 8086 mode.
const TF: u64 = 1 << 8;
const DF: u64 = 1 << 10;
const VM: u64 = 1 << 17;
const PAGE_BYTES: usize = 4096;
const REP_OUTSB: [u8; 2] = [0xf3, 0x6e];
/// Segment types: code; of a data segment that it grows downwards, of a code segment that it can be read.
const CODE: u8 = 1 << 3;
const DOWN: u8 = 1 << 2;
const READABLE: u8 = 1 << 1;

/// The exits in a row that are a byte for one port: whether looking for the instruction pays.
#[derive(Default, Debug)]
pub(super) struct Strings {
    port: u16,
    exits: u32,
    /// How many it takes to look again.
    due: u32,
}

impl Strings {
    /// A driver that looks at the line status between two bytes never has so many.
    const FEW: u32 = 16;
    /// Between two looks at most.
    const MANY: u32 = 1024;

    /// An exit for a byte for `port`, or for something else: puts out what is left of a string, if it is one.
    pub(super) fn follow(
        &mut self,
        byte_for: Option<u16>,
        fd: &VcpuFd,
        memory: &PhysicalMemory,
        serve: &mut impl FnMut(Access<'_>),
    ) {
        let Some(port) = byte_for else { return *self = Self::default() };
        if port != self.port || self.exits == 0 {
            *self = Self { port, exits: 0, due: Self::FEW };
        }
        self.exits = self.exits.saturating_add(1);
        if self.exits >= self.due {
            let went_on = put_out(port, fd, memory, serve).is_some();
            self.due = if went_on { 0 } else { self.exits.saturating_add(self.exits.min(Self::MANY)) };
        }
    }
}

/// Puts out what is left in the page; nothing where this is no such instruction, or the device takes none.
fn put_out(
    port: u16,
    fd: &VcpuFd,
    memory: &PhysicalMemory,
    serve: &mut impl FnMut(Access<'_>),
) -> Option<()> {
    let registers = Registers::of(fd).ok()?;
    let width = Width::of(&registers)?;
    let mut code = [0; 2];
    load(fd, memory, width.code(&registers), &mut code)?;
    let rest = Rest::of(&registers, width, code, port)?;
    if rest.len_bytes == 0 {
        return Some(());
    }
    let mut page = [0; PAGE_BYTES];
    let bytes = &mut page[..rest.len_bytes];
    load(fd, memory, rest.linear, bytes)?;
    let mut taken = 0;
    serve(Access::OutString { port, bytes, taken: &mut taken });
    let taken = (taken > 0).then_some(taken as u64)?;
    fd.set_regs(&width.after(&registers.general, taken)).ok()
}

/// Loads bytes of one page from a linear address.
fn load(fd: &VcpuFd, memory: &PhysicalMemory, linear: u64, bytes: &mut [u8]) -> Option<()> {
    let is_in_page = linear % PAGE_SIZE + bytes.len() as u64 <= PAGE_SIZE;
    let translated =
        fd.translate_gva(linear).ok().filter(|translated| is_in_page && translated.valid != 0)?;
    memory.try_read_bytes(PhysAddr(translated.physical_address), bytes).then_some(())
}

/// Of code, and so of RSI, RCX and linear addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Width {
    Bits32,
    Bits64,
}

impl Width {
    /// None in 16-bit code.
    fn of(Registers { general, special }: &Registers) -> Option<Self> {
        let is_long = special.efer & EFER_LMA != 0 && special.cs.l != 0;
        let is_32_bit = special.cr0 & CR0_PE != 0 && general.rflags & VM == 0 && special.cs.db != 0;
        if is_long { Some(Self::Bits64) } else { is_32_bit.then_some(Self::Bits32) }
    }

    const fn mask(self) -> u64 {
        match self {
            Self::Bits32 => 0xffff_ffff,
            Self::Bits64 => u64::MAX,
        }
    }

    const fn linear(self, segment: &kvm_segment, offset: u64) -> u64 {
        match self {
            Self::Bits32 => segment.base.wrapping_add(offset) & self.mask(),
            Self::Bits64 => offset,
        }
    }

    const fn code(self, Registers { general, special }: &Registers) -> u64 {
        self.linear(&special.cs, general.rip & self.mask())
    }

    /// The registers when `taken` bytes more were put out.
    const fn after(self, before: &kvm_regs, taken: u64) -> kvm_regs {
        let mut after = *before;
        after.rsi = before.rsi.wrapping_add(taken) & self.mask();
        after.rcx = before.rcx.wrapping_sub(taken) & self.mask();
        after
    }
}

/// What the instruction has left in a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rest {
    linear: u64,
    len_bytes: usize,
}

impl Rest {
    /// None where the instruction is KVM's alone; no bytes at the beginning of a page.
    fn of(registers: &Registers, width: Width, code: [u8; 2], port: u16) -> Option<Self> {
        let Registers { general, special } = registers;
        let is_plain = code == REP_OUTSB
            && general.rdx & 0xffff == u64::from(port)
            && general.rflags & (TF | DF) == 0
            && special.ss.dpl == 0;
        let offset = general.rsi & width.mask();
        let in_segment = match width {
            Width::Bits32 => bytes_from(&special.ds, offset)?,
            Width::Bits64 => u64::MAX,
        };
        let linear = width.linear(&special.ds, offset);
        let in_page = match linear % PAGE_SIZE {
            0 => 0,
            begun => PAGE_SIZE - begun,
        };
        let left = (general.rcx & width.mask()).min(in_segment).min(in_page);
        is_plain.then_some(Self { linear, len_bytes: usize::try_from(left).ok()? })
    }
}

/// How many bytes can be loaded from `offset` to the limit of `segment`; none if it grows downwards or cannot be read.
fn bytes_from(segment: &kvm_segment, offset: u64) -> Option<u64> {
    let is_readable = match segment.type_ & CODE {
        0 => segment.type_ & DOWN == 0,
        _ => segment.type_ & READABLE != 0,
    };
    let is_there = segment.present != 0 && segment.unusable == 0 && segment.s != 0;
    (u64::from(segment.limit) + 1).checked_sub(offset).filter(|_| is_there && is_readable)
}

#[cfg(test)]
mod tests;
