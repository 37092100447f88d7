//! Assignments as events of properties.

use super::meaning::{breaks, is_proved};
use crate::lowering::load;

const READER: &str = "agent q\n  when y; read f\n";

#[test]
fn an_assignment_is_an_event_with_and_without_its_agent() {
    for (program, event) in [
        ("x = 1", "p x = 1"),
        ("x = 1", "x = 1"),
        ("x=1", "p  x =  1"),
        ("x += 2", "x += 2"),
        ("x += 2; x -= 1", "p x -= 1"),
        ("x = y", "x = y"),
        ("x = y + 1", "x = y + 1"),
        ("atomic { x = 1; x += 1 }", "x += 1"),
    ] {
        let after = format!("never q read f after {event}");
        let shown = after.replace("  ", " ").replace("=  1", "= 1");
        breaks(&shown, &format!("agent p\n  {program}; y = 1\n{READER}{after}"));
        is_proved(&format!("agent p\n  when y; {program}\nagent q\n  read f; y = 1\n{after}"));
    }
}

#[test]
fn an_assignment_may_be_what_never_happens_and_what_ends_that() {
    breaks("never x = 1 after y = 1", "agent p\n  y = 1\nagent q\n  x = 1\nnever x = 1 after y = 1");
    breaks("never q x = 1", "agent p\n  x = 2\nagent q\n  x = 1\nnever q x = 1");
    let until = "never q read f after x = 1 until x = 0";
    breaks(until, &format!("agent p\n  x = 1; y = 1; x = 0\n{READER}{until}"));
    is_proved(&format!("agent p\n  x = 1; x = 0; y = 1\n{READER}{until}"));
}

#[test]
fn a_plain_store_has_happened_when_its_agent_takes_the_step() {
    let program =
        "option memory = tso\nagent p\n  x = 1\nagent q\n  if x == 0: read f\nnever q read f after x = 1";
    assert_eq!(breaks("never q read f after x = 1", program).len(), 3);
}

#[test]
fn an_assignment_that_no_program_makes_can_never_happen() {
    let wrong = |event: &str| {
        let source =
            format!("scenario s\nframe f\nvar x = 0..3\nagent p\n  x = 1\nnever p read f after {event}\n");
        let found = load(&source.replace("x = 1\n", "x = 1; read f\n")).expect_err(event);
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    let never = "this property can never fail: no step of any program is this";
    for event in ["x = 2", "x += 1", "x -= 1"] {
        assert_eq!(wrong(event), [never], "{event}");
    }
    assert_eq!(wrong("z = 1"), ["there is no variable `z`"]);
    assert_eq!(wrong("x ="), ["the line ends where a value is expected"]);
}

#[test]
fn a_step_is_not_named_by_the_beginning_of_a_word() {
    is_proved("frame ff = 0\nagent p\n  put ff\n  if x: put f\nnever put f");
    breaks("never put ff", "frame ff = 0\nagent p\n  put ff\nnever put ff");
}
