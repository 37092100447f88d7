//! Proofs of nothing, and expectations that are met for another reason.

use super::{Answer, Answered};
use crate::engine::{Options, Reductions, compile, explore};
use crate::lowering::load;

/// The answer to the only scenario of a text, which must be the same without reductions.
fn answer(text: &str) -> Answer {
    let (_, lowered) = load(text).expect("it loads").remove(0);
    let packed = compile(&lowered.model).expect("it fits");
    let answer = |reductions| {
        let options = Options { reductions, ..Options::default() };
        Answer::new(&lowered, &explore(&packed, &options))
    };
    let reduced = answer(Reductions::ALL);
    assert_eq!(reduced, answer(Reductions::NONE), "a reduction hides something");
    reduced
}

const VACUOUS: &str = "scenario vacuous
page A
frame old = 1, new = 0 free
map A -> old ro
cpu T0
device D
var x = 0..1
race
T0                | D
if x == 1:        | dma_read A
  pte_clear A     |
  alloc new       |
  set_pte A -> new rw |
  store A = 2     |

never D reads A == 1 after T0 writes A == 2
expect proved
";

#[test]
fn a_proof_whose_after_never_happens_is_vacuous() {
    let answer = answer(VACUOUS);
    assert_eq!(answer.answered, Answered::Vacuous);
    assert_eq!(answer.empty[0].why, "what stands behind its `after` happens in no order");
    let untaken: Vec<_> = answer.untaken.iter().map(|one| (one.statement.row, one.statement.line)).collect();
    assert_eq!(untaken, [(2, 11), (3, 12), (4, 13), (5, 14)]);
    assert!(!answer.is_as_expected());
}

#[test]
fn what_a_limit_kept_from_being_seen_makes_no_proof_vacuous() {
    let (_, lowered) = load(VACUOUS).expect("it loads").remove(0);
    let mut outcome = explore(&compile(&lowered.model).expect("it fits"), &Options::default());
    outcome.coverage.as_mut().expect("it is proved").complete = false;
    let answer = Answer::new(&lowered, &outcome);
    assert_eq!(answer.answered, Answered::Proved);
    let said = "a limit was hit before `never D reads A == 1 after T0 writes A == 2` was seen to be at stake";
    assert!(answer.faults.iter().any(|fault| fault == said), "{:?}", answer.faults);
}

#[test]
fn rows_that_are_said_to_be_unreached_do_not_make_a_vacuous_proof_one() {
    let answer = answer(&format!("{VACUOUS}unreached T0.2 to 5 \"nobody sets x\"\n"));
    assert_eq!(answer.faults, ["expected PROVED, found VACUOUS"]);
}

#[test]
fn rows_that_no_order_takes_are_said_or_not_as_expected() {
    let text = VACUOUS.replace("after T0 writes A == 2", "").replace("D reads A == 1", "D reads A == 2");
    let said = |rows: &str| answer(&format!("{text}unreached T0.{rows} \"nobody sets x\"\n")).faults;
    assert_eq!(answer(&text).faults.len(), 4);
    assert_eq!(said("2 to 5"), <[&str; 0]>::default());
    assert_eq!(said("2 to 4"), ["no order takes `store A = 2`, row 5 of T0, line 14"]);
    assert_eq!(said("1 to 5"), ["row 1 of T0 is said to be unreached (line 18), and some order takes it"]);
}

#[test]
fn a_vcpu_whose_shadow_entry_nobody_sets_takes_no_step() {
    let answer = answer(
        "scenario vcpu-that-never-loads
page A
frame f = 1
map A -> f rw
cpu T0
vcpu V0
agent T0
  zap_spte A
  pte_clear A
  put f
agent V0 spontaneous
  load A
never use of a freed frame
expect proved
",
    );
    assert_eq!(answer.faults, ["no order takes `load A`, row 1 of V0, line 12"]);
}

/// A fault handler that looks whether anything was invalidated, and invalidates itself each time.
const RETRIES: &str = "scenario retries
page A
frame f = 0
map A -> f ro
cpu T0
var sequence = 0..1
agent T0
again:
  sequence = 1
  check sequence == 0 else again
  load A
finally sequence == 0
";

#[test]
fn a_loop_that_never_ends_is_a_violation_that_shows_its_round() {
    let (_, lowered) =
        load(&format!("{RETRIES}expect violation of never livelock in 0 steps")).unwrap().remove(0);
    let outcome = explore(&compile(&lowered.model).unwrap(), &Options::default());
    assert!(Answer::new(&lowered, &outcome).is_as_expected());
    let crate::engine::Verdict::Violated { trace, .. } = outcome.verdict else { panic!("it never ends") };
    let round = trace.round.expect("it goes round");
    assert_eq!((round.lead.len(), round.cycle.len()), (1, 2));
}

#[test]
fn a_finally_that_no_order_reaches_is_vacuous() {
    let answer = answer(&format!("{RETRIES}option livelock = off\nunreached T0.4 \"it never ends\""));
    assert_eq!(answer.answered, Answered::Vacuous);
    assert_eq!(answer.empty[0].why, "no order comes to an end, which is where it looks");
}

#[test]
fn a_branch_that_only_jumps_is_told_when_nobody_takes_it() {
    let text = |body: &str| format!("scenario s\nvar x = 0..1\nagent p\n{body}\nfinally x == 1\n");
    let goto = text("  if x == 1: goto out\n  x = 1\nout:");
    assert_eq!(answer(&goto).faults, ["no order takes `goto out`, row 1 of p, line 4"]);
    let choice = text("  { when x == 1; x = 1 } | x = 1");
    assert_eq!(
        answer(&choice).faults,
        ["no order takes `when x == 1`, row 1 of p, line 4", "no order takes `x = 1`, row 1 of p, line 4"]
    );
}

/// A mark that nobody sets would accuse the jump.
#[test]
fn a_branch_that_only_jumps_is_taken_with_its_look() {
    let text = "scenario s\nvar x = 0..1, y = 0..1\nagent p\n  if x == 1: goto out\n  y = 1\nout:\nagent q\n  x = 1\n\
                finally x == 1\n";
    assert_eq!(answer(text).faults, Vec::<String>::new());
}

/// The TLB's clean entry lets the store look at the table, which refuses it: a look is no store.
#[test]
fn who_only_looks_for_a_store_has_not_stored() {
    let text = "scenario s\npage A\nframe f = 0\nmap A -> f rw -dirty\ncpu C0, C1\nvar done = 0..1\nagent T0 on C0\n  \
                pte_read A\n  pte_modify A ro\n  done = 1\nagent later on C1 spontaneous\n  load A\n  when done\n  \
                store A = 2\nfinally done\n";
    assert_eq!(answer(text).faults, ["no order takes `store A = 2`, row 3 of later, line 14"]);
}

#[test]
fn who_may_stop_needs_no_step_for_it() {
    let text = "scenario s
page A
frame f0 = 0
map A -> f0 ro
cpu C, T
agent C
  store A = 2
agent T
  repeat 0..2:
    load A
never deadlock
expect violation of never deadlock in 3 steps
";
    assert!(answer(text).is_as_expected(), "the repeat ends without a step, and the store waits");
}

#[test]
fn of_two_properties_that_break_at_once_the_first_is_told() {
    let text = "scenario s\nvar x = 0..1\nagent p\n  x = 1\nfinally x == 0\nalways x == 0\n\
                expect violation of finally x == 0 in 1 steps\n";
    assert_eq!(answer(text).faults, [""; 0]);
}

#[test]
fn a_violation_of_another_property_is_not_the_expected_one() {
    let text = |expect: &str| {
        format!(
            "scenario s\npage A\nframe f = 1\nmap A -> f rw\ncpu T0, T1\nagent T0\n  pte_clear A\n  put f\n  \
             flush_tlb A\nagent T1 spontaneous\n  load A\nnever deadlock\nexpect violation{expect}\n"
        )
    };
    assert!(answer(&text("")).faults[0].starts_with("`never use of a freed frame` broke, which is built in"));
    assert!(answer(&text(" of never use of a freed frame in 4 steps")).is_as_expected());
    assert_eq!(
        answer(&text(" of never deadlock")).faults,
        ["expected to break is `never deadlock`, broken is `never use of a freed frame`"]
    );
}
