//! What KVM is told, and what its exits mean.

use std::collections::BTreeSet;
use std::sync::Arc;

use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, KVM_GUESTDBG_USE_SW_BP,
    kvm_debug_exit_arch,
};

use super::{Pace, Plan, Stop};

fn exit(exception: u32, pc: u64, dr6: u64) -> kvm_debug_exit_arch {
    kvm_debug_exit_arch { exception, pc, dr6, ..Default::default() }
}

#[test]
fn nothing_is_in_force_without_a_debugger() {
    let words = Plan::default().words();
    assert_eq!((words.control, words.arch.debugreg), (0, [0; 8]));
}

#[test]
fn addresses_go_into_debug_registers_for_execution_and_are_left_out_of_a_step() {
    let plan = Plan { registers: [None, Some(0x1000), None, Some(0x2000)], ..Plan::default() };
    let words = plan.words();
    assert_eq!(words.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
    assert_eq!(words.arch.debugreg, [0, 0x1000, 0, 0x2000, 0, 0, 0, 1 << 10 | 1 << 9 | 2 << 2 | 2 << 6]);
    let words = Plan { pace: Pace::Step, ..plan }.words();
    assert_ne!(words.control & KVM_GUESTDBG_SINGLESTEP, 0);
    assert_eq!((words.control & KVM_GUESTDBG_USE_HW_BP, words.arch.debugreg), (0, [0; 8]));
}

#[test]
fn an_exit_is_a_step_a_breakpoint_of_ours_or_the_guests_own_affair() {
    let in_memory = Arc::new(BTreeSet::from([0x3000]));
    let plan = Plan { registers: [Some(0x1000), None, None, None], in_memory, pace: Pace::Continue };
    assert_ne!(plan.words().control & KVM_GUESTDBG_USE_SW_BP, 0);
    assert_eq!(plan.stop(&exit(1, 0x1000, 1)), Some(Stop::Breakpoint(0x1000)));
    assert_eq!(plan.stop(&exit(1, 0x1001, 0)), Some(Stop::Trap));
    assert_eq!(plan.stop(&exit(3, 0x3000, 0)), Some(Stop::Breakpoint(0x3000)));
    assert_eq!(plan.stop(&exit(3, 0x3001, 0)), None, "an int3 that is no debugger's");
    let plan = Plan { pace: Pace::Step, ..plan };
    assert_eq!(plan.stop(&exit(1, 0x1000, 1 << 14)), Some(Stop::Step));
}
