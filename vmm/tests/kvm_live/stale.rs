//! A stale translation on the real vCPU: the entry in memory says one frame, the vCPU goes on reading another.

use guest_images::Program;
use guest_images::layout::probe_stats;
use vmm::kvm::{System, VcpuId};

use super::rig::{Rig, Shared, leaf_entry, system};

/// The words in the frame before and after.
const OLD: u64 = 0x01d;
const NEW: u64 = 0x4e8;
/// Reads after the host's store.
const READS: u64 = 1_000_000;

#[test]
fn a_store_of_the_host_to_a_live_entry_leaves_the_vcpu_on_the_old_frame_until_the_stub_invalidates() {
    let Some(system) = system() else { return };
    let rig = Rig::start(&system, Program::Probe, 1, &[OLD]);
    assert_eq!(rig.shared.value_after(VcpuId::FIRST, 1000), OLD);

    let new = rig.shared.frame_with(NEW);
    rig.shared.memory.store(leaf_entry(&rig.shared, 0), Shared::entry_for(new));
    let seen = rig.shared.value_after(VcpuId::FIRST, READS);
    if System::shadows_guest_tables() {
        assert_eq!(seen, OLD, "a KVM that shadows guest tables saw a store of the host");
    } else {
        println!("after {READS} reads the vCPU saw {seen:#x} (old {OLD:#x}, new {NEW:#x})");
    }

    rig.shared.map(0, new);
    rig.zap(&rig.port(), 0);
    assert_eq!(rig.shared.value_after(VcpuId::FIRST, 2), NEW);
    assert_eq!(rig.shared.value_after(VcpuId::FIRST, READS), NEW);
    assert_eq!(rig.shared.stats(VcpuId::FIRST, probe_stats::CHANGES), 1, "the old frame came back");
}
