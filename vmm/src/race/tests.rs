//! Who plays what, without KVM.

use ordering::catalogue;

use super::*;

fn lowered(name: &str) -> Lowered {
    let found = catalogue::entries().into_iter().find(|entry| entry.lowered.name == name);
    found.expect("the catalogue has it").lowered
}

#[test]
fn a_scenario_says_who_can_play_its_vcpus() {
    assert_eq!(played_by(&lowered("wp-page-copy").scene), PlayedBy::Kvm);
    assert_eq!(played_by(&lowered("unregister-does-not-wait-for-exit").scene), PlayedBy::Nobody);
    let PlayedBy::Software(reason) = played_by(&lowered("kvm-flush-before-unlock").scene) else {
        panic!("its vCPUs have TLBs of their own");
    };
    let told = machine(&lowered("kvm-flush-before-unlock")).unwrap_err().to_string();
    assert!(told.ends_with(reason), "{told}");
}
