//! Rules of address spaces and PASIDs.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\nmm P, Q\npage A in P, B in Q\nframe f = 0, g = 1\nmap A -> f rw, B -> g rw\n\
                    pasid X -> P\npasid Y -> none\ncpu C\ndevice D ats pasid X\ndevice E\nvar x = 0..3\n";

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

#[test]
fn a_device_walks_the_space_that_its_cached_pasid_entry_names() {
    is_proved("agent D\n  dma_read B\nnever D reads B");
    let steps = breaks("agent D\n  dma_read A\nnever D reads A");
    assert_eq!(steps, ["D: read X", "D: walk A", "D: dma_read A = 0"]);
    assert_eq!(
        breaks("agent E\n  dma_read B\nnever E reads B").len(),
        2,
        "a device without PASID reaches every page"
    );
}

#[test]
fn a_pasid_entry_stays_cached_until_it_is_invalidated() {
    let program = |between: &str| {
        format!(
            "agent C\n  when pasidc(D) == P; set_pasid X -> Q; {between} x = 1\nagent after on D\n  when x; dma_read A\n\
             agent D\n  walk B\nnever after reads A"
        )
    };
    breaks(&program(""));
    is_proved(&program("pasid_inv X;"));
    breaks(&program("pasid_inv Y;"));
}

#[test]
fn an_eviction_lets_a_device_read_the_pasid_entry_again() {
    let program = |evict: &str| {
        format!(
            "agent C\n  when pasidc(D) == P; set_pasid X -> Q; x = 1\nagent after on D\n  when x; dma_read B\n\
             agent D\n  walk A\nnever after reads B\noption evict = {evict}"
        )
    };
    breaks(&program("on"));
    is_proved(&program("off"));
}

#[test]
fn an_invalidation_of_a_space_reaches_its_pages_and_no_others() {
    let program = |page: &str, mm: &str| {
        format!(
            "agent C\n  walk {page}; set_pte {page} -> orig; pte_clear {page}; flush_tlb_mm {mm}; x = 1\nalways x == 0 || tlb(C, {page}) == none"
        )
    };
    is_proved(&program("A", "P"));
    breaks(&program("A", "Q"));
    let device = |mm: &str| {
        format!(
            "agent E\n  walk A\nagent C\n  pte_clear A; notify_mm {mm}; x = 1\nalways x == 0 || iotlb(E, A) == none"
        )
    };
    is_proved(&device("P"));
    breaks(&device("Q"));
}

#[test]
fn an_invalidation_of_a_pasid_reaches_its_devices_and_no_others() {
    let program = |step: &str, device: &str| {
        format!(
            "agent {device}\n  dma_read A\nagent C\n  pte_clear A; iotlb_inv_pasid X; {step}; x = 1\n\
             always x == 0 || devtlb(D, A) == none && iotlb(D, A) == none && iotlb(E, A) == none"
        )
    };
    is_proved(&program("devtlb_inv_pasid X", "D"));
    breaks(&program("devtlb_inv_pasid Y", "D"));
    breaks(&program("devtlb_inv_pasid X", "E"));
}

#[test]
fn a_page_request_waits_for_its_response_and_a_drain_for_all() {
    let steps = breaks("agent D\n  page_request A; x = 1\nagent C\n  page_response A\nalways x == 0");
    assert_eq!(steps, ["D: page_request A", "C: page_response A", "D: page_request A: answered", "D: x = 1"]);
    let order = "agent D\n  page_request A\nagent C\n  when requested(A); drain_requests\nagent K spontaneous\n  when requested(A); page_response A\n";
    is_proved(&format!("{order}never K page_response A after C drain_requests\noption deadlock = off"));
}

#[test]
fn a_request_through_a_pasid_that_names_another_space_is_refused() {
    let steps =
        breaks("agent D\n  page_request B; x = 1\nagent C spontaneous\n  page_response B\nalways x == 0");
    assert_eq!(steps, ["D: page_request B: refused", "D: x = 1"]);
}

#[test]
fn a_clean_entry_is_made_dirty_through_the_pasid_entry_again() {
    let program = "agent D\n  dma_read A; when x == 1; dma_write A = 1\nagent C\n  when devtlb(D, A); pasid_inv X; x = 1\n\
                   agent looks\n  if pte(A) has dirty: end\noption evict = off\nnever D writes A";
    let steps = breaks(program);
    assert!(steps.contains(&"D: set_dirty A: refused".to_owned()), "{steps:?}");
    assert_eq!(steps.iter().filter(|step| *step == "D: read X").count(), 2, "{steps:?}");
    let moved = program.replace("pasid_inv X", "set_pasid X -> Q; pasid_inv X");
    is_proved(&format!("{moved}\noption deadlock = off"));
}

#[test]
fn a_device_reads_its_pasid_entry_also_where_its_walk_then_finds_nothing() {
    let early = "agent C\n  set_pasid X -> none\n  set_pte A -> f rw\nagent D\n  dma_read A\nnever D reads A after C set_pasid X -> none";
    let text = format!(
        "scenario s\nmm P\npage A in P\nframe f = 1\npasid X -> P\ncpu K\ndevice D pasid X\n{early}\n"
    );
    let (_, lowered) = super::load(&text).expect("it loads").remove(0);
    let Found::Violated(_, steps) = explore(&lowered.model, MOST) else {
        panic!("the entry that was read first is kept");
    };
    assert_eq!(
        steps,
        ["D: read X", "C: set_pasid X -> none", "C: set_pte A -> f rw", "D: walk A", "D: dma_read A = 1"]
    );
}
