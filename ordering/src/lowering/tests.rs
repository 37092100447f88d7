//! Scenarios, from their text to their verdict.

mod contexts;
mod devices;
mod dma;
mod entries;
mod events;
mod explorer;
mod lost;
mod meaning;
mod ordering;
mod pasid_halves;
mod peek;
mod ranges;
mod scope;
mod shadow_tables;
mod spaces;
mod speculation;
mod store_buffers;
mod switched_off;
mod symmetry;
mod tables;
mod tags;
mod unanswered;

use super::{Lowered, load};
use crate::catalogue::{FILES, text_of};
use crate::language::render_all;
use crate::language::syntax::Expect;
use explorer::{Found, explore};

/// States of a scenario at most.
pub(crate) const MOST: usize = 400_000;

fn loaded(file: &str, source: &str) -> Vec<Lowered> {
    match load(source) {
        Ok(found) => found.into_iter().map(|(_, lowered)| lowered).collect(),
        Err(diagnostics) => panic!("{}", render_all(&diagnostics, file, source)),
    }
}

/// What is wrong with the verdict; nothing if it is the expected one. Slips that break these two built-in properties are
/// no counterexamples, unless the scenario itself asks in `source` for the property by name.
fn unexpected(lowered: &Lowered, source: &str) -> Option<String> {
    let found = explore(&lowered.model, MOST);
    if let Found::Violated(property, _) = &found
        && (property == "never out of range" || property == "never unlock without lock")
        && !own_lines(&lowered.name, source)
            .any(|line| line.split_whitespace().eq(property.split_whitespace()))
    {
        return Some(format!("{}: {found:#?}", lowered.name));
    }
    let fits = match (&lowered.expect, &found) {
        (Some(Expect::Proved), Found::Proved(_)) => true,
        (Some(Expect::Violation { steps, .. }), Found::Violated(_, trace)) => {
            steps.is_none_or(|steps| steps as usize == trace.len())
        }
        _ => false,
    };
    (!fits).then(|| format!("{}: expected {:?}, {found:#?}", lowered.name, lowered.expect))
}

/// The lines of one scenario of a file.
fn own_lines<'s>(name: &str, source: &'s str) -> impl Iterator<Item = &'s str> {
    let head = format!("scenario {name}");
    let behind = source.lines().skip_while(move |line| *line != head).skip(1);
    behind.take_while(|line| !line.starts_with("scenario "))
}

#[test]
fn every_scenario_of_the_catalogue_has_its_expected_verdict() {
    let mut wrong = Vec::new();
    for file in FILES {
        for lowered in loaded(file.path, file.text) {
            wrong.extend(unexpected(&lowered, file.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_orders_of_the_live_machine_have_the_verdicts_that_it_gives_them() {
    let scenario = |file: &str, operation: &str, order: &str| {
        let base = text_of(file).unwrap();
        let base = base.split("\nscenario ").nth(1).unwrap().to_owned();
        let line = base.lines().find(|line| line.trim().starts_with(operation)).unwrap().to_owned();
        let wanted = line.replacen(operation, &format!("{operation} \"{order}\""), 1);
        format!("scenario {}", base.replace(&line, &wanted))
    };
    let cow = steps::operation::cow::orders()
        .into_iter()
        .map(|order| ("cow/orders-of-wp-page-copy.scn", "wp_page_copy", order));
    let ksm = steps::operation::ksm::orders()
        .into_iter()
        .map(|order| ("ksm/orders-of-merge.scn", "ksm_merge", order));
    for (file, operation, order) in cow.chain(ksm) {
        let source = scenario(file, operation, order.name);
        let lowered = loaded(file, &source);
        let found = explore(&lowered[0].model, MOST);
        let proved = matches!(found, Found::Proved(_));
        assert_eq!(
            proved,
            order.expected == steps::operation::Verdict::Coherent,
            "{}: {found:?}",
            order.name
        );
    }
}

#[test]
fn a_counterexample_that_is_printed_is_read_again() {
    let source = text_of("cow/notify-under-lock.scn").unwrap();
    let lowered = loaded("cow", source);
    let Found::Violated(_, steps) = explore(&lowered[0].model, MOST) else { panic!("no violation") };
    let row = |step: &String| match step.split_once(": ") {
        Some(("CPU", text)) => format!("{text} | |"),
        Some((_, text)) => format!(" | {text} |"),
        None => panic!("{step} has no agent"),
    };
    let rows: Vec<_> = steps.iter().map(row).collect();
    let trace = |rows: &[String]| {
        format!(
            "{source}\nscenario t\nlike cow-clear-flush-only\n\ntrace\nCPU | IOMMU | state change\n{}\n",
            rows.join("\n")
        )
    };
    assert!(load(&trace(&rows)).is_ok());
    let without_clear: Vec<_> = rows.iter().filter(|row| !row.starts_with("pte_clear")).cloned().collect();
    assert!(load(&trace(&without_clear)).is_err());
}
