//! What is explained by a run, and what is by none.

use super::{Explained, MOST_PLACES, Sighting, Stands, Unexplained, explain};
use crate::counterexample::Seen;
use crate::language::parse;
use crate::lowering::{Lowered, load, lower, replay};

const LATE: &str = "scenario late-notification
page A
frame old = 0, new = 0
map A -> old ro
cpu CPU
device DEV

agent CPU
  pte_clear A
  flush_tlb A
  set_pte A -> new rw
  store A = 1
  notify A
agent DEV
  repeat 0..2: dma_read A

never DEV reads A == 0 after CPU writes A
";

fn lowered(text: &str) -> Lowered {
    load(text).unwrap().remove(0).1
}

fn sighting(lowered: &Lowered, agent: &str, row: &str, began_ns: u64, ended_ns: u64) -> Sighting {
    let agent = lowered.model.agents.iter().position(|one| one.name == agent).unwrap();
    Sighting { agent, rows: vec![row.to_owned()], leads_to: None, began_ns, ended_ns, stands: Stands::Always }
}

/// All that the CPU does, a row in ten nanoseconds, and the read at these times.
fn seen(lowered: &Lowered, read: (u64, u64)) -> Vec<Sighting> {
    let rows = ["pte_clear A", "flush_tlb A", "set_pte A -> new rw", "store A = 1", "notify A"];
    let times = (0..).map(|row| row * 10);
    let mut found: Vec<Sighting> =
        rows.iter().zip(times).map(|(row, at)| sighting(lowered, "CPU", row, at, at + 9)).collect();
    found.push(sighting(lowered, "DEV", "dma_read A = 0", read.0, read.1));
    found
}

fn texts(lowered: &Lowered, explained: &Explained) -> Vec<String> {
    explained.table(lowered).rows().map(|(agent, row)| format!("{agent}: {}", row.text)).collect()
}

#[test]
fn what_hardware_did_unseen_is_filled_in_and_said_to_be() {
    let lowered = lowered(LATE);
    let explained = explain(&lowered, &seen(&lowered, (35, 45)), MOST_PLACES).unwrap();
    let texts = texts(&lowered, &explained);
    let walk = texts.iter().position(|row| row == "DEV: walk A").unwrap();
    let clear = texts.iter().position(|row| row == "CPU: pte_clear A").unwrap();
    assert!(walk < clear, "{texts:?}");
    assert_eq!(texts.last().unwrap(), "DEV: dma_read A = 0");
    // The walk of the store was seen by nobody, too.
    assert_eq!(explained.filled_in(), 2);
    assert_eq!(explained.seen[walk], Seen::FilledIn);
    let printed = explained.table(&lowered).to_string();
    assert!(printed.contains(", filled in\n"), "{printed}");
    assert!(printed.contains("# VIOLATION: never DEV reads A == 0"), "{printed}");
}

#[test]
fn what_is_found_is_printed_so_that_it_replays_to_the_same_violation() {
    let lowered = lowered(LATE);
    let explained = explain(&lowered, &seen(&lowered, (35, 45)), MOST_PLACES).unwrap();
    let text = format!("{LATE}\n{}", explained.table(&lowered));
    let scenario = parse(&text).scenarios.remove(0);
    let bare = crate::language::syntax::Scenario { trace: Vec::new(), ..scenario.clone() };
    let replayed = replay(&lower(&bare, &text).unwrap().model, &scenario.trace, &text).unwrap();
    assert_eq!(replayed.trace.steps.len(), explained.trace.steps.len());
    assert_eq!(replayed.broken, Some(explained.broken));
}

#[test]
fn a_row_stands_where_its_times_allow_it_and_nowhere_else() {
    let lowered = lowered(LATE);
    // Read before the store: that breaks nothing. Behind the notification: that cannot be.
    assert_eq!(explain(&lowered, &seen(&lowered, (0, 25)), MOST_PLACES), Err(Unexplained::Unbroken));
    assert_eq!(explain(&lowered, &seen(&lowered, (50, 60)), MOST_PLACES), Err(Unexplained::Refused(5)));
}

#[test]
fn what_was_over_before_does_not_stand_behind() {
    let lowered = lowered(LATE);
    let mut sightings = seen(&lowered, (35, 45));
    sightings[3].stands = Stands::Perhaps;
    assert!(explain(&lowered, &sightings, MOST_PLACES).is_ok());
    // Over before there was an entry to store through.
    (sightings[3].began_ns, sightings[3].ended_ns) = (0, 5);
    assert!(explain(&lowered, &sightings, MOST_PLACES).is_err());
}

#[test]
fn a_walk_that_was_seen_is_taken_before_one_is_filled_in_if_it_came_to_the_same() {
    let lowered = lowered(LATE);
    for (leads_to, filled_in) in [("old ro", 1), ("new rw", 2)] {
        let mut sightings = seen(&lowered, (35, 45));
        let walk = sighting(&lowered, "DEV", "walk A", 0, 5);
        let walk = Sighting { leads_to: Some(leads_to.to_owned()), stands: Stands::Perhaps, ..walk };
        sightings.insert(0, walk);
        assert_eq!(explain(&lowered, &sightings, MOST_PLACES).unwrap().filled_in(), filled_in, "{leads_to}");
    }
}

#[test]
fn rows_of_one_agent_keep_their_order_where_the_clock_does_not_tell() {
    let lowered = lowered(LATE);
    let mut sightings = seen(&lowered, (35, 45));
    sightings.iter_mut().for_each(|one| (one.began_ns, one.ended_ns) = (0, 100));
    assert!(explain(&lowered, &sightings, MOST_PLACES).is_ok());
    sightings.swap(0, 3);
    assert!(explain(&lowered, &sightings, MOST_PLACES).is_err());
}

#[test]
fn an_order_that_is_proved_explains_no_violation() {
    let text = LATE.replace("  store A = 1\n  notify A\n", "  notify A\n  store A = 1\n");
    let lowered = lowered(&text);
    let rows = ["pte_clear A", "flush_tlb A", "set_pte A -> new rw", "notify A", "store A = 1"];
    let mut sightings: Vec<Sighting> =
        rows.iter().map(|row| sighting(&lowered, "CPU", row, 0, u64::MAX)).collect();
    sightings.push(sighting(&lowered, "DEV", "dma_read A = 0", 0, u64::MAX));
    assert_eq!(explain(&lowered, &sightings, MOST_PLACES), Err(Unexplained::Unbroken));
}

#[test]
fn a_search_that_hits_its_bound_says_so_and_refuses_nothing() {
    let lowered = lowered(LATE);
    let (happened, refused) = (seen(&lowered, (35, 45)), seen(&lowered, (50, 60)));
    assert_eq!(explain(&lowered, &happened, 1), Err(Unexplained::BoundHit(1)));
    assert_eq!(explain(&lowered, &refused, 1), Err(Unexplained::BoundHit(1)));
    assert_eq!(explain(&lowered, &refused, MOST_PLACES), Err(Unexplained::Refused(5)));
}

#[test]
fn a_place_that_was_come_to_earlier_is_looked_at_though_more_was_filled_in_before_it() {
    let lowered = lowered(LATE);
    let mut sightings = seen(&lowered, (0, 1000));
    sightings.iter_mut().for_each(|one| (one.began_ns, one.ended_ns) = (0, 1000));
    // Behind the walk that was seen it is too late for `pte_clear A`; behind one that was not, it is in time.
    (sightings[0].stands, sightings[0].ended_ns) = (Stands::Perhaps, 40);
    let walk = Sighting { stands: Stands::Perhaps, ..sighting(&lowered, "DEV", "walk A", 50, 60) };
    sightings.insert(0, walk);
    assert!(explain(&lowered, &sightings, MOST_PLACES).is_ok());
}
