//! Parts that are searched one by one: each text is one that a part with too few agents would answer wrongly.

use ordering::engine::{Options, Outcome, PersistentSets, Reductions, Statistics, Verdict, compile, explore};
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

#[test]
fn what_a_part_took_in_the_place_of_another_step_is_looked_for() {
    // Whether y comes before x makes no difference to where y is then, so one order is enough; each has a mark of its own.
    let either =
        "agent x\n  a = 1\nagent y\n  if a == 0: goto one\none:\n  if a == 1: goto two\ntwo:\n  b = 1\n";
    // Who does much that concerns nobody makes persistent sets pay.
    let busy = |name: usize| format!("agent w{name}\n  v{name} = 1; v{name} = 2\n  v{name} = 3\n");
    let text = [
        VARIABLES,
        "var v0 = 0..3\nvar v1 = 0..3\nvar v2 = 0..3\nvar v3 = 0..3\n",
        either,
        &(0..4).map(busy).collect::<String>(),
        "agent r\n  when b == 1 && v0 == 3 && v1 == 3 && v2 == 3 && v3 == 3; c = 1\n",
        ONLOOKERS,
    ]
    .concat();
    assert!(parts(&text) > 1);
    let reduced = explored(&text, AT_ONCE).statistics.states;
    let part = Reductions { persistent_sets: PersistentSets::Off, ..AT_ONCE };
    assert!(2 * reduced < explored(&text, part).statistics.states, "{reduced}");
}
