//! The requests of KVM's ioctls that a running machine makes.
//!
//! Source: Documentation/virt/kvm/api.rst, and include/uapi/linux/kvm.h for the numbers.

use kvm_bindings::{KVMIO, kvm_irq_routing, kvm_msi, kvm_regs, kvm_sregs, kvm_translation};
use vmm_sys_util::ioctl::{_IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr};

const fn request<T>(direction: u32, number: u32) -> u32 {
    let len_bytes = size_of::<T>();
    assert!(len_bytes < 1 << 14, "an ioctl has 14 bits for it");
    #[expect(clippy::cast_possible_truncation, reason = "a request has 32 bits, and its length fits")]
    let request = ioctl_expr(direction, KVMIO, number, len_bytes as u32) as u32;
    request
}

pub(in crate::sandbox) const KVM_RUN: u32 = request::<()>(_IOC_NONE, 0x80);
pub(in crate::sandbox) const KVM_GET_REGS: u32 = request::<kvm_regs>(_IOC_READ, 0x81);
pub(in crate::sandbox) const KVM_GET_SREGS: u32 = request::<kvm_sregs>(_IOC_READ, 0x83);
pub(in crate::sandbox) const KVM_TRANSLATE: u32 = request::<kvm_translation>(_IOC_READ | _IOC_WRITE, 0x85);
pub(in crate::sandbox) const KVM_SET_GSI_ROUTING: u32 = request::<kvm_irq_routing>(_IOC_WRITE, 0x6a);
pub(in crate::sandbox) const KVM_SIGNAL_MSI: u32 = request::<kvm_msi>(_IOC_WRITE, 0xa5);
