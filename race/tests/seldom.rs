//! Steps whose effect random runs meet too seldom: each text is one that shows it.
//!
//! Invariant: the machine without the effect differs on the text.

use ordering::lowering::load;
use race::machine::Machine;
use race::steered::Steered;

const RUNS: usize = 100;

fn agrees(text: &str) {
    let loaded = load(text).unwrap_or_else(|found| panic!("{found:?} in\n{text}"));
    let [(_, lowered)] = &loaded[..] else { panic!("the text is one scenario") };
    let steered = Steered::new(lowered, Machine::new(lowered).expect("a scenario needs little memory"));
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..RUNS {
        if let Err(found) = steered.random(&mut random, 60) {
            panic!("{found:#?} in\n{text}");
        }
    }
}

#[test]
fn a_handle_that_is_taken_anew_and_in_vain_is_empty() {
    let upper = "scenario s\npage A under M\nframe f\ntable T\npmd M -> f ro huge\nmap A -> f ro\nagent b\n  set_pmd M -> T\nagent a\n";
    agrees(&format!("{upper}  gup_fast A => h; gup_fast A write => h; put h\n"));
    agrees(&format!("{upper}  gup_fast A => h; set_pmd M -> T; gup_fast A write => h; put h\n"));
    let page = "scenario s\npage A\nframe f\nmap A -> f ro\noption use_after_free = off\nagent a\n";
    agrees(&format!("{page}  pte_read A; gup_fast A => h; try_get A write => h\n"));
    agrees(&format!("{page}  gup_fast A => h; free f; gup_fast A => h; try_get A => h\n"));
}

#[test]
fn what_is_atomic_reaches_memory_at_once() {
    agrees(
        "scenario s\nvar x = 0..2\nvar y = 0..2\noption memory = tso\nagent a\n  atomic { x = 1; y = 2 }; x = 2\n\
         agent b\n  if x == 1: y = 1\n",
    );
}

#[test]
fn whoever_sets_shadow_entries_zaps_them_too() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> f rw\nvcpu V\nagent k\n  set_spte A -> f rw; notify_start A; notify_end A\n\
         agent g on V\n  load A\n",
    );
}

#[test]
fn a_pasid_that_names_nothing_is_not_cached() {
    agrees(
        "scenario s\nmm P\npage A in P\nframe f\nmap A -> f rw\npasid X -> none\ndevice D pasid X\n\
         agent d on D\n  dma_read A\nagent k\n  set_pasid X -> P\n",
    );
}

#[test]
fn a_shadow_entry_takes_over_what_can_be_loaded_through_only() {
    for bits in ["ro", "rw"] {
        agrees(&format!(
            "scenario s\npage A\nframe f\nframe g\nmap A -> f rw\nvcpu V\nagent g1 on V\n  load A\n\
             agent k\n  set_pte A -> g {bits}; change_pte A; pte_clear A; change_pte A\n"
        ));
    }
}

#[test]
fn a_flush_of_one_cpu_after_the_other_empties_each() {
    for flush in ["split", "ipi", "whole"] {
        agrees(&format!(
            "scenario s\npage A\nframe f\nmap A -> f rw\ncpu C, D\noption flush = {flush}\nagent a on C\n  load A\n\
             agent b on D\n  load A\nagent k\n  pte_clear A; flush_tlb A\n"
        ));
    }
}

#[test]
fn an_unlock_of_what_nobody_holds_is_taken_where_it_may() {
    for option in ["on", "off"] {
        agrees(&format!(
            "scenario s\noption unlock = {option}\nagent a\n  unlock L; lock L\nagent b\n  lock L; unlock L\n"
        ));
    }
}

#[test]
fn the_last_of_a_shared_lock_waits_for_the_own_stores() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> f rw\noption memory = tso\nagent a\n  lock L shared; set_pte A -> f ro; unlock L\n\
         agent b\n  lock L; pte_read A; unlock L\n",
    );
}

#[test]
fn a_copy_of_a_free_frame_or_to_one_breaks_the_property() {
    for copy in ["f -> g", "g -> f"] {
        agrees(&format!(
            "scenario s\nframe f = 1\nframe g = 2\nagent a\n  copy {copy}\nagent b\n  free f; alloc f; free f\n"
        ));
    }
}

#[test]
fn a_frame_that_is_allocated_anew_is_no_stable_one() {
    agrees(
        "scenario s\nframe f = 1\nagent a\n  mark_stable f; free f; alloc f; if stable(f): put f\nagent b\n  alloc f\n",
    );
}

#[test]
fn a_vcpu_keeps_nothing_of_the_upper_entry() {
    agrees(
        "scenario s\npage A under M\nframe f\ntable T\npmd M -> T\nmap A -> f rw\nvcpu V\nvar x = 0..4\noption evict = off\n\
         agent g on V\n  store A = 1; x = 1; when x == 2; walk A; x = 3; when x == 4; store A = 2\n\
         agent k\n  when x == 1; notify_start A; pte_modify A -dirty; notify_end A; x = 2; when x == 3; pmd_clear M; x = 4\n",
    );
}

#[test]
fn a_flush_of_vcpus_empties_their_own_tlbs() {
    agrees(
        "scenario s\npage A\nframe f\nvcpu V\nagent g on V\n  load A\n\
         agent k\n  set_spte A -> f rw; zap_spte A; flush_vcpus A\n",
    );
}

#[test]
fn what_is_on_its_way_to_a_device_outlives_an_invalidation_that_does_not_drain() {
    for drains in ["on", "off"] {
        agrees(&format!(
            "scenario s\npage A\nframe f\nmap A -> f rw\ndevice D ats\noption walk = split\noption ats_drains = {drains}\n\
             agent d on D\n  dma_read A\nagent k\n  pte_clear A; iotlb_inv A; devtlb_inv A\n"
        ));
    }
}

#[test]
fn what_a_device_has_in_flight_when_it_is_taken_away_never_lands() {
    agrees(
        "scenario s\npage A\nframe f\nmap A -> f rw\ndevice D\noption dma = split\nagent d on D\n  dma_write A = 1\n\
         agent k\n  unplug D\n",
    );
}

#[test]
fn what_has_been_read_of_a_pasid_entry_is_forgotten_with_the_cache() {
    agrees(
        "scenario s\nmm P\nmm Q\npage A in P\nframe f\nmap A -> f rw\npasid X -> P\ndevice D pasid X\nagent d on D\n  dma_read A\n\
         agent k\n  set_pasid_high X -> Q\n  pasid_inv X\n  set_pasid_low X -> Q\n  pasid_inv X\n  set_pasid X -> P\n",
    );
}

#[test]
fn a_wait_for_all_waits_for_others_and_is_aborted_with_them() {
    for timeout in ["never", "gone", "late"] {
        agrees(&format!(
            "scenario s\npage A, B\nframe f\nmap A -> f rw\nmap B -> f rw\ndevice D ats, E ats\noption timeout = {timeout}\n\
             agent d on D\n  repeat 0..2: dma_read A\nagent e on E\n  repeat 0..2: dma_read B\n\
             agent k\n  devtlb_inv A post\n  inv_wait all else out\nout:\n  inv_wait all\n\
             agent l\n  devtlb_inv B on E post\n  inv_wait\nagent u spontaneous\n  unplug D\n",
        ));
    }
}
