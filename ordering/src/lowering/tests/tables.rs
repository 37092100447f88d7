//! Rules of upper entries and page-table pages.

use super::explorer::{Found, explore};
use super::{MOST, loaded};
use crate::model::Var;

/// A lies under M in the table T; N names nothing at the start, and B lies under it.
const HEAD: &str = "scenario s\ntable T, U free\npage A under M, B under N\nframe f = 0, g = 1\npmd M -> T, N -> none\n\
                    map A -> f rw\ncpu C\ndevice D\nvar x = 0..3\n";

const WALKED: &str = "never walk of a freed page-table page";

fn found(programs: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{programs}\n")).remove(0);
    assert_eq!(lowered.model.validate(), Ok(()));
    explore(&lowered.model, MOST)
}

fn is_proved(programs: &str) {
    let found = found(programs);
    assert!(matches!(found, Found::Proved(_)), "{programs}\n{found:?}");
}

fn breaks(property: &str, programs: &str) -> Vec<String> {
    match found(programs) {
        Found::Violated(broken, steps) if broken == property => steps,
        other => panic!("{programs}\n{other:?}"),
    }
}

#[test]
fn a_walk_reads_the_upper_entry_and_then_the_entry() {
    let steps = breaks("never C reads A", "agent C\n  load A\nnever C reads A");
    assert_eq!(steps, ["C: read M", "C: walk A", "C: load A = 0"]);
    let steps = breaks("never D reads A", "agent D\n  dma_read A\nnever D reads A\noption walk = split");
    assert_eq!(steps, ["D: read M", "D: walk A: read", "D: walk A: fill", "D: dma_read A = 0"]);
    breaks("never deadlock", "agent C\n  pmd_clear M; load A");
    is_proved("agent C\n  pmd_clear M; set_pmd M -> orig; load A");
}

#[test]
fn a_huge_upper_entry_is_what_the_page_is_mapped_to() {
    let program = |bits: &str| {
        format!(
            "agent C\n  set_pmd M -> g {bits} huge; load A; if tlb(C, A) has huge: store A = 2\n\
             finally content(g) == 2 && content(f) == 0"
        )
    };
    is_proved(&program("rw"));
    breaks("never deadlock", &program("ro"));
    breaks("never C reads B", "agent C\n  load B\nagent p\n  set_pmd N -> g ro huge\nnever C reads B");
}

#[test]
fn whoever_caches_an_upper_entry_walks_through_it_until_it_is_flushed() {
    let program = |flush: &str| {
        format!(
            "agent C\n  load A; pmd_clear M; {flush}; put T; x = 1\nagent again on C\n  when x; load A\n\
             option deadlock = off"
        )
    };
    let steps = breaks(WALKED, &program("flush_tlb A leaf"));
    assert_eq!(steps.last().unwrap(), "again: walk A in freed T");
    is_proved(&program("flush_tlb A"));
    is_proved(&program("flush_pmd M"));
    breaks(WALKED, &program("flush_pmd M leaf"));
    breaks(WALKED, &program("flush_pmd N; flush_tlb A leaf"));
    is_proved(&format!("{}\noption walk_after_free = off", program("flush_tlb A leaf")));
    is_proved(&format!("{}\noption flush = split", program("flush_pmd M")));
    is_proved(&format!("{}\noption flush = ipi", program("flush_pmd M")));
}

#[test]
fn a_device_keeps_upper_entries_until_a_notification_reaches_them() {
    let program = |invalidate: &str| {
        format!(
            "agent D\n  dma_read A\nagent C\n  \
             when pwc(D, M) has table; pmd_clear M; {invalidate}; put T; x = 1\noption deadlock = off"
        )
    };
    for enough in ["notify A", "iotlb_inv A", "notify_pmd M", "notify_pmd M post; inv_wait"] {
        is_proved(&program(enough));
    }
    for too_little in [
        "notify A leaf",
        "iotlb_inv A leaf",
        "notify_pmd M leaf",
        "devtlb_inv A",
        "flush_pmd M",
        "notify_pmd N",
        "notify_pmd M post",
    ] {
        breaks(WALKED, &program(too_little));
    }
}

#[test]
fn a_walk_in_flight_keeps_the_upper_entry_that_it_has_read_unless_it_is_drained() {
    let program = |drains: &str| {
        format!(
            "agent D\n  dma_read A\nagent C\n  pmd_clear M; notify_pmd M; put T\noption deadlock = off\n\
             option walk = split\noption inv_drains = {drains}"
        )
    };
    is_proved(&program("on"));
    let steps = breaks(WALKED, &program("off"));
    assert_eq!(steps, ["D: read M", "C: pmd_clear M", "C: notify_pmd M", "C: put T", "D: walk A in freed T"]);
}

#[test]
fn a_fault_lets_a_walk_look_at_the_upper_entry_again() {
    let program = |user: &str, load: &str, flush: &str| {
        format!(
            "agent {user}\n  {load} A\nagent p\n  \
             when pwc({user}, M); pte_clear A; {flush}; set_pmd M -> g rw huge"
        )
    };
    is_proved(&program("C", "load", "flush_tlb A leaf"));
    let split = "option walk = split\noption inv_drains = off\n";
    is_proved(&format!("{split}{}", program("D", "dma_read", "notify A")));
}

#[test]
fn programs_too_must_not_use_a_freed_table() {
    for step in ["pte_read A", "pte_clear A", "set_pte A -> g rw", "pte_modify A ro", "gup_fast A => h"] {
        let steps = breaks(WALKED, &format!("agent C\n  put T; {step}"));
        assert_eq!(steps.len(), if step.starts_with("gup") { 3 } else { 2 }, "{steps:?}");
        is_proved(&format!("agent C\n  {step}; put T"));
    }
    is_proved("agent C\n  put T; pmd_read M; pmd_clear M; if pte(A) == none: x = 1");
}

#[test]
fn the_dirty_bit_is_set_where_the_page_is_mapped() {
    let huge = "agent C\n  when pmd(M) has huge; store A = 1\nagent p\n  set_pmd M -> f rw huge\n\
                finally pmd(M) has dirty && pte(A) == f -dirty";
    is_proved(huge);
    let small = "agent C\n  store A = 1\nalways pte(A) == f -dirty";
    assert_eq!(breaks("always pte(A) == f -dirty", small), ["C: read M", "C: walk A", "C: set_dirty A"]);
}

#[test]
fn a_clean_entry_is_dropped_if_no_walk_comes_to_it_any_more() {
    let program = |flush: &str| {
        format!(
            "agent C\n  load A; pmd_clear M; {flush}; x = 1\nagent again on C\n  when x; store A = 1\n\
             never again store A\nalways x < 2 || pte(A) has dirty\noption deadlock = off"
        )
    };
    is_proved(&program("flush_pmd M"));
    let steps = breaks("never again store A", &program("x = 0"));
    assert!(steps.contains(&"again: set_dirty A".to_owned()), "{steps:?}");
}

#[test]
fn gup_fast_looks_at_the_upper_entry_again() {
    let program = |between: &str, holds: &str| {
        format!("agent C\n  gup_fast A => h; x += 1\nagent p\n  {between}\n{holds}\noption range = off")
    };
    let steps = breaks("always x == 0", &program("x = 0", "always x == 0"));
    let gup = "C: gup_fast A => h";
    let expected: Vec<String> =
        ["read pmd", "read pte", "get f", "re-check"].iter().map(|step| format!("{gup}: {step}")).collect();
    assert_eq!(&steps[steps.len() - 5..steps.len() - 1], expected);
    is_proved(&program("atomic { pmd_clear M; if refs(f) == 1: x = 2 }", "always x != 3 || refs(f) == 1"));
}

#[test]
fn gup_fast_takes_a_huge_page_and_gives_up_without_any() {
    let program = |pmd: &str| {
        format!(
            "agent C\n  set_pmd N -> g rw huge; set_pmd M -> {pmd}; gup_fast A write => h\n  \
             if h == g: x = 1\n  if h == none: x = 2\nfinally "
        )
    };
    is_proved(&format!("{}x == 1 && refs(g) == 2", program("g rw huge")));
    is_proved(&format!("{}x == 2 && refs(g) == 1", program("g ro huge")));
    is_proved(&format!("{}x == 2 && refs(g) == 1 && refs(f) == 1", program("none")));
}

#[test]
fn pages_of_two_upper_entries_share_the_entries_of_one_table() {
    let program = "agent C\n  \
                   pmd_clear M; set_pmd N -> T; load B; set_pte B -> none; flush_pmd N; if pte(A) == none: x = 1\nfinally x == 1";
    is_proved(program);
    let second = "page Z under N\nmap Z -> g rw\nagent C\n  \
                  set_pmd N -> T; if pte(B) == f && pte(Z) == g: x = 1\nfinally x == 1";
    is_proved(second);
}

#[test]
fn an_upper_entry_is_remembered_and_changed_like_an_entry() {
    is_proved(
        "agent C\n  set_pmd N -> g rw huge; pmd_modify N ro; check orig(N) has rw && !pmd_same N else out\n  \
         pmd_read N; check pmd_same N else out; x = 1\nout:\nfinally x == 1 && pmd(N) == g ro huge",
    );
    is_proved("agent C\n  pmd_clear M; if orig(M) == T: x = 1\nfinally x == 1 && pmd(M) == none");
    let hinted = "agent C\n  load B\nagent p\n  set_pmd N -> g rw huge protnone; x = 1\nnever C reads B";
    breaks("never deadlock", hinted);
    breaks("never C reads B", &hinted.replace("x = 1", "pmd_modify N -protnone"));
}

#[test]
fn what_an_upper_entry_holds_lasts_and_what_is_kept_of_it_does_not() {
    let lowered = loaded("s.scn", &format!("{HEAD}agent C\n  load A; pmd_clear M; flush_tlb A\n")).remove(0);
    let name = |var: &Var| lowered.model.variables[usize::from(var.0)].name.as_str();
    let lasting: Vec<&str> = lowered.lasting.iter().map(name).collect();
    assert!(
        lasting.contains(&"pmd[M]") && !lasting.iter().any(|name| name.starts_with("pwc")),
        "{lasting:?}"
    );
}

#[test]
fn a_lost_upper_entry_is_read_again() {
    let program = |evict: &str| {
        format!(
            "agent C\n  walk A\nagent p\n  when tlb(C, A); pmd_clear M; set_pmd M -> g rw huge; x = 1\n\
             agent later on C\n  when x; load A\nnever later reads A == 1\noption evict = {evict}"
        )
    };
    is_proved(&program("off"));
    breaks("never later reads A == 1", &program("on"));
}

#[test]
fn a_lost_translation_is_walked_to_again_whatever_it_was() {
    let program = |evict: &str| {
        format!("agent C\n  load A; put T; x = 1\nagent later on C\n  when x; load A\noption evict = {evict}")
    };
    is_proved(&program("off"));
    breaks(WALKED, &program("on"));
}

#[test]
fn a_store_buffer_holds_back_an_upper_entry() {
    let program = |between: &str| {
        format!(
            "option memory = tso\nvar a = 0..1\nvar r = 0..1\nvar s = 0..1\n\
             agent C\n  set_pmd N -> T; {between}; r = a\nagent p\n  a = 1; fence; if pmd(N) == T: s = 1\n\
             finally r || s"
        )
    };
    breaks("finally r || s", &program("pmd_read N"));
    is_proved(&program("pmd_clear M"));
    is_proved(&program("fence"));
}
