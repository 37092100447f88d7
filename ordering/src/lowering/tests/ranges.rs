//! Ranges of several pages that lie side by side.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str = "scenario s\npage A, B, C, D\nframe f = 0\nmap A -> f rw, B -> f rw, C -> f rw, D -> f rw\n\
                    refs f = 4\ncpu T\nvcpu V\ndevice E\nvar x = 0..3\n";

fn found(programs: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{programs}\n")).remove(0);
    assert_eq!(lowered.model.validate(), Ok(()));
    explore(&lowered.model, MOST)
}

fn is_proved(programs: &str) {
    let found = found(programs);
    assert!(matches!(found, Found::Proved(_)), "{programs}\n{found:?}");
}

fn breaks(programs: &str) -> String {
    match found(programs) {
        Found::Violated(broken, _) => broken,
        other => panic!("{programs}\n{other:?}"),
    }
}

#[test]
fn a_range_is_opened_over_all_of_its_pages_in_one_step_and_over_no_other() {
    is_proved(
        "agent T\n  notify_start B to C\nalways in_progress(B) == in_progress(C) && in_progress(A) == 0 && in_progress(D) == 0",
    );
    is_proved(
        "agent T\n  notify_start A to D; notify_start B; notify_end A to D\nfinally in_progress(B) == 1 && in_progress(A) == 0",
    );
    is_proved("agent T\n  notify_start B to B; notify_end B\nfinally in_progress(B) == 0");
    for (page, is_open) in [("A", false), ("B", true), ("C", true), ("D", false)] {
        let reads = format!(
            "agent T\n  notify_start B to C\nagent V\n  load {page}\nnever V reads {page} after T notify_start"
        );
        let reads = reads.replace("after T notify_start", "after T notify_start B to C");
        if is_open {
            is_proved(&format!("{reads}\noption deadlock = off"));
        } else {
            breaks(&reads);
        }
    }
}

#[test]
fn opening_a_range_zaps_what_vcpus_have_of_all_of_its_pages() {
    let zapped = |range: &str| {
        format!(
            "agent V\n  load A; load C; x = 1\nagent T\n  when x == 1; notify_start {range}; x = 2\nalways x != 2 || spte(A) == none && spte(C) == none"
        )
    };
    is_proved(&zapped("A to C"));
    breaks(&zapped("A to B"));
    breaks(&zapped("B to C"));
}

#[test]
fn whoever_ends_more_than_is_open_is_out_of_range() {
    assert_eq!(breaks("agent T\n  notify_start A; notify_end A to B"), "never out of range");
    is_proved("agent T\n  notify_start A to B; notify_end A; notify_end B\nfinally in_progress(A) == 0");
}

#[test]
fn caches_are_emptied_of_all_pages_of_a_range() {
    let cpu = |step: &str| {
        format!(
            "agent T\n  load A; load B; load C; {step}; x = 1\nalways x == 0 || tlb(T, A) == none && tlb(T, B) == none"
        )
    };
    is_proved(&cpu("flush_tlb A to B"));
    is_proved(&cpu("flush_tlb A to D own"));
    breaks(&cpu("flush_tlb B to C"));
    breaks(&cpu("flush_tlb A to B others"));
    let device = |step: &str| {
        format!(
            "agent E\n  walk A; walk B\nagent T\n  when iotlb(E, B); pte_clear A; pte_clear B; {step}; x = 1\n\
                 always x == 0 || iotlb(E, A) == none && iotlb(E, B) == none"
        )
    };
    is_proved(&device("notify A to B"));
    is_proved(&device("notify A to B on E post; inv_wait"));
    breaks(&device("notify B to C"));
}

#[test]
fn a_range_that_is_none_is_refused_with_a_remedy() {
    let wrong = |head: &str, step: &str| {
        let wrong =
            super::load(&format!("{head}agent T\n  {step}\nnever reads A\n")).expect_err(step).remove(0);
        (wrong.message, wrong.help)
    };
    let (message, help) = wrong(HEAD, "notify_start C to A");
    assert_eq!(message, "`A` is declared before `C`: no pages are between them");
    assert_eq!(help, "write `A to C`; pages lie in the order in which they are declared");
    let spaces = HEAD.replace("page A, B, C, D", "mm P, Q\npage A in P, B in Q, C in P, D");
    let (message, _) = wrong(&spaces, "flush_tlb A to C");
    assert_eq!(message, "between `A` and `C` are pages of different address spaces");
    let (message, _) = wrong(HEAD, "notify A to Z");
    assert_eq!(message, "there is no page `Z`");
    assert!(
        wrong(HEAD, "zap_spte A to B").0.contains("`to` stands where"),
        "{:?}",
        wrong(HEAD, "zap_spte A to B")
    );
}
