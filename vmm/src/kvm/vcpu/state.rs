//! A vCPU's first state: long mode, CPL3, the program's first instruction.
//!
//! Invariant: the guest never runs in another mode, so neither real-mode memory nor boot code nor a CPUID is
//! needed. Source: Intel SDM vol. 3, 3.4.5 (segments), 4.5 (paging), 11.4 (local APIC).

use guest_images::layout::{APIC_PHYSICAL, AREA_VA, CODE_VA, CONTROL_VA, frame, selector, stats_va, vector};
use kvm_bindings::{
    CpuId, KVM_MP_STATE_RUNNABLE, Msrs, kvm_cpuid_entry2, kvm_dtable, kvm_lapic_state, kvm_mp_state,
    kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs,
};
use kvm_ioctls::{Error, SyncReg, VcpuFd};
use mmu::memory::MAX_MEMORY_BYTES;

use crate::kvm::{GuestSpace, VcpuId, guest};

const CR0_PE: u64 = 1 << 0;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;
const CR4_OSFXSR: u64 = 1 << 9;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const EFER_NX: u64 = 1 << 11;
/// RFLAGS: IF and the bit that is always 1.
const FLAGS_INTERRUPTIBLE: u64 = 0x202;
const APIC_BASE_BOOT: u64 = 1 << 8;
const APIC_BASE_ENABLE: u64 = 1 << 11;
/// The local APIC's registers: its id, destination format, spurious interrupt, and the local vector table.
const APIC_ID: usize = 0x20;
const APIC_FLAT_MODEL: usize = 0xe0;
const APIC_SPURIOUS: usize = 0xf0;
const APIC_LOCAL_VECTORS: [usize; 6] = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370];
const APIC_MASKED: u32 = 1 << 16;
/// In the spurious-interrupt register.
const APIC_SOFTWARE_ENABLE: u32 = 1 << 8;
/// KVM's steal-time register; bit 0 of its value enables it.
const MSR_KVM_STEAL_TIME: u32 = 0x4b56_4d03;

/// 256 gates of 16 bytes.
const IDT_BYTES: u16 = 256 * 16;
/// Physical address bits of a vCPU that was given no CPUID.
const DEFAULT_ADDRESS_BITS: u32 = 36;
/// Physical address bits that [`cpuid`] describes: enough for the largest physical memory.
const ADDRESS_BITS: u32 = MAX_MEMORY_BYTES.trailing_zeros();

/// An ioctl that failed, by name.
type Failed = (&'static str, Error);

/// Puts the vCPU at the first instruction of the program in `space`. The registers wait in `kvm_run` and KVM takes
/// them with the first KVM_RUN: two ioctls less.
pub(super) fn initialize(
    fd: &mut VcpuFd,
    space: &GuestSpace,
    id: VcpuId,
    memory_bytes: u64,
) -> Result<(), Failed> {
    if memory_bytes > 1 << DEFAULT_ADDRESS_BITS {
        fd.set_cpuid2(&cpuid()).map_err(|error| ("KVM_SET_CPUID2", error))?;
    }
    enable_local_apic(fd, id)?;
    report_preemption(fd, space, id);
    if id != VcpuId::FIRST {
        let runnable = kvm_mp_state { mp_state: KVM_MP_STATE_RUNNABLE };
        fd.set_mp_state(runnable).map_err(|error| ("KVM_SET_MP_STATE", error))?;
    }
    let state = fd.sync_regs_mut();
    state.regs = registers(id);
    state.sregs = special_registers(space, id);
    fd.set_sync_dirty_reg(SyncReg::Register);
    fd.set_sync_dirty_reg(SyncReg::SystemRegister);
    Ok(())
}

fn registers(id: VcpuId) -> kvm_regs {
    kvm_regs {
        rip: CODE_VA,
        rflags: FLAGS_INTERRUPTIBLE,
        rdi: CONTROL_VA,
        rsi: AREA_VA,
        rdx: stats_va(id.index() as u64),
        rcx: id.user_id(),
        ..Default::default()
    }
}

fn special_registers(space: &GuestSpace, id: VcpuId) -> kvm_sregs {
    let own = guest::direct(space.mailbox(id));
    let data = segment(selector::USER_DATA, DATA);
    let boot = if id == VcpuId::FIRST { APIC_BASE_BOOT } else { 0 };
    kvm_sregs {
        cs: segment(selector::USER_CODE, CODE),
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: task_segment(own.0 + frame::TASK_SEGMENT),
        ldt: kvm_segment { unusable: 1, type_: 2, present: 1, ..Default::default() },
        gdt: table(own.0 + frame::GDT, frame::GDT_BYTES),
        idt: table(space.idt().0, IDT_BYTES),
        cr0: CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
        cr3: space.root().0,
        cr4: CR4_PAE | CR4_PGE | CR4_OSFXSR,
        efer: EFER_LME | EFER_LMA | EFER_NX,
        apic_base: APIC_PHYSICAL | APIC_BASE_ENABLE | boot,
        ..Default::default()
    }
}

/// Type of an accessed, readable code segment.
const CODE: u8 = 11;
/// Type of an accessed, writable data segment.
const DATA: u8 = 3;
/// Type of a busy 64-bit TSS.
const BUSY_TSS: u8 = 11;

/// A flat CPL3 segment.
fn segment(selector: u16, type_: u8) -> kvm_segment {
    let long = u8::from(type_ == CODE);
    kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: 1 - long,
        s: 1,
        l: long,
        g: 1,
        ..Default::default()
    }
}

fn task_segment(base: u64) -> kvm_segment {
    let limit = u32::from(frame::TASK_SEGMENT_BYTES) - 1;
    kvm_segment { base, limit, selector: selector::TASK, type_: BUSY_TSS, present: 1, ..Default::default() }
}

fn table(base: u64, bytes: u16) -> kvm_dtable {
    kvm_dtable { base, limit: bytes - 1, ..Default::default() }
}

/// Says that physical addresses are wide. No program executes `cpuid`, and KVM asks CPUID nothing else about a guest
/// that starts in long mode; so a guest that fits 36 bits goes without, which saves tens of microseconds.
fn cpuid() -> CpuId {
    let leaf = |function, eax, edx| kvm_cpuid_entry2 { function, eax, edx, ..Default::default() };
    let long_mode = 1 << 29 | 1 << 20; // lm, nx
    let leaves = [
        leaf(0x8000_0000, 0x8000_0008, 0),
        leaf(0x8000_0001, 0, long_mode),
        leaf(0x8000_0008, 48 << 8 | ADDRESS_BITS, 0),
    ];
    CpuId::from_entries(&leaves).unwrap_or_else(|_| unreachable!("{} leaves fit KVM's list", leaves.len()))
}

/// Gives the local APIC its reset state, but enabled by software: at reset it takes no fixed interrupts.
fn enable_local_apic(fd: &VcpuFd, id: VcpuId) -> Result<(), Failed> {
    let mut lapic = kvm_lapic_state { regs: [0; 1024] };
    let apic_id = u32::try_from(id.index()).unwrap_or_default() << 24;
    let spurious = APIC_SOFTWARE_ENABLE | u32::from(vector::SPURIOUS);
    for (at, value) in [(APIC_ID, apic_id), (APIC_FLAT_MODEL, u32::MAX), (APIC_SPURIOUS, spurious)] {
        set_register(&mut lapic, at, value);
    }
    for at in APIC_LOCAL_VECTORS {
        set_register(&mut lapic, at, APIC_MASKED);
    }
    fd.set_lapic(&lapic).map_err(|error| ("KVM_SET_LAPIC", error))
}

fn set_register(lapic: &mut kvm_lapic_state, at: usize, value: u32) {
    for (to, byte) in lapic.regs[at..].iter_mut().zip(value.to_le_bytes()) {
        *to = byte.cast_signed();
    }
}

/// Lets KVM say in the vCPU's frame when its thread is not on a CPU. Where KVM cannot, waiting for this vCPU just
/// takes longer.
fn report_preemption(fd: &VcpuFd, space: &GuestSpace, id: VcpuId) {
    let data = space.mailbox(id).offset(frame::STEAL_TIME).0 | 1;
    let entry = kvm_msr_entry { index: MSR_KVM_STEAL_TIME, data, ..Default::default() };
    let set = Msrs::from_entries(&[entry]).map(|msrs| fd.set_msrs(&msrs));
    if !matches!(set, Ok(Ok(1))) {
        log::debug!("{id}: no steal time from this KVM; waiting for it spins");
    }
}
