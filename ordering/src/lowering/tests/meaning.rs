//! Small scenarios, one for each rule of the language that the catalogue does not already hang on.

use super::explorer::{Found, explore};
use super::{MOST, loaded};

const HEAD: &str =
    "scenario s\npage A\nframe f = 0, g = 1\nmap A -> f rw\ncpu C, D\nvar x = 0..3\nvar y = 0..1\n";

pub(super) fn found(program: &str) -> Found {
    let lowered = loaded("s.scn", &format!("{HEAD}{program}\n")).remove(0);
    lowered.model.validate().unwrap();
    explore(&lowered.model, MOST)
}

pub(super) fn is_proved(program: &str) {
    let found = found(program);
    assert!(matches!(found, Found::Proved(_)), "{program}\n{found:?}");
}

pub(super) fn breaks(property: &str, program: &str) -> Vec<String> {
    match found(program) {
        Found::Violated(broken, steps) if broken == property => steps,
        other => panic!("{program}\n{other:?}"),
    }
}

#[test]
fn nobody_acts_inside_of_an_atomic_block() {
    let program = |body: &str| format!("agent p\n  {body}\nagent q\n  y = 1\nalways x != 1 || y == 0");
    is_proved(&program("atomic { x += 1; x += 1 }"));
    breaks("always x != 1 || y == 0", &program("x += 1; x += 1"));
}

#[test]
fn an_atomic_block_has_seen_what_it_compares() {
    let program = |between: &str| {
        format!(
            "agent p\n  atomic {{ pte_read A; {between} check pte_same A else out; x = 1 }}\nout:\nfinally x == 1"
        )
    };
    is_proved(&program(""));
    breaks("finally x == 1", &program("pte_clear A;"));
}

#[test]
fn a_number_is_added_and_subtracted() {
    is_proved("agent p\n  x = 2\nfinally x - 1 == 1");
    is_proved("agent p\n  x = 2\nfinally x + 1 == 3");
}

#[test]
fn an_atomic_block_counts_what_it_has_changed_itself() {
    is_proved("agent p\n  atomic { put f; check refs(f) == 0 else out; x = 1 }\nout:\nfinally x == 1");
    is_proved("agent p\n  atomic { get f; put f }\nfinally refs(f) == 1");
    breaks("never use of a freed frame", "agent p\n  atomic { put f; get f }");
}

#[test]
fn an_atomic_block_waits_until_all_of_it_can_be_taken() {
    is_proved("agent p\n  atomic { x = 1; when y }\nagent q\n  y = 1\nalways x == 0 || y == 1");
}

#[test]
fn a_choice_is_made_by_who_can_go_on() {
    is_proved("agent p\n  { when x; y = 1 } | { when !x; y = 0 }\nfinally y == 0");
}

#[test]
fn a_repeat_runs_as_often_as_it_says() {
    is_proved("agent p\n  repeat 2: x += 1\nfinally x == 2");
    assert_eq!(breaks("finally x != 1", "agent p\n  repeat 0..3: x += 1\nfinally x != 1").len(), 1);
    is_proved("agent p\n  repeat 1..3: x += 1\nfinally x > 0");
}

#[test]
fn an_else_is_the_other_case() {
    is_proved("agent p\n  if x == 0:\n    y = 1\n  else:\n    x = 3\nfinally y == 1 && x == 0");
    is_proved("agent p\n  if x > 0: y = 1\n  else: x = 3\nfinally y == 0 && x == 3");
}

#[test]
fn two_locks_in_opposite_order_deadlock() {
    let program =
        "agent p\n  lock a; lock b; unlock b; unlock a\nagent q\n  lock b; lock a; unlock a; unlock b";
    assert_eq!(breaks("never deadlock", program).len(), 2);
}

#[test]
fn the_lock_of_another_cannot_be_released() {
    breaks("never unlock without lock", "agent p\n  lock a\nagent q\n  unlock a\noption deadlock = off");
}

#[test]
fn what_leaves_its_range_is_a_violation() {
    breaks("never out of range", "agent p\n  repeat 4: x += 1");
    breaks("never out of range", "agent p\n  x -= 1");
    breaks("never out of range", "agent p\n  notify_end A");
}

#[test]
fn change_pte_takes_over_a_read_only_entry_and_drops_the_shadow_for_any_other() {
    let program = |orig: &str| {
        format!("vcpu V\nagent V\n  load A; x = 1\nagent p\n  when x == 1; {orig}; change_pte A; x = 2\n")
    };
    is_proved(&(program("set_pte A -> g ro") + "always x != 2 || spte(A) == g ro"));
    is_proved(&(program("set_pte A -> g rw") + "always x != 2 || spte(A) == none"));
    is_proved(&(program("pte_clear A") + "always x != 2 || spte(A) == none"));
}

#[test]
fn a_frame_is_no_ksm_page_in_its_next_life_and_a_freed_one_cannot_become_one() {
    is_proved("agent p\n  mark_stable g; put g; alloc g; x = 1\nalways x == 0 || !stable(g)");
    breaks("never use of a freed frame", "agent p\n  put g; mark_stable g");
}

#[test]
fn until_forgets_what_after_remembers() {
    let program = |order: &str| {
        format!(
            "agent p\n  {order}\nnever C reads A after p put g until p get f\nagent later on C\n  load A\n\
                 agent C\n  when x; load A"
        )
    };
    is_proved(&program("put g; get f; x = 1").replace("agent later on C\n  load A\n", ""));
    breaks("never C reads A after p put g until p get f", &program("get f; put g; x = 1"));
}

#[test]
fn a_jump_back_is_explored_to_its_end() {
    is_proved("agent p\nagain:\n  x += 1\n  if x < 3: goto again\nfinally x == 3");
}

#[test]
fn an_eviction_lets_the_same_reader_see_the_new_page_and_then_the_old() {
    let program = |evict: &str| {
        format!(
            "agent mm\n  when x\n  set_pte A -> g rw\nagent C\n  load A\n  x = 1\n  load A\n\
                 never C reads A == 1\noption evict = {evict}"
        )
    };
    is_proved(&program("off"));
    breaks("never C reads A == 1", &program("on"));
}

#[test]
fn large_numbers_end_in_an_error_and_not_in_a_long_run() {
    let source = format!("{HEAD}agent C\n  repeat 4000000000:\n    repeat 4000000000: store A = 1\n");
    let shown: Vec<_> = super::load(&source).unwrap_err().into_iter().map(|one| one.message).collect();
    assert_eq!(shown, ["the program of `C` is too large: it has more than 20000 steps or 100000 cases"]);
    let joined = vec!["x"; 100_000].join(" && ");
    assert!(super::load(&format!("{HEAD}agent C\n  if {joined}: end\n")).is_err());
    let nested = "{".repeat(100_000);
    assert!(super::load(&format!("{HEAD}agent C\n  {nested}\n")).is_err());
}

#[test]
fn every_look_of_the_vocabulary_can_be_used_in_a_condition() {
    for (form, _) in steps::table::LOOKS {
        let look = form
            .replace("PAGE", "A")
            .replace("FRAME", "f")
            .replace("CPU", "C")
            .replace("DEVICE", "D")
            .replace("PASID", "X")
            .replace("PMD", "M")
            .replace("TAG", "T")
            .replace("CONTEXT", "E");
        // A vCPU has a TLB of its own where programs write its shadow entries themselves.
        let things = if form.contains("TAG") || form.contains("loaded_mm") {
            // Whoever has tags has no PASID and walks past no upper entry here.
            "tag T\nmm P\npage A in P\nframe f = 0\nmap A -> f ro\ncpu C in P tag T\nvcpu VC\n"
        } else if form.contains("context") {
            "mm P\npage A in P\nframe f = 0\nmap A -> f ro\ncpu C\nvcpu VC\ncontext E -> P\ndevice D context E\n"
        } else {
            "page A\npmd M -> none\nframe f = 0\nmap A -> f ro\ncpu C\nvcpu VC\npasid X\ndevice D pasid X\n"
        };
        let source =
            format!("scenario s\n{things}\nagent K\n  zap_spte A\nagent C\n  if {look}: pte_clear A\n");
        let loaded = crate::lowering::load(&source);
        assert!(loaded.is_ok(), "{form}: {loaded:?}");
    }
}
