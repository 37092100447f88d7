//! Parts that are searched one by one: each text is one that a part with too few agents would answer wrongly.

use ordering::engine::{
    Length, Options, Outcome, PersistentSets, Reduction, Reductions, Statistics, Verdict, compile, explore,
};
use ordering::lowering::load;
use ordering::model::Check;

/// Asked for as soon as there is a state.
const AT_ONCE: Reductions =
    Reductions { persistent_sets: PersistentSets::Asked { at: 1 }, ..Reductions::ALL };

fn explored(text: &str, reductions: Reductions) -> Outcome {
    within(text, Options { reductions, ..Options::default() })
}

fn within(text: &str, options: Options) -> Outcome {
    let (_, lowered) = load(text).unwrap_or_else(|wrong| panic!("{wrong:?}\n{text}")).remove(0);
    let packed = compile(&lowered.model).expect("the scenario is small");
    explore(&packed, &options)
}

/// What is found in parts, after it was found to be the same as in every order.
fn found(text: &str) -> Outcome {
    let (apart, whole) = (explored(text, AT_ONCE), explored(text, Reductions::NONE));
    assert_eq!(apart.coverage, whole.coverage, "{text}");
    match (&apart.verdict, &whole.verdict) {
        (Verdict::Proved, Verdict::Proved) => {}
        (
            Verdict::Violated { property, trace, .. },
            Verdict::Violated { property: other, trace: shortest, .. },
        ) => {
            assert_eq!((property, trace.steps.len()), (other, shortest.steps.len()), "{text}");
        }
        (apart, whole) => panic!("in parts {apart:?}, as a whole {whole:?}\n{text}"),
    }
    apart
}

fn parts(text: &str) -> usize {
    found(text).statistics.parts
}

fn is_violated(text: &str) -> bool {
    matches!(found(text).verdict, Verdict::Violated { .. })
}

const VARIABLES: &str = "scenario s\nvar a = 0..1\nvar b = 0..1\nvar c = 0..1\nvar d = 0..1\nvar e = 0..1\n";
/// Each waits for `a`, and nobody for him.
const ONLOOKERS: &str = "agent u\n  when a == 1; d = 1\nagent v\n  when a == 1; e = 1; e = 0\n";

#[test]
fn who_is_waited_for_by_nobody_is_searched_with_those_he_waits_for() {
    let text = format!("{VARIABLES}agent x\n  a = 1\n{ONLOOKERS}");
    let Outcome { statistics: Statistics { parts, states, .. }, .. } = found(&text);
    let whole = explored(&text, Reductions::NONE).statistics.states;
    assert_eq!(parts, 2);
    assert!(states < whole, "{states} of {whole}");
}

#[test]
fn a_part_has_those_too_who_are_waited_for_by_those_who_are_waited_for() {
    let chain = "agent x\n  a = 1\nagent y\n  when a == 1; b = 1\nagent z\n  when b == 1; c = 1\n";
    let text = |asked: &str| format!("{VARIABLES}{chain}{ONLOOKERS}{asked}");
    assert_eq!(parts(&text("")), 3);
    assert!(is_violated(&text("never z c = 1")), "without x nobody would ever go on");
}

#[test]
fn what_a_formula_reads_is_written_in_one_part() {
    let writers = "agent x\n  a = 1\nagent y\n  when a == 1; b = 1\nagent z\n  when a == 1; c = 1\n";
    let text = |formula: &str| format!("{VARIABLES}{writers}{ONLOOKERS}{formula}\n");
    assert!(is_violated(&text("always !b || !c")), "y and z are in one part");
    assert!(is_violated(&text("finally !b || !c")), "y and z are in one part");
    assert_eq!(parts(&text("finally b && c")), 3, "and where it holds it is proved there");
}

#[test]
fn who_waits_for_ever_is_found_in_a_part_of_his_own() {
    let text = format!(
        "{VARIABLES}agent x\n  a = 1\nagent y\n  when b == 1; c = 1\n{ONLOOKERS}agent z\n  when a == 1; b = 1\n"
    );
    assert!(parts(&text) > 1);
    let text = format!("{VARIABLES}agent x\n  a = 1\nagent y\n  when b == 1; c = 1\n{ONLOOKERS}");
    assert!(is_violated(&text));
}

#[test]
fn that_all_end_is_not_said_by_a_part_with_some_of_them() {
    let waits = "agent x\n  a = 1\nagent y\n  when b == 1; c = 1\n";
    let text = format!("{VARIABLES}option deadlock = off\n{waits}{ONLOOKERS}");
    let coverage = found(&text).coverage.expect("nothing breaks");
    assert!(!coverage.end, "y never ends");
}

#[test]
fn who_goes_round_without_hope_is_not_left_out() {
    let round = "agent x\n  a = 1\nagent y\nagain:\n  when a == 1\n  c = 1\n  c = 0\n  goto again\n";
    assert!(is_violated(&format!("{VARIABLES}{round}{ONLOOKERS}")));
}

#[test]
fn who_goes_round_in_a_part_with_all_whose_end_is_awaited_is_not_left_out() {
    // Only x and y are waited for: their part is one that says whether all can end.
    let others =
        ONLOOKERS.replace("agent u", "agent u spontaneous").replace("agent v", "agent v spontaneous");
    let text = |last: &str| {
        let round = format!("agent x\n  a = 1\nagent y\nagain:\n  when a == 1\n  c = 1\n  c = 0\n  {last}\n");
        format!("{VARIABLES}{round}{others}")
    };
    let Verdict::Violated { property, .. } = found(&text("goto again")).verdict else {
        panic!("y goes round for ever");
    };
    let (_, lowered) = load(&text("goto again")).expect("it loads").remove(0);
    assert_eq!(lowered.model.properties[usize::from(property.0)].check, Check::Livelock);
    // Who may also stop going round ends, which the part says.
    assert_eq!(parts(&text("goto again | end")), 3);
}

/// COW on pages beside devices that read, with the notification before the new entry is set.
fn cow(pages: usize, devices: usize, asked: impl Fn(usize) -> String) -> String {
    let list = |count, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>();
    let page = |page| {
        format!(
            "  lock l\n  pte_clear P{page}\n  flush_tlb P{page}\n  notify P{page}\n  \
             set_pte P{page} -> n{page} rw\n  unlock l\n  store P{page} = 1\n"
        )
    };
    [
        format!("scenario cow\npage {}\n", list(pages, &|page| format!("P{page}")).join(", ")),
        format!("frame {}\n", list(pages, &|page| format!("o{page} = 0, n{page} = 0")).join(", ")),
        format!("map {}\n", list(pages, &|page| format!("P{page} -> o{page} ro")).join(", ")),
        format!("cpu A, B\ndevice {}\n", list(devices, &|device| format!("D{device}")).join(", ")),
        format!("agent A\n{}", list(pages, &page).concat()),
        format!("agent B\n{}", list(pages, &|page| format!("  load P{page}\n")).concat()),
        list(devices, &|device| format!("agent D{device}\n  repeat 0..2:\n    dma_read any\n")).concat(),
        list(pages, &asked).concat(),
    ]
    .concat()
}

#[test]
fn devices_that_only_read_cost_no_more_than_one() {
    for evict in ["on", "off"] {
        let text = |devices| {
            let asked = |page| format!("never reads P{page} == 0 after A store P{page}\n");
            cow(2, devices, asked).replace("agent A\n", &format!("option evict = {evict}\nagent A\n"))
        };
        let states = |devices| explored(&text(devices), AT_ONCE).statistics;
        let [one, two, three] = [1, 2, 3].map(states);
        assert_eq!((one.states, one.parts), (two.states, two.parts), "{evict}");
        assert_eq!((one.states, one.parts), (three.states, three.parts), "{evict}");
        assert_eq!(one.parts, 2);
    }
}

#[test]
fn a_property_that_names_a_device_adds_the_states_of_its_part_alone() {
    let named = cow(2, 3, |page| format!("never D1 reads P{page} == 0 after A store P{page}\n"));
    let everybody = cow(2, 3, |page| format!("never reads P{page} == 0 after A store P{page}\n"));
    let [named, everybody] = [named, everybody].map(|text| explored(&text, AT_ONCE).statistics);
    assert!(named.states < 2 * everybody.states, "{named:?} {everybody:?}");
}

#[test]
fn all_parts_together_stay_within_the_limit() {
    let text = cow(2, 1, |page| format!("never reads P{page} == 0 after A store P{page}\n"));
    let Statistics { parts, states, .. } = explored(&text, AT_ONCE).statistics;
    assert_eq!(parts, 2);
    let proved = |max_states| {
        let options = Options { reductions: AT_ONCE, max_states, ..Options::default() };
        matches!(within(&text, options).verdict, Verdict::Proved)
    };
    assert!(proved(states));
    assert!(!proved(states - 1), "each part alone has fewer");
}

/// Whether y comes before x makes no difference to where y is then, so one order is enough; each has a mark of its own.
/// Who does much that concerns nobody makes persistent sets pay, and without them stands before x and y.
fn either() -> String {
    let list =
        |one: &dyn Fn(usize) -> String, between: &str| (0..8).map(one).collect::<Vec<_>>().join(between);
    let ready = list(&|name| format!("v{name} == 3"), " && ");
    [
        VARIABLES,
        &list(&|name| format!("var v{name} = 0..3\n"), ""),
        &list(&|name| format!("agent w{name}\n  v{name} = 1; v{name} = 2\n  v{name} = 3\n"), ""),
        &format!("agent r\n  when {ready}; c = 1\n"),
        "agent x\n  when c == 1; a = 1\n",
        "agent y\n  when c == 1\n  if a == 0: goto one\none:\n  if a == 1: goto two\ntwo:\n  b = 1\n",
        ONLOOKERS,
    ]
    .concat()
}

#[test]
fn what_a_part_took_in_the_place_of_another_step_is_looked_for() {
    assert!(parts(&either()) > 1);
}

#[test]
fn what_there_was_no_room_to_look_for_is_not_said_never_to_happen() {
    let all = explored(&either(), AT_ONCE);
    assert!(all.coverage.is_some_and(|coverage| coverage.complete));
    // As many as the reduced search of all parts has; not reduced, one part has more.
    let options = Options { reductions: AT_ONCE, max_states: all.statistics.states, ..Options::default() };
    let some = within(&either(), options);
    assert!(matches!(some.verdict, Verdict::Proved));
    assert!(some.coverage.is_some_and(|coverage| !coverage.complete));
}

#[test]
fn of_two_parts_in_which_something_breaks_as_soon_the_first_property_is_named() {
    // The part with v is searched after the one with u.
    let asked = "never v e = 1\nnever u d = 1\n";
    assert!(is_violated(&format!("{VARIABLES}agent x\n  a = 1\n{ONLOOKERS}{asked}")));
}

/// y waits for what is never so, which nobody sees who looks at one variable at a time.
const NEVER_BOTH: &str = "agent x\n  a = 1; a = 0; b = 1\nagent y\n  when a == 1 && b == 1; c = 1\n";

#[test]
fn that_the_agents_of_a_part_end_is_not_said_of_all() {
    // x and y are in one part, and y never ends; in the parts of the others x ends.
    let others =
        ONLOOKERS.replace("agent u", "agent u spontaneous").replace("agent v", "agent v spontaneous");
    let text = format!("{VARIABLES}option deadlock = off\n{NEVER_BOTH}{others}");
    assert!(parts(&text) > 1);
    assert!(!found(&text).coverage.expect("nothing breaks").end, "y never ends");
}

#[test]
fn who_waits_for_ever_beside_somebody_who_goes_round_is_without_hope() {
    // In the part of x and y nobody can move, which nobody asks about; in the whole, u always can.
    let round = "agent u spontaneous\nagain:\n  d = 1\n  d = 0\n  goto again\n";
    assert!(is_violated(&format!("{VARIABLES}option deadlock = off\n{NEVER_BOTH}{round}")));
}

#[test]
fn a_part_that_was_not_searched_to_its_end_may_break_sooner() {
    // A long chain of agents ends in the 17th step with what breaks; a wide part has one in the 14th, behind too many states.
    let chain = |at: usize| format!("agent u{at}\n  when k{} == 1; k{at} = 1\n", at - 1);
    let wide = |at: usize| format!("agent w{at}\n  v{at} = 1; v{at} = 2\n");
    let text = [
        "scenario s\nvar c = 0..1\nvar k0 = 0..1\nvar z = 0..2\n",
        &(1..8).map(|at| format!("var k{at} = 0..1\n")).collect::<String>(),
        &(0..6).map(|at| format!("var v{at} = 0..2\n")).collect::<String>(),
        "agent u0\n  k0 = 1\n",
        &(1..8).map(chain).collect::<String>(),
        "agent u8\n  when k7 == 1; z = 1; z = 0; z = 1; z = 0; z = 1; z = 0; z = 1; z = 2\n",
        &(0..6).map(wide).collect::<String>(),
        "agent r\n  when v0 == 2 && v1 == 2 && v2 == 2 && v3 == 2 && v4 == 2 && v5 == 2; c = 1\n",
        "never r c = 1\nnever u8 z = 2\n",
    ]
    .concat();
    // Of the run that is said to be the shortest, if one is.
    let steps = |max_states| {
        // Those of the wide part are alike.
        let reductions = Reductions { symmetry: Reduction::Off, ..AT_ONCE };
        let options = Options { reductions, max_states, ..Options::default() };
        match within(&text, options).verdict {
            Verdict::Violated { trace, length: Length::Shortest, .. } => Some(trace.steps.len()),
            Verdict::Violated { length: Length::PerhapsLonger, .. }
            | Verdict::Proved
            | Verdict::BoundHit { .. } => None,
        }
    };
    let (all, some) = (steps(usize::MAX >> 8), steps(300));
    assert_eq!(all, Some(14));
    assert!(some.is_none_or(|steps| steps == 14), "{some:?}: there is a shorter one");
}

#[test]
fn parts_that_are_exchanged_by_a_symmetry_are_all_searched_if_it_is_not_used() {
    let text = cow(2, 3, |page| format!("never reads P{page} == 0 after A store P{page}\n"));
    let without = Reductions { symmetry: Reduction::Off, ..AT_ONCE };
    let [one, all] = [AT_ONCE, without].map(|reductions| explored(&text, reductions).statistics.parts);
    assert_eq!((one, all), (2, 4));
}
