//! `sweep`, `for` and indices: what they make, where it stands, and what is wrong with them.

use std::collections::BTreeSet;

use super::super::format::format;
use super::super::syntax::{Expect, Scenario};
use super::super::{Code, parse};
use crate::catalogue::text_of;
use crate::engine::{Look, Options, Verdict, compile, ends, explore};
use crate::lowering::{Lowered, load, lower_observed};

const HEAD: &str = "scenario s\npage P0, P1, P2, P3\nframe old = 0\nmap P1 -> old rw\ncpu CPU\n";

/// The errors of a file, each with its line.
fn errors(source: &str) -> Vec<(Code, u32)> {
    let found = load(source).err().unwrap_or_default();
    found.into_iter().map(|one| (one.code, one.span.line)).collect()
}

/// The code of the errors of a scenario with these lines, none of which is told twice.
fn one_code(lines: &str) -> Code {
    let source = format!("{HEAD}{lines}\n");
    let found = errors(&source);
    let alike = found.iter().all(|(code, _)| *code == found[0].0);
    let places: BTreeSet<u32> = found.iter().map(|(_, line)| *line).collect();
    assert!(alike && !found.is_empty() && places.len() == found.len(), "{source}\n{found:?}");
    found[0].0
}

fn names(scenarios: &[Scenario]) -> Vec<&str> {
    scenarios.iter().map(|one| one.name.node.as_str()).collect()
}

/// Whether a model can break, in how many steps.
fn verdict(lowered: &Lowered) -> Option<usize> {
    let packed = compile(&lowered.model).expect("it is small");
    match explore(&packed, &Options::default()).verdict {
        Verdict::Proved => None,
        Verdict::Violated { trace, .. } => Some(trace.steps.len()),
        Verdict::BoundHit { .. } => panic!("{} is small", lowered.name),
    }
}

#[test]
fn a_sweep_is_a_scenario_for_each_combination_the_last_parameter_first() {
    let file = parse("scenario s\nsweep a = 1..2, b = 9..10, c = 0\nvar x = 0..9\nagent p\n  x = a\n");
    assert_eq!(file.diagnostics, []);
    assert_eq!(names(&file.scenarios), ["s-a1-b9-c0", "s-a1-b10-c0", "s-a2-b9-c0", "s-a2-b10-c0"]);
    let said: Vec<String> = file.scenarios.iter().map(|one| one.agents[0].read()[0].said()).collect();
    assert_eq!(said, ["x = 1", "x = 1", "x = 2", "x = 2"]);
    assert!(file.scenarios.iter().all(|one| one.is_called("s") && one.is_called(&one.name.node)));
}

#[test]
fn what_is_swept_says_what_was_written_out_by_hand() {
    let swept = text_of("cow/any-size.scn").expect("it is in the catalogue");
    let swept = load(swept).expect("it loads");
    let (_, made) =
        swept.iter().find(|(_, one)| one.name == "cow-n-pages2-devices1-ops2").expect("it is made");
    let broken = |page| {
        format!(
            "  lock pl\n  pte_clear P{page}\n  flush_tlb P{page}\n  notify P{page}\n  \
             set_pte P{page} -> n{page} rw\n  unlock pl\n  store P{page} = 1\n"
        )
    };
    let asked = |page| format!("never reads P{page} == 0 after A store P{page}\n");
    let by_hand = [
        "scenario s\ncpu A, B\noption evict = off\npage P1\nframe o1 = 0, n1 = 0\nmap P1 -> o1 ro\n"
            .to_owned(),
        asked(1),
        "page P2\nframe o2 = 0, n2 = 0\nmap P2 -> o2 ro\n".to_owned(),
        asked(2),
        "device D1\nagent D1\n  repeat 0..2:\n    dma_read any\n".to_owned(),
        format!("agent A\n{}{}agent B\n  load P1\n  load P2\n", broken(1), broken(2)),
    ];
    let (_, by_hand) = load(&by_hand.concat()).expect("it loads").remove(0);
    let without_lines = |lowered: &Lowered| {
        let text = format!("{:?}", lowered.model);
        let lines = text.split("line: ").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        let mut text: String = lines.collect();
        // A row of the file stands for a row of each page.
        for row in (0..20).rev() {
            text = text.replace(&format!("row: {row},"), "");
        }
        text
    };
    let marks = |text: &str| text.split("marks: ").next().map(str::to_owned);
    assert_eq!(marks(&without_lines(made)), marks(&without_lines(&by_hand)));
}

#[test]
fn every_combination_of_the_catalogue_has_the_verdict_that_it_expects() {
    let loaded = load(text_of("cow/any-size.scn").expect("it is in the catalogue")).expect("it loads");
    assert_eq!(loaded.len(), 8 + 6);
    for (_, lowered) in &loaded {
        let expected = match lowered.expect.as_ref().expect("each has one") {
            Expect::Proved => None,
            Expect::Violation { steps, .. } => steps.map(|steps| steps as usize),
        };
        assert_eq!(verdict(lowered), expected, "{}", lowered.name);
    }
    let violated = loaded.iter().filter(|(_, one)| verdict(one).is_some()).count();
    assert_eq!(violated, 4, "a page, a device and a read are enough");
}

#[test]
fn each_step_and_property_of_a_combination_knows_its_line() {
    let source = "scenario s\nsweep n = 2\nfor i in 1..n:\n  page P[i]\n  frame f[i] = 0\n  map P[i] -> f[i] rw\n  \
                  never reads P[i] == 1\ncpu C\nagent C\n  for i in 1..n:\n    load P[i]\n    # between\n    store P[i] = i\n";
    let (scenario, lowered) = load(source).expect("it loads").remove(0);
    let lines: Vec<u32> = scenario.agents[0].body.iter().map(|one| one.span.line).collect();
    assert_eq!(lines, [11, 13, 11, 13]);
    let asked = lowered.model.properties.iter().filter(|one| one.text.starts_with("never reads"));
    let asked: Vec<_> = asked.map(|one| (one.text.as_str(), one.line)).collect();
    assert_eq!(asked, [("never reads P1 == 1", 7), ("never reads P2 == 1", 7)]);
}

#[test]
fn a_variant_of_a_sweep_is_swept_over_what_it_says_and_else_over_what_its_base_does() {
    let source = "scenario s\nsweep a = 1..2, b = 1..2\nvar x = 0..9\nagent p\n  for i in 1..a:\n    x = i\n    x = b\n\
                  scenario t\nlike s\nsweep b = 3, c = 7\nreplace p.3\n  x = c\n\
                  scenario u\nlike s-a2-b1\ndrop p.2\nscenario v\nlike t\nmove p.2 before 4\n";
    let file = parse(source);
    assert_eq!(file.diagnostics, []);
    assert_eq!(names(&file.scenarios[4..]), ["t-a1-b3-c7", "t-a2-b3-c7", "u", "v-a1-b3-c7", "v-a2-b3-c7"]);
    let said = |name: &str| {
        let one = file.scenarios.iter().find(|one| one.name.node == name).expect("it is there");
        one.agents[0].read().iter().map(|row| row.said()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said("t-a2-b3-c7"), "x = 1; x = 7; x = 2; x = 7");
    assert_eq!(said("u"), "x = 1; x = 1");
    assert_eq!(said("v-a2-b3-c7"), "x = 7; x = 1; x = 7; x = 2");
}

#[test]
fn a_sweep_is_written_in_one_form() {
    let wild = "scenario s\nsweep n=1 .. 2\n  # of each\nfor i in 1..n :\n # left\n     page P[ i ]   # a page\n\n     for j in 1..2:\n        frame f[i]=0\n\
                \n     race\n     A|B\n     # to the right\n     load P[i]|for j in 1..n : load P[j]\n\n# the next\ncpu A,B\n";
    let form = format(wild);
    // A race in a `for` says an agent twice.
    assert!(form.is_err());
    let wild = wild.replace("for i in 1..n :", "for i in 1..1:").replace("for j in 1..2:", "for j in 1..1:");
    let form = format(&wild).expect("it has a form");
    assert_eq!(format(&form).as_deref(), Ok(form.as_str()));
    let expected = "scenario s\nsweep   n = 1..2\n# of each\nfor i in 1..1:\n  # left\n  page    P[i]                      # a page\n\n  \
                    for j in 1..1:\n    frame   f[i] = 0\n\n  race\n  A         | B\n";
    assert!(form.starts_with(expected), "{form}");
    assert!(form.ends_with("  load P[i] | for j in 1..n: load P[j]\n\n# the next\ncpu     A, B\n"), "{form}");
}

#[test]
fn what_is_wrong_with_a_sweep_is_said_once_with_its_code() {
    for (lines, code) in [
        ("sweep n = 3..1", Code::BackwardRange),
        ("sweep n = 1..m", Code::Expected),
        ("sweep n = 1..2, n = 3", Code::DeclaredTwice),
        ("sweep n = 1\nsweep m = 1", Code::SaidTwice),
        ("sweep n = 0..1024", Code::TooManyCombinations),
        ("sweep n = 1..40, m = 1..4294967295, k = 0..4294967295", Code::TooManyCombinations),
        ("sweep old = 1..2", Code::ParameterAsName),
        ("sweep CPU = 1..2", Code::ParameterAsName),
        ("var x = 0..1, y = 0..1\nagent CPU\n  for x in 0..1: y = x", Code::ParameterAsName),
        ("for old in 1..2: page Q[old]", Code::ParameterAsName),
        (
            "sweep a = 1, b = 1, c = 1, d = 1, e = 1, f = 1, g = 1, h = 1, i = 1, j = 1, k = 1, l = 1, m = 1, n = 1, o = 1, p = 1, q = 1",
            Code::TooManyCombinations,
        ),
        ("sweep n = 4294967295\nagent CPU\n  for i in n..n + 5: load P1", Code::IndexOutside),
        ("sweep n = 1..2\nlike s", Code::UnknownBase),
        ("sweep n = 1..2\ntrace\nCPU\nload P1", Code::StandsOnce),
        ("for i in 1..2: about \"x\"", Code::StandsOnce),
        ("for i in 1..n: page Q[i]", Code::UnknownParameter),
        ("for i in 2..1: page Q[i]", Code::BackwardRange),
        ("for i in 1..2:", Code::EmptyBody),
        ("for i in 1..2: for i in 1..2: page Q[i]", Code::ParameterAsName),
        ("for i in 0..1: page Q[i - 1]", Code::IndexOutside),
        ("for i in 1..2: page Q[j]", Code::UnknownParameter),
        ("page Q1[2], Q[12]", Code::DeclaredTwice),
        ("for i in 1..4294967295: page Q[i]", Code::UnfoldsTooMuch),
        ("page Q[1", Code::Expected),
        ("page Q[]", Code::Expected),
        ("sweep n = 1..2\nexpect proved when n > 0\nexpect violation when n == 2", Code::ExpectedTwice),
        ("sweep n = 1..2\nexpect proved when n == 1", Code::ExpectedTwice),
        ("sweep n = 1..2\nexpect proved when n\nexpect violation when n > 2", Code::ExpectedNever),
        ("expect proved when n > 2", Code::UnknownParameter),
        ("sweep n = 1..2\nagent CPU\n  load P[n + 7]", Code::Undeclared),
        ("agent CPU\n  for i in 1..2: load P[j]", Code::UnknownParameter),
        ("agent CPU\n  for i in 3..1: load P[i]", Code::BackwardRange),
        ("agent CPU\n  for i in 0..1: load P[i - 1]", Code::IndexOutside),
        ("agent CPU\n  for i in 1..5000: load P[1]", Code::TooManyRows),
        ("agent CPU\n  for i in 1..4294967295:\n    for j in 1..i - i: load P[1]", Code::TooManyRows),
        ("agent CPU\n  for i in 1..2:\n  load P1", Code::EmptyBody),
        ("sweep n = 0\nagent CPU\n  repeat 0..2:\n    for i in 1..n: load P1", Code::EmptyBody),
        (
            "agent CPU\n  load P1\n  for i in 1..2:\n    if pte(P1) == none: end\n  else: load P1",
            Code::OrphanElse,
        ),
        ("agent CPU\n  if pte(P1) == none: end\n  for i in 1..2:\n    else: load P1", Code::OrphanElse),
        ("agent CPU\n  for i in 1..2:\n    check pte(P1) == none\n    out:", Code::LabelTwice),
    ] {
        let asked = if lines.contains("expect") { "\nagent CPU\n  load P1\nnever deadlock" } else { "" };
        assert_eq!(one_code(&format!("{lines}{asked}")), code, "{lines}");
    }
}

#[test]
fn a_name_that_two_sweeps_make_or_that_stands_there_is_an_error() {
    let one = |name: &str, sweep: &str| format!("scenario {name}\n{sweep}\nvar x = 0..1\nagent p\n  x = 1\n");
    for (first, second) in [
        (one("s", "sweep a = 1"), one("s-a1", "")),
        (one("s-a1", ""), one("s", "sweep a = 1..2")),
        (one("s", "sweep a = 1, b = 1"), one("s-a1", "sweep b = 1..2")),
        (one("s", "sweep a = 1"), one("s", "")),
        (one("s", ""), one("s", "sweep a = 1")),
    ] {
        let found = errors(&(first.clone() + &second));
        assert_eq!(found, [(Code::ScenarioTwice, 1 + u32::try_from(first.lines().count()).unwrap_or(0))]);
    }
}

#[test]
fn a_label_of_a_for_has_its_index_and_a_row_that_no_value_makes_is_none() {
    let source = format!(
        "{HEAD}sweep n = 0..2\nagent CPU\n  for i in 1..n:\n    check pte(P1) == old else out[i]\n    load P1\n    out[i]:\n  load P1\n"
    );
    let loaded = load(&source).expect("it loads");
    let counts: Vec<usize> = loaded.iter().map(|(one, _)| one.agents[0].body.len()).collect();
    assert_eq!(counts, [1, 4, 7]);
    assert!(loaded.iter().all(|(_, lowered)| verdict(lowered).is_none()));
}

#[test]
fn an_error_of_all_combinations_is_told_with_the_values_of_the_first() {
    let source = format!("{HEAD}sweep n = 4..9\nagent CPU\n  load P[n]\n");
    let found = load(&source).expect_err("P4 is not there");
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert!(one.message.contains("`P4`"), "{}", one.message);
    assert_eq!(one.second.as_ref().map(|second| second.label.as_str()), Some("with n = 4"));
}

#[test]
fn as_much_as_may_be_made_is_made_and_one_more_is_refused() {
    // A round, its `for` of no round, and each of both once more.
    let source = |rounds: usize| {
        format!("{HEAD}for i in 1..{rounds}: option walk = split\nagent CPU\n  load P1\nscenario t\nlike s\n")
    };
    let codes = |rounds| {
        let found = parse(&source(rounds));
        let codes: BTreeSet<Code> = found.diagnostics.iter().map(|one| one.code).collect();
        (codes, found.scenarios.iter().filter(|one| one.whole).count())
    };
    assert_eq!(codes(1), (BTreeSet::new(), 2));
    assert_eq!(codes(25_000), (BTreeSet::from([Code::SaidTwice]), 0));
    assert_eq!(codes(25_001), (BTreeSet::from([Code::SaidTwice, Code::UnfoldsTooMuch]), 0));
}

#[test]
fn a_scenario_behind_one_that_makes_all_that_may_be_made_is_read() {
    let source = "scenario s\nfor i in 1..25000: page Q[i]\nscenario t\nvar x = 0..1\nagent p\n  x = 1\n";
    let found = parse(source);
    assert_eq!(found.diagnostics, []);
    assert!(found.scenarios[1].whole && found.scenarios[1].variables.len() == 1);
}

#[test]
fn a_variant_declares_nothing_that_is_called_like_a_parameter_of_its_own() {
    let base = "scenario s\nvar x = 0..3, y = 0..3\nagent p\n  x = 3\n  y = 0\nalways y < 3\n\n";
    let variant = "scenario t\nlike s\nsweep x = 1..2\nreplace p.2\n  y = x\nexpect proved\n";
    assert_eq!(errors(&format!("{base}{variant}")), [(Code::ParameterAsName, 10)]);
}

#[test]
fn a_row_that_one_round_alone_takes_is_not_taken_by_another() {
    let rows = ["for i in 1..2:\n    x = i\n    if x == 2:\n      x = 5", "x = 1\n  if x == 2:\n    x = 5"];
    for rows in rows {
        let found = load(&format!("scenario s\nvar x = 0..9\nagent p\n  {rows}\nalways x < 9\n"));
        let (_, lowered) = found.expect("it is read").remove(0);
        let packed = compile(&lowered.model).expect("it is small");
        let coverage = explore(&packed, &Options::default()).coverage.expect("it is proved");
        assert_eq!(coverage.unseen.len(), 1, "{rows}");
    }
}

#[test]
fn what_each_round_returns_is_an_outcome_of_its_own() {
    let head = "scenario s\ncpu A, B\npage P1\nframe f = 0\nmap P1 -> f rw\noption evict = off\n";
    let count = |rows: &str| {
        let source = format!("{head}agent A\n  {rows}\nagent B\n  store P1 = 1\nfinally content(f) == 0\n");
        let lowered = lower_observed(&parse(&source).scenarios[0], &source).expect("it is lowered");
        let observed = lowered.observed.as_ref().expect("it was asked for");
        let look = Look { at: observed.returning.iter().map(|(_, var)| *var).collect(), settled: Vec::new() };
        ends(&lowered.model, &look, &Options::default()).expect("it is small").ended.len()
    };
    assert_eq!(count("for i in 1..2: load P1"), 3);
    assert_eq!(count("load P1\n  load P1"), 3);
}

#[test]
fn a_base_is_of_the_sweep_and_not_only_called_so() {
    let base = "scenario s\nsweep a = 1..2\nvar x = 0..9\nagent p\n  x = a\nalways x != 3\n\n";
    let other = "scenario s-a3\nvar x = 0..9\nagent p\n  x = 1\nalways x != 3\n\n";
    let variant = "scenario t\nlike s\nsweep a = 3\n";
    let all = load(&format!("{base}{other}{variant}")).expect("it is read");
    let (_, t) = all.iter().find(|(_, one)| one.name == "t-a3").expect("it is made");
    assert_eq!(verdict(t), Some(1));
}

#[test]
fn remarks_below_a_for_of_one_line_stay() {
    let text = "scenario s\nvar     y = 0..1\nfor j in 1..1: page Q[j]\n  # a remark\nagent p\n  y = 1\n";
    assert_eq!(format(text).expect("it is read"), text);
}
