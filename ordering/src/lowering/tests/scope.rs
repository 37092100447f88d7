//! Whose caches an invalidation empties: everybody's, the own CPU's, all others' or one's.

use super::explorer::{Found, explore};
use super::meaning::{breaks, is_proved};
use super::{MOST, loaded};

/// Both CPUs have the page, and then `p`, which runs on C, takes the step.
fn after(step: &str, finally: &str, options: &str) -> String {
    format!(
        "agent c on C\n  walk A\nagent d on D\n  walk A\n\
         agent p on C\n  when tlb(C, A) && tlb(D, A); {step}\nfinally {finally}\n{options}"
    )
}

const FLUSHES: [&str; 3] = ["", "option flush = split", "option flush = ipi"];

#[test]
fn a_flush_empties_the_tlbs_of_its_scope_and_no_other() {
    for options in FLUSHES {
        for (step, own, other) in [
            ("flush_tlb A", false, false),
            ("flush_tlb A own", false, true),
            ("flush_tlb A others", true, false),
            ("flush_tlb A on C", false, true),
            ("flush_tlb A on D", true, false),
            ("flush_tlb A own; flush_tlb A others", false, false),
        ] {
            let sign = |is_there: bool| if is_there { "" } else { "!" };
            let finally = format!("{}tlb(C, A) && {}tlb(D, A)", sign(own), sign(other));
            is_proved(&after(step, &finally, options));
        }
    }
}

/// D has interrupts off until C has flushed.
fn flushed_before(step: &str) -> String {
    format!(
        "agent d on D\n  irq_off; x = 1; x = 2; irq_on\nagent p on C\n  when x; {step}; y = 1\n\
         always y == 0 || x == 2\noption flush = ipi"
    )
}

#[test]
fn only_who_is_interrupted_is_waited_for() {
    is_proved(&flushed_before("flush_tlb A"));
    is_proved(&flushed_before("flush_tlb A others"));
    is_proved(&flushed_before("flush_tlb A on D"));
    breaks("always y == 0 || x == 2", &flushed_before("flush_tlb A own"));
    breaks("always y == 0 || x == 2", &flushed_before("flush_tlb A on C"));
}

const DEVICES: &str = "scenario s\npage A\nframe f = 0\nmap A -> f rw\ncpu C\ndevice D ats, E ats\nvar x = 0..3\n\
                       agent d on D\n  walk A\nagent e on E\n  walk A\n";

#[test]
fn one_device_is_told_at_once_and_through_the_queue() {
    for (step, d, e) in
        [("notify A on D", "!", ""), ("notify A on E post; inv_wait", "", "!"), ("notify A", "!", "!")]
    {
        let source = format!(
            "{DEVICES}agent p on C\n  when devtlb(D, A) && devtlb(E, A); {step}\n\
             finally {d}devtlb(D, A) && {e}devtlb(E, A)\n"
        );
        let lowered = loaded("s.scn", &source).remove(0);
        let found = explore(&lowered.model, MOST);
        assert!(matches!(found, Found::Proved(_)), "{source}\n{found:?}");
    }
}

#[test]
fn a_flush_in_steps_reaches_the_cpus_in_any_order() {
    let seen = |stale: &str, fresh: &str, options: &str| {
        format!(
            "agent c on C\n  load A; x += 1; load A\nagent d on D\n  load A; x += 1; load A\n\
             agent p\n  when x == 2; set_pte A -> g rw; flush_tlb A\n\
             never {stale} reads A == 0 after {fresh} reads A == 1\noption evict = off\n{options}"
        )
    };
    for (stale, fresh) in [("c", "d"), ("d", "c")] {
        is_proved(&seen(stale, fresh, ""));
        let broken = format!("never {stale} reads A == 0 after {fresh} reads A == 1");
        breaks(&broken, &seen(stale, fresh, "option flush = split"));
        breaks(&broken, &seen(stale, fresh, "option flush = ipi"));
    }
}
