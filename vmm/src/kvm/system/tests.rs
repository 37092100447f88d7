//! Each way of not having KVM has its own words.

use super::*;

fn opening_fails_with(errno: i32) -> String {
    SystemError::of_open(kvm_ioctls::Error::new(errno)).to_string()
}

#[test]
fn a_missing_device_says_which_modules_to_load() {
    assert!(opening_fails_with(libc::ENOENT).contains("load kvm-intel or kvm-amd"));
}

#[test]
fn a_forbidden_device_says_which_group_to_join() {
    assert!(opening_fails_with(libc::EACCES).contains("usermod -aG kvm"));
}

#[test]
fn another_failure_prints_the_kernels_answer() {
    assert!(opening_fails_with(libc::EMFILE).contains("os error 24"));
}

#[test]
fn a_missing_capability_is_named() {
    let error = SystemError::Capability { name: "KVM_CAP_SIGNAL_MSI" };
    assert_eq!(
        error.to_string(),
        "/dev/kvm lacks KVM_CAP_SIGNAL_MSI; use a newer kernel or another KVM module"
    );
}

/// Every `enable_cap` and every ioctl of this module that not all kernels have.
#[test]
fn a_kvm_without_a_capability_that_is_used_is_refused() {
    for missing in [
        Cap::UserMemory,
        Cap::SetTssAddr,
        Cap::SetIdentityMapAddr,
        Cap::ExtCpuid,
        Cap::Irqchip,
        Cap::SplitIrqchip,
        Cap::IrqRouting,
        Cap::X2ApicApi,
        Cap::SignalMsi,
        Cap::MpState,
        Cap::SyncRegs,
        Cap::ImmediateExit,
    ] {
        let checked = check(|cap| cap as u32 != missing as u32);
        assert!(matches!(checked, Err(SystemError::Capability { .. })), "{missing:?}: {checked:?}");
    }
    assert!(check(|_| true).is_ok());
}
