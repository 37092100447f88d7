//! Rules of devices: their caches, and how these are filled and emptied.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str =
    "scenario s\npage A\nframe f = 0, g = 1\nmap A -> f rw\ncpu C\ndevice D ats\nvar x = 0..3\n";

/// What is found for a scenario of `programs` behind the head.
fn found(programs: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{programs}\n")).remove(0);
    assert_eq!(lowered.model.validate(), Ok(()));
    explore(&lowered.model, MOST)
}

fn is_proved(programs: &str) {
    let found = found(programs);
    assert!(matches!(found, Found::Proved(_)), "{programs}\n{found:?}");
}

fn breaks(programs: &str) -> Vec<String> {
    match found(programs) {
        Found::Violated(_, steps) => steps,
        other => panic!("{programs}\n{other:?}"),
    }
}

/// The device reads A, then the entry changes and `invalidates` is done, then it reads A again.
fn change(invalidates: &str) -> String {
    format!(
        "agent C\n  when x == 1; set_pte A -> g rw; {invalidates}; x = 2\n\
         agent D\n  dma_read A\nagent after\n  when devtlb(D, A); x = 1; when x == 2; x = 3\n\
         agent again on D\n  when x == 3; dma_read A\nnever again reads A == 0"
    )
}

#[test]
fn a_device_tlb_outlives_an_iotlb_invalidation_and_an_iotlb_one_of_the_device_tlb() {
    is_proved(&change("iotlb_inv A; devtlb_inv A"));
    breaks(&change("iotlb_inv A"));
    breaks(&change("devtlb_inv A"));
    is_proved(&change("notify A"));
}

#[test]
fn dma_goes_through_the_device_tlb_and_that_is_filled_from_the_iotlb() {
    let steps = breaks("agent D\n  dma_read A\nagent C\n  devtlb_inv A\nnever D reads A == 0");
    assert_eq!(steps, ["D: walk A", "D: ats A", "D: dma_read A = 0"]);
    let steps = breaks("agent D\n  walk A\nagent C\n  devtlb_inv A\nnever D walk A");
    assert_eq!(steps, ["D: walk A", "D: ats A"]);
}

#[test]
fn without_a_step_that_tells_them_apart_there_is_one_cache() {
    let steps = breaks("agent D\n  dma_read A\nagent C\n  notify A\nnever D reads A == 0");
    assert_eq!(steps, ["D: walk A", "D: dma_read A = 0"]);
    is_proved("agent D\n  walk A\nagent C\n  notify A\nalways devtlb(D, A) == none || iotlb(D, A) == f");
}

#[test]
fn a_read_only_device_tlb_entry_is_asked_for_again_before_a_write() {
    let program = "agent C\n  set_pte A -> f ro; iotlb_inv A; devtlb_inv A; x = 1; when devtlb(D, A) == f ro\n  set_pte A -> f rw\n\
                   agent D\n  when x == 1; dma_read A; dma_write A = 1\nnever D writes A";
    let steps = breaks(program);
    assert_eq!(steps.iter().filter(|step| *step == "D: ats A").count(), 2, "{steps:?}");
}

#[test]
fn what_is_posted_is_done_later_and_a_wait_is_for_ones_own() {
    let program = |wait: &str| {
        format!("agent C\n  walk A; set_pte A -> g rw; flush_tlb A post; {wait} load A\nnever reads A == 0")
    };
    is_proved(&program("inv_wait;"));
    breaks(&program(""));
    let both = "agent other\n  flush_tlb A post; x = 1\nagent C\n  when x == 1; notify A post; inv_wait; x = 2\n\
                agent D\n  walk A\nalways x != 2";
    let steps = breaks(both);
    assert!(steps.iter().any(|step| step == "queue: notify A"), "{steps:?}");
    assert!(!steps.iter().any(|step| step == "queue: flush_tlb A"), "{steps:?}");
}

#[test]
fn only_an_ordered_queue_keeps_the_order() {
    let program = |done: &str, order: &str| {
        format!(
            "agent C\n  iotlb_inv A post; flush_tlb A post\nagent D\n  walk A\n\
             never queue {done}\noption queue = {order}"
        )
    };
    breaks(&program("flush_tlb A after queue iotlb_inv A", "ordered"));
    is_proved(&program("iotlb_inv A after queue flush_tlb A", "ordered"));
    breaks(&program("iotlb_inv A after queue flush_tlb A", "any"));
}

#[test]
fn a_full_queue_makes_the_next_one_wait() {
    is_proved("agent C\n  repeat 8: flush_tlb A post\n  inv_wait; x = 1\nfinally x == 1");
}

const VCPU: &str = "vcpu V\n";

#[test]
fn a_shadow_entry_that_programs_set_is_zapped_and_flushed_by_programs_alone() {
    let program = |ends: &str| {
        format!(
            "{VCPU}agent V\n  set_spte A -> f rw; walk A; x = 1; when x == 2; load A; x = 3\nagent C\n  when x == 1; {ends}; x = 2\n\
             never V reads A == 0\noption deadlock = off"
        )
    };
    is_proved(&program("zap_spte A; flush_vcpus A"));
    breaks(&program("zap_spte A"));
    breaks(&program("flush_vcpus A"));
    breaks(&program("notify_start A; flush_vcpus A; notify_end A"));
}

#[test]
fn a_vcpu_fills_its_tlb_from_the_shadow_entry() {
    is_proved(&format!(
        "{VCPU}agent V spontaneous\n  walk A\nagent C\n  zap_spte A\nalways vtlb(V, A) == none"
    ));
    let program = "agent V\n  set_spte A -> orig; set_pte A -> g rw; load A\nnever V reads A == 0";
    assert_eq!(breaks(&format!("{VCPU}{program}")).last().unwrap(), "V: load A = 0");
}

#[test]
fn a_handle_that_holds_nothing_sets_no_shadow_entry() {
    let program = "agent C\n  pte_clear A; gup_fast A => h; set_spte A -> h rw; x = 1\nagent V\n  when x\nalways spte(A) == none || x == 0";
    is_proved(&format!("{VCPU}{program}"));
    let held = program.replace("pte_clear A; ", "");
    breaks(&format!("{VCPU}{held}"));
}

#[test]
fn the_queue_has_a_column_in_traces() {
    let trace = |rows: &str| {
        format!(
            "{HEAD}agent C\n  walk A; flush_tlb A post\nnever reads A\nagent D\n  dma_read A\n\ntrace\n\
             C | queue | state change\n{rows}\n"
        )
    };
    let (walk, post, done) = ("walk A | |", "flush_tlb A post | |", " | flush_tlb A | tlb[C][A]: none");
    assert!(super::load(&trace(&[walk, post, done].join("\n"))).is_ok());
    assert!(super::load(&trace(&[walk, done, post].join("\n"))).is_err());
}
