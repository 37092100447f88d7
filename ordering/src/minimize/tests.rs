//! What the mails of 2017 say about the order of clear, flush, notify and set, found by the search; and the search held
//! against every order.

use super::judge::Judge;
use super::rows::rows;
use super::{Coverage, Limits, MinimizeError, Need, Refusal, Weakest, minimize};
use crate::catalogue::{Entry, entries};
use crate::engine::Options;
use crate::language::parse;

fn limits() -> Limits {
    Limits { options: Options { max_states: 1_000_000, ..Options::default() }, singly: 8 }
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
    let text = |row: usize| found.rows[row].text.as_str();
    found.needs.iter().map(|(need, _)| format!("{} < {}", text(need.first), text(need.then))).collect()
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
    assert_eq!((found.orders, found.coverage), (Some(2), Coverage::All));
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
    assert_eq!(found.coverage, Coverage::Some(8), "its orders are too many to be explored at once");
}

#[test]
fn the_notification_of_try_to_unmap_may_wait_as_long_as_the_frame_is_held() {
    let found = weakest("unmap-notify-in-range-end", "RC");
    assert_eq!(
        needs(&found),
        [
            "notify_start A < pte_clear A",
            "pte_clear A < notify A",
            "pte_clear A < notify_end A",
            "pte_clear A < flush_tlb A",
            "notify A < put old",
            "flush_tlb A < put old",
        ]
    );
    assert_eq!((found.orders, found.coverage), (Some(8), Coverage::All));
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
    assert_eq!(found.coverage, Coverage::All);
}

#[test]
fn the_needs_are_those_of_every_order_tried_by_itself() {
    for (scenario, agent) in
        [("cow-clear-flush-notify-three-cpus", "CPU"), ("dontneed-notify-after-unlock", "T0")]
    {
        let found = weakest(scenario, agent);
        let entry = entry(scenario);
        let index = entry.scenario.agents.iter().position(|one| one.name.node == agent).expect("it is there");
        let rows = rows(&entry.scenario.agents[index].body, entry.file.text);
        let options = limits().options;
        let judge = Judge::new(&entry.scenario, entry.file.text, index, &rows, &options).expect("it loads");
        let gone: Vec<usize> = found.dropped.iter().flatten().copied().collect();
        let left: Vec<usize> = (0..rows.len()).filter(|row| !gone.contains(row)).collect();
        let mut safe = 0;
        for order in permutations(&left) {
            let place = |row: usize| order.iter().position(|other| *other == row);
            let keeps = found.needs.iter().all(|(need, _)| place(need.first) < place(need.then));
            assert_eq!(judge.order(&order).is_none(), keeps, "{scenario}: {order:?}");
            safe += u128::from(keeps);
        }
        assert_eq!(found.orders, Some(safe));
    }
}

fn permutations(rows: &[usize]) -> Vec<Vec<usize>> {
    if rows.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let others: Vec<usize> =
            rows.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, row)| *row).collect();
        found.extend(permutations(&others).into_iter().map(|rest| [&[*row], rest.as_slice()].concat()));
    }
    found
}

#[test]
fn every_need_says_what_happens_without_it() {
    let found = weakest("cow-clear-flush-notify", "CPU");
    let reason = |first: &str, then: &str| {
        let is = |need: &Need| found.rows[need.first].text == first && found.rows[need.then].text == then;
        found.needs.iter().find(|(need, _)| is(need)).map(|(_, refusal)| refusal)
    };
    let Some(Refusal::Violated { trace, .. }) = reason("pte_clear A", "notify A") else {
        panic!("no counterexample: {:?}", found.needs);
    };
    assert!(trace.to_string().contains("dma_read A = 0"), "{trace}");
    let job = Refusal::OtherJob("it waits for ever, with pte[A]: none".to_owned());
    assert_eq!(reason("pte_clear A", "set_pte A -> new rw"), Some(&job));
}

#[test]
fn what_a_goto_passes_over_is_one_row_and_operations_are_written_out() {
    let source = "scenario s\nagent k\n  check x else restore\n  notify A\n  goto out\nrestore:\n  flush_tlb A\n\
                  out:\n  ptep_clear_flush_notify A\n  load A\n";
    let rows = rows(&parse(source).scenarios[0].agents[0].body, source);
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
