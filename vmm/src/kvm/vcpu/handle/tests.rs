//! What other threads see of a vCPU, without KVM.

use super::*;

#[test]
fn a_vcpu_is_inside_only_while_it_is_entered() {
    let handle = VcpuHandle::new(VcpuId::FIRST);
    assert!(!handle.in_guest());
    let entered = handle.enter();
    assert!(handle.in_guest());
    drop(entered);
    assert!(!handle.in_guest());
}

#[test]
fn a_stop_that_came_before_the_entry_is_seen_after_it() {
    let handle = VcpuHandle::new(VcpuId::FIRST);
    handle.request_stop();
    let _entered = handle.enter();
    assert!(handle.is_stopping());
}

#[test]
fn its_activity_says_where_it_is_and_what_it_did() {
    let handle = VcpuHandle::new(VcpuId::FIRST);
    drop(handle.enter());
    handle.left_with(Exit::Hypercall(Hypercall::Stopped));
    let text = handle.activity().to_string();
    assert_eq!(text, "outside the guest, entered 1 times, last came back with the stop hypercall");
}
