//! Edits of orders.

use super::{Label, Line, Program, first, second};
use crate::step::{Condition, Step};

const OUT: Label = Label("out");

fn program() -> Program {
    Program::new(
        "test",
        vec![
            Step::LockTable.into(),
            Line::Check(Condition::PteSame, OUT),
            Step::Notify.into(),
            Step::ClearPte.into(),
            Step::Notify.into(),
            Line::Label(OUT),
            Step::UnlockTable.into(),
        ],
    )
}

fn steps(program: &Program) -> Vec<String> {
    program.lines().iter().map(ToString::to_string).collect()
}

#[test]
fn a_line_moves_up_and_down() {
    let down = program().moved_after(first(Step::Notify), first(Step::ClearPte));
    assert_eq!(steps(&down)[2..5], ["pte_clear A", "notify A", "notify A"]);
    let up = program().moved_before(second(Step::Notify), first(Step::ClearPte));
    assert_eq!(steps(&up)[2..5], ["notify A", "notify A", "pte_clear A"]);
    let past = program().moved_after(first(Step::Notify), first(Step::UnlockTable));
    assert_eq!(steps(&past).last().unwrap(), "notify A");
}

#[test]
fn a_line_or_all_of_a_kind_can_be_dropped() {
    assert_eq!(program().without(first(Step::Notify)).lines().len(), 6);
    assert_eq!(program().without_all(&[Step::Notify]).lines().len(), 5);
}

#[test]
#[should_panic(expected = "no label out")]
fn a_jump_backwards_is_refused() {
    let _ = program().moved_after(first(Line::Check(Condition::PteSame, OUT)), first(Step::UnlockTable));
}

#[test]
#[should_panic(expected = "no `copy old -> new`")]
fn an_edit_of_a_missing_line_is_refused() {
    let _ = program().without(first(Step::Copy));
}
