//! Shadow page tables of two levels.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const FREED: &str = "never walk of a freed page-table page";
const HEAD: &str = "scenario s\ntable T, S\nframe f = 0, g = 1\nframe big = 2\npmd M -> T\nshadow M -> S\n\
                    page A under M, B under M\nmap A -> f rw, B -> g rw\ncpu C\nvcpu V, W\nvar x = 0..3\n";

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

/// A vCPU has walked to A, and then KVM does `step`.
fn after_a_walk(step: &str) -> String {
    format!("agent C\n  set_spte A -> orig; when vtlb(V, A); {step}; x = 1\nagent V spontaneous\n  walk A\n")
}

#[test]
fn a_vcpu_walks_from_the_shadow_entry_above_and_keeps_it() {
    let steps =
        breaks("never V reads A", "agent C\n  set_spte A -> orig\nagent V\n  load A\nnever V reads A");
    assert_eq!(steps, ["C: set_spte A -> orig", "V: read M", "V: walk A", "V: load A = 0"]);
    is_proved(
        "agent C\n  set_spte A -> orig; zap_spmd M; x = 1\nagent V spontaneous\n  when x == 1; load A\nnever V reads A\noption deadlock = off",
    );
    // The primary upper entry has nothing to do with it.
    let primary = "agent C\n  set_spte A -> orig; pmd_clear M\nagent V\n  load A\nnever V reads A";
    breaks("never V reads A", primary);
}

#[test]
fn a_flush_of_a_page_takes_what_is_kept_of_the_entry_above_and_other_translations_stay() {
    let kept = "always x == 0 || pwc(V, M) == none";
    is_proved(&format!("{}{kept}", after_a_walk("zap_spmd M; flush_vcpus B")));
    is_proved(&format!("{}{kept}", after_a_walk("zap_spmd M; flush_vcpus A to B on V")));
    breaks(kept, &format!("{}{kept}", after_a_walk("zap_spmd M; flush_vcpus A on W")));
    breaks(kept, &format!("{}{kept}", after_a_walk("zap_spmd M; flush_tlb A")));
    let translation = "always x == 0 || vtlb(V, A) == none";
    is_proved(&format!("{}{translation}", after_a_walk("zap_spmd M; flush_vcpus A to B")));
    breaks(translation, &format!("{}{translation}", after_a_walk("zap_spmd M; flush_vcpus B")));
}

#[test]
fn a_shadow_page_that_is_free_is_walked_by_nobody() {
    let steps =
        breaks(FREED, "agent C\n  zap_spmd M; put S\nagent V spontaneous\n  load A\noption deadlock = off");
    assert_eq!(steps.last().expect("a step"), "V: walk A in freed S");
    is_proved("agent C\n  zap_spmd M; flush_vcpus A; put S\nagent V spontaneous\n  load A");
    for step in ["set_spte A -> orig", "zap_spte A", "change_pte A"] {
        let last = breaks(FREED, &format!("agent C\n  put S; {step}; flush_vcpus A")).pop();
        assert_eq!(last, Some(format!("C: {step} in freed S")));
    }
    is_proved("agent C\n  put S; pte_read A; flush_vcpus A");
    is_proved("agent C\n  put S; zap_spte A\noption walk_after_free = off");
    // The one is not the other.
    breaks(FREED, "agent C\n  put T; pte_read A; flush_vcpus A");
    is_proved("agent C\n  put T; zap_spte A");
}

#[test]
fn a_huge_shadow_entry_stands_for_all_pages_below() {
    let program =
        "agent C\n  set_spmd M -> big ro huge\nagent V\n  when spmd(M) == big; load B\nnever V reads B == 2";
    let steps = breaks("never V reads B == 2", program);
    assert_eq!(&steps[2..], ["V: walk B", "V: load B = 2"]);
    is_proved("agent C\n  set_spmd M -> S\nalways spmd(M) == S");
}

#[test]
fn without_a_shadow_entry_above_there_is_one_level() {
    let head = HEAD.replace("shadow M -> S\n", "");
    let source = |step: &str| {
        format!("{head}agent C\n  {step}; zap_spte A\nagent V spontaneous\n  load A\nnever V reads A\n")
    };
    let wrong = super::load(&source("zap_spmd M")).expect_err("there is none").remove(0);
    assert_eq!(wrong.message, "no shadow entry stands above the pages under `M`");
    assert_eq!(wrong.help, "declare it: `shadow M -> none`");
    let lowered = loaded("s.scn", &source("set_spte A -> orig")).remove(0);
    let Found::Violated(_, steps) = explore(&lowered.model, MOST) else { panic!("proved") };
    assert_eq!(steps, ["C: set_spte A -> orig", "V: walk A", "V: load A = 0"]);
    let other = format!("{HEAD}agent C\n  set_spmd M -> T; zap_spte A\nnever C zap_spte A\n");
    let wrong = super::load(&other).expect_err("two tables").remove(0);
    assert_eq!(wrong.message, "`M` names another page-table page elsewhere");
    let twice = HEAD.replace("shadow M -> S\n", "shadow M -> S\nshadow M -> none\n");
    assert!(super::load(&format!("{twice}agent C\n  zap_spte A\nnever C zap_spte A\n")).is_err());
    let nowhere = HEAD.replace("shadow M -> S", "shadow N -> S");
    let wrong = super::load(&format!("{nowhere}agent C\n  zap_spte A\nnever C zap_spte A\n"))
        .expect_err("no N")
        .remove(0);
    assert_eq!(wrong.message, "there is no upper entry `N`");
}
