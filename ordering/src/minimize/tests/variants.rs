//! Every counterexample of a report, put below the scenarios of its file, is read and replayed to its violation.

use super::{entry, limits, weakest};
use crate::language::parse;
use crate::language::syntax::Scenario;
use crate::lowering::{load, lower, replay};
use crate::minimize::{Refusal, Refused, Weakest, minimize};

/// What the report prints below one another.
fn printed(found: &Weakest) -> Vec<(String, String, String)> {
    let bonds = found.sets.iter().flat_map(|set| &set.needs);
    let refused = bonds.filter_map(|bond| bond.without.as_ref());
    let text = |refused: &Refused| match (&refused.refusal, &refused.variant) {
        (Refusal::Violated { property, trace }, Some(variant)) => {
            Some((refused.name.clone(), property.clone(), format!("{variant}{trace}\n")))
        }
        (Refusal::Violated { .. }, None)
        | (Refusal::OtherJob(_) | Refusal::Meaningless(_) | Refusal::BoundHit, _) => None,
    };
    refused.filter_map(text).collect()
}

/// Puts all counterexamples below the file, reads it and replays each; says how many there were.
fn replayed(found: &Weakest, source: &str, context: &str) -> usize {
    let printed = printed(found);
    let below: String = printed.iter().map(|(_, _, text)| format!("\n{text}")).collect();
    let source = format!("{source}\n{below}");
    let file = parse(&source);
    assert!(file.diagnostics.is_empty(), "{context}: {:?}\n{below}", file.diagnostics);
    for (name, property, text) in &printed {
        let found: Vec<&Scenario> =
            file.scenarios.iter().filter(|scenario| scenario.name.node == *name).collect();
        assert_eq!(found.len(), 1, "{context}: {name}");
        let lowered = lower(found[0], &source).unwrap_or_else(|found| panic!("{context}: {found:?}\n{text}"));
        let replayed = replay(&lowered.model, &found[0].trace, &source)
            .unwrap_or_else(|found| panic!("{context}: {found:?}\n{text}"));
        let broken = replayed.broken.unwrap_or_else(|| panic!("{context}: nothing breaks\n{text}"));
        assert_eq!(lowered.model.properties[usize::from(broken.0)].text, *property, "{context}\n{text}");
        let made = |number: usize| text.contains(&format!("when {number} == {number}"));
        assert!(!(0..100).any(made), "{context}: a row that no program has:\n{text}");
    }
    printed.len()
}

#[test]
fn every_counterexample_can_be_put_below_its_scenario_and_replayed() {
    let mut count = 0;
    for (scenario, agent) in [
        ("cow-clear-flush-notify-three-cpus", "CPU"),
        ("dontneed-notify-after-unlock", "T0"),
        ("unmap-notify-in-range-end", "RC"),
        ("collapse-gup-looks-at-pmd-too", "gup"),
        ("fork-number-through-store-buffers", "fork"),
        ("cow-clear-flush-notify", "CPU"),
    ] {
        count += replayed(&weakest(scenario, agent), entry(scenario).file.text, scenario);
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn programs_with_operations_blocks_and_choices_are_written_as_they_are_read() {
    let source = "scenario s\npage A\nframe old = 0, new = 0\nmap A -> old ro\ncpu CPU, C1\nvar a = 0..1, b = 0..1, e = 0..1\n\
        agent CPU\n  ptep_clear_flush A\n  set_pte A -> new rw; a = 1\n  if e:\n    a = 0; a = 1  # remark\n    \
        repeat 0..1:\n      b = 1\n  else: b = 1\n  store A = 1\n  { b = 0 } | b = 1\n\
        agent C1 spontaneous\n  repeat 0..2: load A\nnever C1 reads A == 0 after CPU store A\nexpect proved\n";
    let loaded = load(source).expect("it is read");
    let found = minimize(&loaded[0].0, source, "CPU", &limits()).expect("it is proved");
    assert!(replayed(&found, source, "operations and blocks") >= 2, "{found:#?}");
}

#[test]
fn a_name_that_the_file_has_is_given_to_no_variant() {
    let source = entry("dontneed-notify-after-unlock").file.text;
    let taken = "scenario dontneed-notify-after-unlock-order-1\nlike dontneed-notify-after-unlock\n";
    let source = format!("{source}\n{taken}");
    let scenario = &load(&source).expect("it is read")[0].0;
    let found = minimize(scenario, &source, "T0", &limits()).expect("it is proved");
    assert!(replayed(&found, &source, "a taken name") >= 2);
}
