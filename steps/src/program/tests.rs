//! Edits of orders.

use super::{Label, Line, Program, first, second};
use crate::one_page::{CLEAR_PTE, COPY, Condition, LOCK_TABLE, NOTIFY, UNLOCK_TABLE};

const OUT: Label = Label("out");

fn program() -> Program {
    Program::new(
        "test",
        vec![
            LOCK_TABLE.into(),
            Line::Check(Condition::PteSame, OUT),
            NOTIFY.into(),
            CLEAR_PTE.into(),
            NOTIFY.into(),
            Line::Label(OUT),
            UNLOCK_TABLE.into(),
        ],
    )
}

fn steps(program: &Program) -> Vec<String> {
    program.lines().iter().map(ToString::to_string).collect()
}

#[test]
fn a_line_moves_up_and_down() {
    let down = program().moved_after(first(NOTIFY), first(CLEAR_PTE));
    assert_eq!(steps(&down)[2..5], ["pte_clear A", "notify A", "notify A"]);
    let up = program().moved_before(second(NOTIFY), first(CLEAR_PTE));
    assert_eq!(steps(&up)[2..5], ["notify A", "notify A", "pte_clear A"]);
    let past = program().moved_after(first(NOTIFY), first(UNLOCK_TABLE));
    assert_eq!(steps(&past).last().unwrap(), "notify A");
}

#[test]
fn a_line_or_all_of_a_kind_can_be_dropped() {
    assert_eq!(program().without(first(NOTIFY)).lines().len(), 6);
    assert_eq!(program().without_all(&[NOTIFY]).lines().len(), 5);
}

#[test]
#[should_panic(expected = "no label out")]
fn a_jump_backwards_is_refused() {
    let _ = program().moved_after(first(Line::Check(Condition::PteSame, OUT)), first(UNLOCK_TABLE));
}

#[test]
#[should_panic(expected = "no `copy old -> new`")]
fn an_edit_of_a_missing_line_is_refused() {
    let _ = program().without(first(COPY));
}
