//! Descriptor tables of the guest: IDT, and for each vCPU a GDT and a TSS in its own frame.
//!
//! Invariant: every gate is an interrupt gate (IF cleared) to the stub at CPL0, and none is
//! open to `int n` of CPL3. RSP0 is the end of the vCPU's frame. Source: Intel SDM vol. 3, 3.4.5, 6.14.1, 7.7.

use guest_images::layout::{frame, selector};
use guest_images::stub;
use mmu::address::{PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;

/// Bytes of one 64-bit gate.
const GATE_BYTES: u64 = 16;
/// Present, 64-bit interrupt gate, as bits of the first word.
const INTERRUPT_GATE: u64 = 0x8e << 40;
/// Of CPL3, added to a segment.
const DPL_3: u64 = 3 << 45;
/// A 64-bit code segment of CPL0: present, accessed, readable, L.
const KERNEL_CODE: u64 = 0x00af_9b00_0000_ffff;
/// A data segment of CPL0: present, accessed, writable.
const KERNEL_DATA: u64 = 0x00cf_9300_0000_ffff;
/// A busy 64-bit TSS, present.
const BUSY_TSS: u64 = 0x8b << 40;
/// Where RSP0 stands in a TSS; not 8-byte aligned there.
const TSS_RSP0: u64 = 4;
/// Where a TSS says how far its I/O bitmap is; at the end means there is none.
const TSS_IO_BITMAP: u64 = 102;

/// Fills the IDT at `idt` with gates to the stub, which the guest sees at `stub_at`.
pub(super) fn write_idt(memory: &PhysicalMemory, idt: PhysAddr, stub_at: VirtAddr) {
    for number in 0..=u8::MAX {
        let [low, high] = gate(stub_at.offset(stub::handler(number)));
        let at = idt.offset(GATE_BYTES * u64::from(number));
        memory.store(at, low);
        memory.store(at.offset(8), high);
    }
}

fn gate(handler: VirtAddr) -> [u64; 2] {
    let offset_low = (handler.0 & 0xffff) | ((handler.0 & 0xffff_0000) << 32);
    [offset_low | u64::from(selector::KERNEL_CODE) << 16 | INTERRUPT_GATE, handler.0 >> 32]
}

/// Fills GDT and TSS in a vCPU's frame, which the guest sees at `seen_at`.
pub(super) fn write_gdt_and_tss(memory: &PhysicalMemory, vcpu_frame: PhysAddr, seen_at: VirtAddr) {
    let tss = vcpu_frame.offset(frame::TASK_SEGMENT);
    memory.write_bytes(tss.offset(TSS_RSP0), &seen_at.offset(frame::STACK_TOP).0.to_le_bytes());
    memory.write_bytes(tss.offset(TSS_IO_BITMAP), &frame::TASK_SEGMENT_BYTES.to_le_bytes());
    let [tss_low, tss_high] = tss_descriptor(seen_at.offset(frame::TASK_SEGMENT));
    let gdt = [0, KERNEL_CODE, KERNEL_DATA, KERNEL_DATA | DPL_3, KERNEL_CODE | DPL_3, tss_low, tss_high];
    for (slot, descriptor) in (0..).zip(gdt) {
        memory.store(vcpu_frame.offset(frame::GDT + 8 * slot), descriptor);
    }
}

fn tss_descriptor(base: VirtAddr) -> [u64; 2] {
    let limit = u64::from(frame::TASK_SEGMENT_BYTES) - 1;
    let base_low = (base.0 & 0x00ff_ffff) << 16 | (base.0 & 0xff00_0000) << 32;
    [limit | base_low | BUSY_TSS, base.0 >> 32]
}
