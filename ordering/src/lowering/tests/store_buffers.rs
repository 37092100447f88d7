//! Small scenarios, one for each rule of the store buffers that the catalogue does not already hang on.

use super::meaning::{breaks, is_proved};

/// Two agents store and then look; `between` them, one has a fence.
fn one_sided(between: &str) -> String {
    format!(
        "var a = 0..1\nvar b = 0..1\nvar r = 0..1\nvar s = 0..1\noption memory = tso\n\
         agent p\n  {between}\nagent q\n  b = 1\n  fence\n  s = a\nfinally r || s"
    )
}

#[test]
fn a_plain_store_waits_and_a_locked_step_does_not_come_before_it() {
    breaks("finally r || s", &one_sided("a = 1; r = b"));
    breaks("finally r || s", &one_sided("lock m; a = 1; unlock m; r = b"));
    breaks("finally r || s", &one_sided("a = 1; set_pte A -> f rw; pte_read A; r = b"));
    for locked in [
        "fence",
        "lock m; unlock m",
        "trylock m else over",
        "put f",
        "pte_clear A",
        "flush_tlb A",
        "write f = 1",
        "copy f -> g",
        "atomic { put f }",
        "ipi_sync",
        "gup_fast A => h",
    ] {
        is_proved(&one_sided(&format!("a = 1; {locked}; r = b\nover:")));
    }
}

#[test]
fn releasing_a_shared_lock_is_a_locked_step() {
    is_proved(&one_sided("lock m shared; a = 1; unlock m; r = b"));
}

#[test]
fn an_interrupt_and_a_grace_period_are_fences_for_those_who_answer() {
    for wait in ["ipi_sync", "synchronize_rcu"] {
        let program = one_sided("a = 1; r = b").replace("fence", wait);
        is_proved(&program);
    }
    breaks("finally r || s", &one_sided("a = 1; r = b").replace("fence", "flush_tlb A"));
    is_proved(&format!("{}\noption flush = ipi", one_sided("a = 1; r = b").replace("fence", "flush_tlb A")));
}

#[test]
fn a_full_buffer_waits_and_everything_reaches_memory() {
    is_proved(
        "option memory = tso\nagent p\n  x = 1; x = 2; x = 3; x = 1; x = 2; x = 3\nagent q\n  when x == 3\nfinally x == 3",
    );
    is_proved(
        "option memory = tso\nagent p\nagain:\n  x = 1; x = 2; y = 1\n  if y == 0: goto again\nagent q\n  when y; if x != 2: x = 0\nfinally x == 2",
    );
}

#[test]
fn a_store_in_a_loop_waits_more_than_once() {
    breaks(
        "finally r || t",
        "var a = 0..1\nvar b = 0..1\nvar r = 0..1\nvar s = 0..1\nvar t = 0..1\noption memory = tso\n\
         agent p\nagain:\n  a = 1\n  if s == 0: s = 1; goto again\n  r = b\n\
         agent q\n  b = 1; fence; t = a\nfinally r || t",
    );
}

#[test]
fn an_agent_sees_its_newest_store_and_the_walker_memory() {
    let head = "option memory = tso\nagent q\n  if pte(A) == f: y = 0\n  if x: y = 0\n";
    is_proved(&format!(
        "{head}agent C\n  set_pte A -> g rw; pte_read A; check orig(A) == g else bad; x = 1; x = 2\n  check x == 2 && pte_same A else bad; end\nbad:\n  y = 1\nfinally !y"
    ));
    let walks = format!("{head}agent C\n  set_pte A -> g rw; FENCE; load A\nnever C reads A == 0");
    is_proved(&walks.replace("FENCE", "fence"));
    breaks("never C reads A == 0", &walks.replace("FENCE; ", ""));
}

#[test]
fn a_saved_entry_is_stored_through_the_buffer() {
    let program = |between: &str| {
        format!(
            "option memory = tso\nagent q\n  when !y; pte_clear A{between}; set_pte A -> orig; r = b\nagent p\n  b = 1; fence; if pte(A) == none: s = 1\nvar b = 0..1\nvar r = 0..1\nvar s = 0..1\nfinally r || !s"
        )
    };
    breaks("finally r || !s", &program(""));
}
