//! Handles without a reference.

use super::meaning::{breaks, found, is_proved};

const FREED: &str = "never use of a freed frame";

#[test]
fn a_frame_that_is_peeked_at_is_counted_by_nobody_and_may_go() {
    is_proved("agent p\n  peek A => h; read h\nagent q\n  pte_clear A\nalways refs(f) == 1");
    let program = |take: &str, drop: &str| {
        format!("agent p\n  {take} => h; write h = 1; {drop}\nagent q\n  pte_clear A; put f\n{FREED}")
    };
    let steps = breaks(FREED, &program("peek A write", "x = 1"));
    assert_eq!(steps.last().expect("a step"), "p: write h = 1 in freed f");
    is_proved(&program("gup_fast A write", "put h"));
}

#[test]
fn only_what_hardware_could_use_is_peeked_at_and_what_gup_does_not_take_too() {
    let holds = |mm: &str, peek: &str, holds: &str| {
        is_proved(&format!(
            "agent p\n  {mm}; peek A{peek} => h; check h == {holds} else no; x = 1\nno:\nfinally x == 1"
        ));
    };
    holds("set_pte A -> f ro", "", "f");
    holds("set_pte A -> f ro", " write", "none");
    holds("set_pte A -> f rw protnone", "", "none");
    holds("set_pte A -> f rw special", " write", "f");
    holds("pte_clear A", "", "none");
    let gup = "agent p\n  set_pte A -> f rw special; gup_fast A => h; if h: x = 1\nalways x == 0";
    is_proved(gup);
}

#[test]
fn peek_remembers_the_entry_that_it_saw() {
    is_proved("agent p\n  pte_clear A; peek A => h; if pte_same A: x = 1\nfinally x == 1");
    breaks("finally x == 1", "agent p\n  peek A => h; pte_modify A ro; if pte_same A: x = 1\nfinally x == 1");
}

#[test]
fn a_handle_names_its_frame_until_it_is_forgotten() {
    let program =
        |forgets: &str| format!("agent p\n  gup_fast A => h; put h; {forgets} if h: x = 1\nfinally x == 1");
    is_proved(&program(""));
    breaks("finally x == 1", &program("forget h;"));
    // What is forgotten is not dropped.
    is_proved("agent p\n  gup_fast A => h; forget h; write h = 1\nfinally refs(f) == 2 && content(f) == 0");
}

#[test]
fn under_an_upper_entry_peek_looks_at_both_in_one_step() {
    let head = "scenario s\ntable T\nframe f = 0, big = 1\npmd M -> T\npage A under M\nmap A -> f rw\nvar x = 0..1\n";
    let found = |mm: &str, holds: &str| {
        let programs =
            format!("agent p\n  {mm}; peek A => h; check h == {holds} else no; x = 1\nno:\nfinally x == 1\n");
        let lowered = super::loaded("s.scn", &format!("{head}{programs}")).remove(0);
        super::explorer::explore(&lowered.model, super::MOST)
    };
    for (mm, holds) in [("x = 0", "f"), ("set_pmd M -> big ro huge", "big"), ("pmd_clear M", "none")] {
        let found = found(mm, holds);
        assert!(matches!(found, super::Found::Proved(_)), "{mm}: {found:?}");
    }
    let freed = found("put T", "f");
    assert!(
        matches!(&freed, super::Found::Violated(broken, _) if broken == "never walk of a freed page-table page"),
        "{freed:?}"
    );
}

#[test]
fn a_handle_that_nothing_fills_cannot_be_forgotten() {
    let source = "scenario s\npage A\nframe f = 0\nmap A -> f rw\nagent p\n  forget h\nnever reads f\n";
    let wrong = super::load(source).expect_err("there is no such handle").remove(0);
    assert_eq!(wrong.message, "`h` never has a frame: no step of `p` takes one");
    assert_eq!(wrong.help, "take it before: `peek A => h`");
    assert!(matches!(found("agent p\n  peek A => h; forget h\nagent C\n  load A"), super::Found::Proved(_)));
}
