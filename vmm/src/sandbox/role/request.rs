//! The requests of ioctl that a running machine makes: KVM's, and the terminal's modes.
//!
//! Source: Documentation/virt/kvm/api.rst, and include/uapi/linux/kvm.h for the numbers; ioctl_tty(2).

use kvm_bindings::{
    KVMIO, kvm_fpu, kvm_guest_debug, kvm_ioeventfd, kvm_irq_routing, kvm_msi, kvm_regs, kvm_sregs,
    kvm_translation,
};
use vmm_sys_util::ioctl::{_IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr};

/// A request has 32 bits, whatever the C library passes it as.
const fn word(request: libc::c_ulong) -> u32 {
    assert!(request >> 32 == 0, "the kernel looks at 32 bits");
    #[expect(clippy::cast_possible_truncation, reason = "the rest is 0")]
    let request = request as u32;
    request
}

/// A request by the C library's name; in some (musl) it is a number with a sign.
const fn of_libc(request: libc::Ioctl) -> u32 {
    word(request as libc::c_ulong & 0xffff_ffff)
}

/// KVM's request `number`, which passes a `T`.
const fn kvm<T>(direction: u32, number: u32) -> u32 {
    word(ioctl_expr(direction, KVMIO, number, word(size_of::<T>() as u64)))
}

pub(in crate::sandbox) const KVM_RUN: u32 = kvm::<()>(_IOC_NONE, 0x80);
pub(in crate::sandbox) const KVM_GET_REGS: u32 = kvm::<kvm_regs>(_IOC_READ, 0x81);
pub(in crate::sandbox) const KVM_SET_REGS: u32 = kvm::<kvm_regs>(_IOC_WRITE, 0x82);
pub(in crate::sandbox) const KVM_GET_SREGS: u32 = kvm::<kvm_sregs>(_IOC_READ, 0x83);
pub(in crate::sandbox) const KVM_SET_SREGS: u32 = kvm::<kvm_sregs>(_IOC_WRITE, 0x84);
pub(in crate::sandbox) const KVM_GET_FPU: u32 = kvm::<kvm_fpu>(_IOC_READ, 0x8c);
pub(in crate::sandbox) const KVM_SET_FPU: u32 = kvm::<kvm_fpu>(_IOC_WRITE, 0x8d);
pub(in crate::sandbox) const KVM_SET_GUEST_DEBUG: u32 = kvm::<kvm_guest_debug>(_IOC_WRITE, 0x9b);
pub(in crate::sandbox) const KVM_TRANSLATE: u32 = kvm::<kvm_translation>(_IOC_READ | _IOC_WRITE, 0x85);
pub(in crate::sandbox) const KVM_SET_GSI_ROUTING: u32 = kvm::<kvm_irq_routing>(_IOC_WRITE, 0x6a);
pub(in crate::sandbox) const KVM_IOEVENTFD: u32 = kvm::<kvm_ioeventfd>(_IOC_WRITE, 0x79);
pub(in crate::sandbox) const KVM_SIGNAL_MSI: u32 = kvm::<kvm_msi>(_IOC_WRITE, 0xa5);

/// The modes by the C library's structure, and by the kernel's newer one.
pub(in crate::sandbox) const TCGETS: u32 = of_libc(libc::TCGETS);
pub(in crate::sandbox) const TCSETS: u32 = of_libc(libc::TCSETS);
pub(in crate::sandbox) const TCSETSW: u32 = of_libc(libc::TCSETSW);
pub(in crate::sandbox) const TCSETSF: u32 = of_libc(libc::TCSETSF);
pub(in crate::sandbox) const TCGETS2: u32 = of_libc(libc::TCGETS2);
pub(in crate::sandbox) const TCSETS2: u32 = of_libc(libc::TCSETS2);
/// Whose terminal it is.
pub(in crate::sandbox) const TIOCGPGRP: u32 = of_libc(libc::TIOCGPGRP);
/// How large its window is.
pub(in crate::sandbox) const TIOCGWINSZ: u32 = of_libc(libc::TIOCGWINSZ);
