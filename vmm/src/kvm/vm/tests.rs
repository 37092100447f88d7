//! Whose fault it is.

use super::*;

#[test]
fn what_a_guest_programs_hints_at_no_other_program() {
    let of_guest = VmError::refused("KVM_SIGNAL_MSI")(kvm_ioctls::Error::new(libc::EINVAL)).to_string();
    assert!(of_guest.contains("the guest") && !of_guest.contains("other programs"), "{of_guest}");
    for of_host in [
        VmError::refused("KVM_SET_GSI_ROUTING")(kvm_ioctls::Error::new(libc::ENOMEM)),
        VmError::of("KVM_CREATE_VM")(kvm_ioctls::Error::new(libc::EMFILE)),
    ] {
        let told = of_host.to_string();
        assert!(told.contains("end other programs") || told.contains("raise `ulimit -n`"), "{told}");
    }
}
