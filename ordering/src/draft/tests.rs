//! A draft is what its text says, and no name of it can say more.

use super::{Draft, Entry, Event, Program, Step};
use crate::answer::{Answer, Answered};
use crate::catalogue;
use crate::engine::{Options, compile, explore};
use crate::language::parse;
use crate::language::syntax::UserKind;
use crate::lowering::Lowered;

/// The first scenario of cow/notify-under-lock.scn.
fn late_notification() -> Draft {
    let cpu = Program::new()
        .lock("ptl(A)")
        .pte_clear("A")
        .flush_tlb("A")
        .set_pte("A", Entry::read_write("new"))
        .unlock("ptl(A)")
        .store("A", 1)
        .notify("A");
    let device = Program::new().repeat(0..=2, Program::new().walk("A").dma_read("A"));
    Draft::new("late-notification")
        .page("A")
        .frame("old", 0)
        .frame("new", 0)
        .map("A", Entry::read_only("old"))
        .user(UserKind::Cpu, "CPU")
        .device_with_tlb("IOMMU")
        .agent("CPU", cpu)
        .agent("IOMMU", device)
        .never_after(Event::reads("IOMMU", "A", 0), Event::stores("CPU", "A", 1))
        .expect_violation()
}

fn answered(lowered: &Lowered) -> (Answered, usize, bool) {
    let outcome = explore(&compile(&lowered.model).unwrap(), &Options::default());
    let answer = Answer::new(lowered, &outcome);
    (answer.answered, outcome.statistics.states, answer.is_as_expected())
}

#[test]
fn a_draft_is_what_the_parser_makes_of_its_text() {
    let draft = late_notification();
    let text = draft.to_string();
    let drafted = draft.finish().unwrap();
    assert_eq!(parse(&text).scenarios, [drafted.scenario]);
    assert_eq!(drafted.text, text);
}

#[test]
fn a_draft_has_the_verdict_and_the_states_of_the_file_that_says_the_same() {
    let written = catalogue::entries().into_iter().find(|entry| entry.lowered.name == "cow-clear-flush-only");
    let drafted = late_notification().finish().unwrap();
    assert_eq!(answered(&drafted.lowered), answered(&written.unwrap().lowered));
    assert_eq!(answered(&drafted.lowered).0, Answered::Violated);
}

#[test]
fn a_name_that_is_more_than_one_word_is_refused_wherever_it_stands() {
    let bad = ["A, B", "A\npage B", "", "A # B", "A\u{a0}B", "a|b"];
    for name in bad {
        let drafts = [
            late_notification().page(name),
            late_notification().frame(name, 0),
            late_notification().map("A", Entry::read_only(name)),
            late_notification().user(UserKind::Cpu, name),
            late_notification().never(Event::reads(name, "A", 0)),
            late_notification().never(Event::reads("CPU", name, 0)),
            late_notification().option("memory", name),
            late_notification().agent("CPU", Program::new().set(name, 1)),
        ];
        for draft in drafts {
            let rejected = draft.finish().unwrap_err();
            assert!(rejected.diagnostics[0].message.ends_with("is no name"), "{name:?}: {rejected}");
        }
    }
    for name in ["A\npage B", "A # B", "A\u{a0}B", "a|b"] {
        let step = Step::Load(name.into());
        let rejected = late_notification().agent("T", Program::new().step(&step)).finish().unwrap_err();
        assert!(rejected.diagnostics[0].message.ends_with("is no name"), "{name:?}: {rejected}");
    }
}

#[test]
fn names_of_scenario_and_agents_are_names_too() {
    for name in ["a b", "a\npage X\nscenario b", "a # b", ""] {
        let named = Draft { name: name.into(), ..late_notification() };
        for draft in [named, late_notification().agent(name, Program::new().load("A"))] {
            let rejected = draft.finish().unwrap_err();
            assert!(rejected.diagnostics[0].message.ends_with("is no name"), "{name:?}: {rejected}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_draft_is_told_with_the_line_that_says_it() {
    let rejected = late_notification().map("B", Entry::none()).finish().unwrap_err();
    let shown = rejected.to_string();
    assert!(shown.contains("map B -> none"), "{shown}");
}

#[test]
fn variables_wait_and_repeat_as_they_do_in_a_file() {
    let drafted = Draft::new("handshake")
        .page("A")
        .frame("f", 0)
        .map("A", Entry::read_write("f"))
        .user(UserKind::Cpu, "ONE")
        .user(UserKind::Vcpu, "TWO")
        .variable("ready", 0..=1)
        .option("deadlock", "on")
        .agent("ONE", Program::new().store("A", 7).set("ready", 1))
        .agent("TWO", Program::new().wait_until("ready", 1).load("A"))
        .never_after(Event::reads("TWO", "A", 0), Event::writes("ONE", "A", 7))
        .never(Event::use_of_a_freed_frame())
        .expect_proof()
        .finish()
        .unwrap_or_else(|rejected| panic!("{rejected}"));
    assert!(answered(&drafted.lowered).2);
}
