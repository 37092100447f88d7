//! What the mails of 2017 say about the order of clear, flush, notify and set, found by the search; and the search held
//! against every order.

mod brute;
mod random;
mod variants;

use std::collections::BTreeSet;

use super::rows::rows;
use super::{Bond, Limits, MinimizeError, Need, PartialOrder, Refusal, Shape, Weakest, minimize};
use crate::catalogue::{Entry, entries};
use crate::engine::Options;
use crate::language::parse;

fn limits() -> Limits {
    Limits { options: Options { max_states: 1_000_000, ..Options::default() }, singly: 8, at_once: 40_000 }
}

fn entry(scenario: &str) -> Entry {
    let found = entries().into_iter().find(|entry| entry.lowered.name == scenario);
    found.unwrap_or_else(|| panic!("{scenario} is not in the catalogue"))
}

fn weakest(scenario: &str, agent: &str) -> Weakest {
    let entry = entry(scenario);
    match minimize(&entry.scenario, entry.file.text, agent, &limits()) {
        Ok(found) => found,
        Err(error) => panic!("{scenario}: {error}: {error:?}"),
    }
}

fn needs(found: &Weakest) -> Vec<String> {
    set_of(found, &found.sets[0])
}

fn set_of(found: &Weakest, set: &PartialOrder) -> Vec<String> {
    let text = |row: usize| found.rows[row].text.as_str();
    let need = |bond: &Bond| format!("{} < {}", text(bond.need.first), text(bond.need.then));
    set.needs.iter().map(need).collect()
}

fn dropped(found: &Weakest) -> Vec<&str> {
    found.dropped.iter().flatten().map(|row| found.rows[*row].text.as_str()).collect()
}

#[test]
fn cow_needs_clear_then_flush_and_notify_then_set() {
    let found = weakest("cow-clear-flush-notify-three-cpus", "CPU");
    assert_eq!(
        needs(&found),
        [
            "pte_clear A < flush_tlb A",
            "pte_clear A < notify A",
            "flush_tlb A < set_pte A -> new rw",
            "notify A < set_pte A -> new rw",
            "set_pte A -> new rw < store A = 1",
        ]
    );
    assert_eq!(dropped(&found), ["lock ptl(A)", "unlock ptl(A)"], "nobody else takes the lock");
    assert_eq!((found.sets[0].orders, found.shape), (Some(2), Shape::One));
}

#[test]
fn the_program_of_wp_page_copy_needs_the_same() {
    let found = weakest("wp-page-copy", "mm");
    for need in [
        "copy old -> new < set_pte A -> new rw",
        "notify_start A < set_pte A -> new rw",
        "pte_clear A < flush_tlb A",
        "pte_clear A < notify A",
        "pte_clear A < notify_end A",
        "flush_tlb A < set_pte A -> new rw",
        "notify A < set_pte A -> new rw",
    ] {
        assert!(needs(&found).iter().any(|known| known == need), "{need}: {:#?}", needs(&found));
    }
    assert_eq!(found.shape, Shape::Unknown, "its orders are too many to be judged");
}

#[test]
fn the_notification_of_try_to_unmap_may_wait_as_long_as_the_frame_is_held() {
    let found = weakest("unmap-notify-in-range-end", "RC");
    assert_eq!(
        needs(&found),
        [
            "notify_start A < notify_end A",
            "notify_start A < put old",
            "pte_clear A < notify A",
            "pte_clear A < notify_end A",
            "pte_clear A < flush_tlb A",
            "notify A < put old",
            "flush_tlb A < put old",
        ]
    );
    assert_eq!((found.sets[0].orders, found.shape), (Some(26), Shape::One));
}

#[test]
fn madv_dontneed_needs_no_lock_and_frees_last() {
    let found = weakest("dontneed-notify-after-unlock", "T0");
    let expected = [
        "pte_clear A < flush_tlb A",
        "pte_clear A < notify A",
        "flush_tlb A < put old",
        "notify A < put old",
    ];
    assert_eq!(needs(&found), expected);
}

#[test]
fn replace_page_may_notify_late_and_write_protect_page_may_not() {
    let found = weakest("ksm-merge", "mm");
    let known = needs(&found);
    let compare = "check content(anon) == content(ksm) else out";
    assert!(known.contains(&format!("notify A < {compare}")), "{known:#?}");
    assert!(known.contains(&format!("flush_tlb A < {compare}")), "{known:#?}");
    assert!(known.contains(&"notify A < put anon".to_owned()), "{known:#?}");
    assert!(known.contains(&"flush_tlb A < put anon".to_owned()), "{known:#?}");
    assert!(!known.iter().any(|need| need.starts_with("notify A < set_pte A -> ksm")), "{known:#?}");
    assert!(!known.iter().any(|need| need.starts_with("flush_tlb A < set_pte A -> ksm")), "{known:#?}");
    assert_eq!(found.shape, Shape::One);
}

#[test]
fn every_need_says_what_happens_without_it() {
    let found = weakest("cow-clear-flush-notify", "CPU");
    let reason = |first: &str, then: &str| {
        let is = |need: &Need| found.rows[need.first].text == first && found.rows[need.then].text == then;
        let bond = found.sets[0].needs.iter().find(|bond| is(&bond.need));
        bond.and_then(|bond| bond.without.as_ref()).map(|without| &without.refusal)
    };
    let Some(Refusal::Violated { trace, .. }) = reason("pte_clear A", "notify A") else {
        panic!("no counterexample: {:?}", found.sets[0].needs);
    };
    assert!(trace.to_string().contains("dma_read A = 0"), "{trace}");
    let job = Refusal::OtherJob("it waits for ever, with pte[A]: none".to_owned());
    assert_eq!(reason("pte_clear A", "set_pte A -> new rw"), Some(&job));
}

#[test]
fn what_a_goto_passes_over_is_one_row_and_operations_are_written_out() {
    let source = "scenario s\nagent k\n  check x else restore\n  notify A\n  goto out\nrestore:\n  flush_tlb A\n\
                  out:\n  ptep_clear_flush_notify A\n  load A\n";
    let rows = rows(&parse(source).scenarios[0].agents[0], source);
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let expected = [
        "check x else restore",
        "notify A",
        "goto out; restore:; flush_tlb A; out:",
        "pte_clear A",
        "flush_tlb A",
        "notify A",
        "load A",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_scenario_that_is_not_proved_has_no_weakest_order() {
    let entry = entry("cow-clear-flush-only");
    let found = minimize(&entry.scenario, entry.file.text, "CPU", &limits());
    assert!(matches!(found, Err(MinimizeError::NotProved { .. })), "{found:?}");
    let found = minimize(&entry.scenario, entry.file.text, "GPU", &limits());
    assert!(matches!(found, Err(MinimizeError::NoAgent { .. })), "{found:?}");
}

#[test]
fn the_needs_of_the_catalogue_are_exactly_the_orders_that_are_proved_by_themselves() {
    let mut compared = BTreeSet::new();
    for entry in entries() {
        for (index, agent) in entry.scenario.agents.iter().enumerate() {
            if !(3..=8).contains(&rows(agent, entry.file.text).len()) {
                continue;
            }
            let name = agent.name.node.as_str();
            let Ok(found) = minimize(&entry.scenario, entry.file.text, name, &limits()) else { continue };
            if found.total.is_none_or(|total| !(6..=24).contains(&total)) {
                continue;
            }
            let context = format!("{}, {name}", entry.lowered.name);
            let tried =
                brute::tried(&entry.scenario, entry.file.text, index, &brute::left(&found), &limits());
            brute::compare(&found, &tried, &context);
            compared.insert(context);
        }
    }
    println!("{} programs: {compared:#?}", compared.len());
    assert!(compared.len() >= 12, "{compared:#?}");
}
