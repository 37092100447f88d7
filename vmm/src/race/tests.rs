//! Who plays what, without KVM.

use ordering::catalogue;

use super::*;

fn lowered(name: &str) -> Lowered {
    let found = catalogue::entries().into_iter().find(|entry| entry.lowered.name == name);
    found.expect("the catalogue has it").lowered
}

#[test]
fn a_scenario_says_who_can_play_its_vcpus() {
    assert_eq!(vcpus(&lowered("wp-page-copy").scene), Vcpus::Kvm);
    assert_eq!(vcpus(&lowered("unregister-does-not-wait-for-exit").scene), Vcpus::None);
    let Vcpus::Software(reason) = vcpus(&lowered("kvm-flush-before-unlock").scene) else {
        panic!("its vCPUs have TLBs of their own");
    };
    let told = machine(&lowered("kvm-flush-before-unlock")).unwrap_err().to_string();
    assert!(told.ends_with(reason), "{told}");
}
