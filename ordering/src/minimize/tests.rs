//! What the mails of 2017 say about the order of clear, flush, notify and set, found by the search; and the search held
//! against every order.

mod brute;
mod random;
mod variants;

use std::collections::BTreeSet;

use super::job::outcomes;
use super::judge::Judge;
use super::lattice::Lattice;
use super::order::Orders;
use super::rows::rows;
use super::search::ALL;
use super::{Bond, Limits, MinimizeError, Need, PartialOrder, Refusal, Shape, Standing, Weakest, minimize};
use crate::catalogue::{Entry, entries};
use crate::engine::Options;
use crate::language::syntax::{Expect, Node};
use crate::language::{parse, render_all};
use crate::lowering::load;

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
        "notify_start A < pte_clear A",
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
    assert_eq!(found.shape, Shape::Unknown, "its orders are too many to be judged");
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
    let rows = rows(&parse(source).scenarios[0].agents[0]);
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

/// Four assignments; one reader may not see c without a, another not d without both.
const READERS: &str = "scenario needs\ncpu C0, C1\nvar a = 0..1, b = 0..1, c = 0..1, d = 0..1, e = 0..1\nagent K on C0\n  \
    a = 1\n  b = 1\n  c = 1\n  d = 1\nagent G on C1 spontaneous\n  if c && !a: e = 1\n\
    agent H on C1 spontaneous\n  if d && !(a && b): e = 1\nfinally !e\nexpect proved\n";

fn of_source(source: &str, agent: &str) -> Weakest {
    let loaded = load(source).unwrap_or_else(|found| panic!("{}", render_all(&found, "source", source)));
    match minimize(&loaded[0].0, source, agent, &limits()) {
        Ok(found) => found,
        Err(error) => panic!("{error}: {error:?}"),
    }
}

#[test]
fn two_rows_that_were_swapped_only_together_with_others_are_no_need() {
    let found = of_source(READERS, "K");
    assert_eq!(needs(&found), ["a = 1 < c = 1", "a = 1 < d = 1", "b = 1 < d = 1"]);
    assert_eq!((found.sets[0].orders, found.shape, found.total), (Some(5), Shape::One, Some(24)));
}

#[test]
fn one_of_two_rows_before_a_third_is_no_set_of_needs() {
    let source = READERS.replace("if c && !a: e = 1", "if c && !a && !b: e = 1");
    let source = source.replace("if d && !(a && b): e = 1", "if d && !a: e = 1");
    let found = of_source(&source, "K");
    let common = vec![Need { first: 0, then: 3 }];
    assert_eq!(found.shape, Shape::Several { proved: Some(9), covered: Some(9), common });
    let sets: Vec<_> = found.sets.iter().map(|set| set_of(&found, set)).collect();
    assert_eq!(sets, [["a = 1 < c = 1", "a = 1 < d = 1"], ["a = 1 < d = 1", "b = 1 < c = 1"]]);
    let standings: Vec<_> = found.sets[0].needs.iter().map(|bond| bond.standing).collect();
    assert_eq!(standings, [Standing::Kept, Standing::Needed]);
}

#[test]
fn what_was_needed_is_tried_again_when_something_else_is_gone() {
    // Without the second read the check would fail, as long as there is a check.
    let source = "scenario looks-for-nobody\npage A\nframe f = 0\nmap A -> f rw\ncpu C0, C1\nagent a on C0\n  \
                  pte_clear A\n  pte_read A\n  check pte_same A else out\n  set_pte A -> f ro\n  out:\n\
                  agent b on C1 spontaneous\n  load A\nalways refs(f) == 1\nexpect proved\n";
    let mut alone = of_source(source, "a").dropped;
    alone.sort();
    assert_eq!(alone, [[0], [1], [2]]);
}

#[test]
fn an_order_that_waits_for_nobody_is_told_from_one_that_waits() {
    let source = "scenario posts\npage A\nframe f = 0\nmap A -> f rw\ncpu C\ndevice D\nagent a on C\n  iotlb_inv A post\n  \
                  inv_wait\nagent b on D spontaneous\n  dma_read A\nalways refs(f) == 1\nexpect proved\n";
    let found = of_source(source, "a");
    let refused = found.sets[0].needs[0].without.as_ref().expect("an order was refused");
    let other = Refusal::OtherJob("it comes to its end, and waits for nobody".to_owned());
    assert_eq!(refused.refusal, other);
}

#[test]
fn an_event_inside_of_a_look_of_the_agent_is_no_error_of_the_text() {
    let source = "scenario after-in-if\npage A\nframe old = 0, new = 0\nmap A -> old rw\ncpu C0, C1\nagent F on C0\n  lock l\n  \
        if pte(A) == old:\n    pte_clear A\n    flush_tlb A\n    copy old -> new\n  unlock l\n\
        agent S on C1 spontaneous\n  store A = 9\nnever S writes old after F copy old -> new\nexpect proved\n";
    let found = of_source(source, "F");
    assert_eq!(dropped(&found), ["lock l", "unlock l"]);
    assert_eq!((found.sets[0].orders, found.shape), (Some(1), Shape::One));
}

#[test]
fn an_order_that_the_explorer_refuses_is_none_of_the_proved_ones() {
    let scenario = load(READERS).expect("it is read").remove(0).0;
    let rows = rows(&scenario.agents[0]);
    let options = limits().options;
    let judge = Judge::new(&scenario, READERS, 0, &rows, &options).expect("it loads");
    let mut lattice = Lattice::new(&judge, Orders::all(0b1111), 100, 40_000);
    assert_eq!(lattice.all(ALL).expect("they are few").count, Some(5));
    lattice.exclude(vec![vec![1, 0, 2, 3]]);
    let proved = lattice.all(ALL).expect("they are few");
    assert_eq!(proved.count, Some(4));
    assert_eq!(lattice.refused(&proved.common, ALL), Ok(Some(vec![1, 0, 2, 3])));
}

#[test]
fn the_needs_of_the_catalogue_are_exactly_the_orders_that_are_proved_by_themselves() {
    let mut compared = BTreeSet::new();
    for entry in entries() {
        for (index, agent) in entry.scenario.agents.iter().enumerate() {
            let count = rows(agent).len();
            if compared.len() == 16
                || !(3..=7).contains(&count)
                || entry.lowered.expect != Some(Expect::Proved)
            {
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

#[test]
fn an_order_that_waits_for_ever_is_met_although_others_go_on() {
    let source = "scenario s\ncpu C0, C1\nvar a = 0..1, b = 0..1\nagent K on C0\n  a = 1\n  when b == 1\n\
                  agent G on C1\n  when a == 1; b = 1\nfinally b\nexpect proved\n";
    let scenario = load(source).expect("it is read").remove(0).0;
    let rows = rows(&scenario.agents[0]);
    let options = limits().options;
    let judge = Judge::new(&scenario, source, 0, &rows, &options).expect("it loads");
    assert_eq!(judge.every(&Orders::only(&[0, 1])), Some(()));
    assert_eq!(judge.every(&Orders::all(0b11)), None);
}

#[test]
fn each_outcome_of_a_look_is_what_the_program_does_then() {
    let source =
        "scenario s\nvar x = 0..1, a = 0..1, b = 0..1\nagent K\n  if x:\n    a = 1\n  else:\n    b = 1\n";
    let rows = rows(&parse(source).scenarios[0].agents[0]);
    let turned: Vec<_> = outcomes(&rows)
        .into_iter()
        .filter(|turned| turned.look.is_some())
        .filter_map(|turned| {
            let does = match &turned.rows[0].statements[0].node {
                Node::Choice(ways) => ways[0][0].span.text(source),
                other => panic!("{other:?}"),
            };
            turned.look.map(|(_, how)| (how, does))
        })
        .collect();
    assert_eq!(turned, [("holds", "a = 1"), ("does not hold", "b = 1")]);
}

#[test]
fn as_many_sets_of_rows_are_found_as_are_allowed() {
    let orders = Orders::all(0b11);
    assert_eq!(orders.sets(4), Some(vec![0b00, 0b01, 0b10, 0b11]));
    assert_eq!(orders.sets(3), None);
}

#[test]
fn a_jump_finds_its_label_behind_it() {
    let source = "scenario s\nvar x = 0..1, y = 0..1, z = 0..1\nagent K\n  check x == 0 else out\n  y = 1\nout:\n  z = 1\n\
                  agent G spontaneous\n  x = 1\nfinally z\nexpect proved\n";
    let found = of_source(source, "K");
    assert_eq!(needs(&found), [""; 0], "{:?} {:?}", found.rows, found.shape);
}

#[test]
fn a_proof_of_nothing_is_no_proof_to_begin_with() {
    let source = "scenario s\npage A\nframe f = 1, g = 0\nmap A -> f rw\ncpu T0, T1\nvar x = 0..1\nagent T0\n  \
                  if x == 1: store A = 2\n  x = 0\nagent T1 spontaneous\n  load A\n\
                  never T1 reads A == 1 after T0 writes A == 2\n";
    let (scenario, _) = load(source).expect("it loads").remove(0);
    match minimize(&scenario, source, "T0", &limits()) {
        Err(MinimizeError::NotProved { refusal, .. }) => {
            assert!(matches!(*refusal, Refusal::Meaningless(_)), "{refusal:?}");
        }
        other => panic!("{other:?}"),
    }
}
