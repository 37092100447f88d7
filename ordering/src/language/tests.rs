//! Every error as a person sees it.

mod errors;
mod limits;
mod sweeps;

use steps::table::{STEPS, find, table};

use super::syntax::{Expect, Node};
use super::{OPTIONS, parse};

#[test]
fn every_step_has_one_row_and_its_own_name() {
    for entry in STEPS {
        let same = STEPS.iter().filter(|other| other.verb == entry.verb || other.name() == entry.name());
        assert_eq!(same.count(), 1, "{}", entry.name());
        assert!(find(entry.name()).is_some());
    }
}

#[test]
fn the_reference_page_holds_the_table_of_the_vocabulary() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&table()), "docs/language.md lacks this table:\n{}", table());
    for (name, ..) in OPTIONS {
        assert!(page.contains(&format!("| `{name}` |")), "docs/language.md lacks option {name}");
    }
}

#[test]
fn a_variant_takes_over_what_it_does_not_say() {
    let source = "scenario a\npage A\nframe f = 0\nmap A -> f ro\ncpu C\n\nrace\nC\nwalk A\nload A\n\n\
                  expect proved\n\nscenario b\nlike a\ndrop C.1\n";
    let file = parse(source);
    assert_eq!(file.diagnostics, []);
    assert_eq!(file.scenarios[1].agents[0].body.len(), 1);
    assert_eq!(file.scenarios[1].pages.len(), 1);
    assert_eq!(file.scenarios[1].expect, None);
    assert_eq!(file.scenarios[0].expect.as_ref().unwrap().node, Expect::Proved);
}

#[test]
fn a_bar_chooses_between_two_statements_and_a_semicolon_orders_them() {
    let file = parse("scenario a\nagent d\n  walk A; dma_write A = 9 | dma_read A\n");
    assert_eq!(file.diagnostics, []);
    let body = &file.scenarios[0].agents[0].body;
    assert!(matches!(body[0].node, Node::Step(_)));
    assert!(matches!(&body[1].node, Node::Choice(ways) if ways.len() == 2));
}

#[test]
fn what_stands_further_right_belongs_to_the_row_above() {
    let file = parse("scenario a\nagent d\n  repeat 0..2:\n    walk A\n    if f: end\n  load A\n");
    assert_eq!(file.diagnostics, []);
    let body = &file.scenarios[0].agents[0].body;
    assert_eq!(body.len(), 2);
    assert!(matches!(&body[0].node, Node::Repeat(0, 2, inner) if inner.len() == 2));
}

/// The lines of the page that are indented by four, in one piece for each run of them.
fn examples(page: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in page.lines() {
        match line.strip_prefix("    ") {
            Some(code) => found.last_mut().unwrap().push_str(&format!("{code}\n")),
            None if line.is_empty() => found.last_mut().unwrap().push('\n'),
            None => found.push(String::new()),
        }
    }
    found.into_iter().filter(|piece| piece.trim_start().starts_with("scenario ")).collect()
}

#[test]
fn the_scenarios_of_the_reference_page_are_what_they_say() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
    let examples = examples(&std::fs::read_to_string(page).unwrap());
    assert_eq!(examples.len(), 2, "the page has a first scenario and a sweep: {examples:?}");
    let loaded = examples.iter().map(|example| crate::lowering::load(example).expect("it loads"));
    let loaded: Vec<_> = loaded.collect();
    assert_eq!(loaded.iter().map(Vec::len).collect::<Vec<_>>(), [2, 8 + 6]);
    for (_, lowered) in loaded.into_iter().flatten() {
        let packed = crate::engine::compile(&lowered.model).expect("it fits");
        let outcome = crate::engine::explore(&packed, &crate::engine::Options::default());
        let answer = crate::answer::Answer::new(&lowered, &outcome);
        assert!(answer.is_as_expected(), "{}: {:?}", lowered.name, answer.faults);
    }
}
