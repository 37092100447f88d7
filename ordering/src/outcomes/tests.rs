//! Outcomes of small scenarios that were counted by hand, and of the catalogue.

use crate::catalogue;
use crate::engine::{self, Options, Reductions, Shortfall, Threads, Verdict};
use crate::language::render_all;
use crate::lowering::load;

use super::{Frequency, MOST, Outcome, Outcomes, Seen, outcomes};

fn of_text(text: &str, options: &Options) -> Vec<Outcomes> {
    let loaded = load(text).unwrap_or_else(|wrong| panic!("{}", render_all(&wrong, "text", text)));
    let one = |scenario| outcomes(scenario, text, options).expect("it can be lowered");
    loaded.iter().map(|(scenario, _)| one(scenario)).collect()
}

/// The outcomes of the first scenario of a text.
fn first(text: &str) -> Outcomes {
    of_text(text, &Options::default()).remove(0)
}

fn lines(outcomes: &Outcomes) -> Vec<String> {
    outcomes.found.iter().map(|outcome| outcomes.line(outcome)).collect()
}

/// Of a scenario of the litmus tests, the values of `r0` and `r1`.
fn registers(name: &str) -> Vec<(u32, u32)> {
    let text = catalogue::text_of("litmus/store-buffers.scn").expect("the catalogue has it");
    let loaded = load(text).expect("the catalogue can be read");
    let (scenario, _) =
        loaded.iter().find(|(_, lowered)| lowered.name == name).expect("it has this scenario");
    let found = outcomes(scenario, text, &Options::default()).expect("it can be lowered");
    let at =
        |name: &str| found.variables.iter().position(|known| known == name).expect("it has this register");
    let (r0, r1) = (at("r0"), at("r1"));
    let seen = found.found.iter().filter_map(Outcome::seen);
    let mut pairs: Vec<(u32, u32)> = seen.map(|seen| (seen.variables[r0], seen.variables[r1])).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn the_litmus_tests_have_the_outcomes_that_are_known_of_x86() {
    assert_eq!(registers("store-buffering"), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(registers("store-buffering-in-order"), [(0, 1), (1, 0), (1, 1)]);
    assert_eq!(registers("store-buffering-with-fences"), [(0, 1), (1, 0), (1, 1)]);
    assert_eq!(registers("store-buffering-with-one-fence"), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(registers("message-passing"), [(0, 0), (0, 1), (1, 1)]);
    assert_eq!(registers("load-buffering"), [(0, 0), (0, 1), (1, 0)]);
}

#[test]
fn stores_that_wait_have_reached_memory_when_an_outcome_is_taken() {
    let text =
        "scenario late\nvar x = 0..1, y = 0..1\ncpu P0\noption memory = tso\nagent P0\n  x = 1\n  y = x\n";
    assert_eq!(lines(&first(text)), ["  x = 1; y = 1"]);
}

const LATE: &str = "scenario late\npage A\nframe old = 0, new = 1\nmap A -> old ro\ncpu CPU\ndevice DMA\n\nrace\n\
    CPU | DMA\npte_clear A | dma_read A\nset_pte A -> new ro |\nnotify A |\n";

/// The device may walk before, and then read at any time, or behind, or not at all; a walk that comes between the
/// two steps of the CPU waits.
#[test]
fn a_device_may_have_read_the_old_page_the_new_one_or_none_at_the_end() {
    let found = first(LATE);
    let read = |value: &str| format!("  DMA.1 dma_read A = {value}; pte[A] = new ro");
    assert_eq!(lines(&found), ["-", "0", "1"].map(read));
    let place = &found.places[0];
    assert_eq!(
        (place.agent.as_str(), place.row, place.line, place.text.as_str()),
        ("DMA", 1, 10, "dma_read A")
    );
    assert!(found.observations().is_empty() && found.is_complete());
    assert_eq!(found.to_string().lines().next(), Some("3 outcomes"));
}

#[test]
fn the_last_value_of_a_repeat_is_the_one_that_counts() {
    let text = LATE
        .replace("dma_read A\n", "repeat 2..2: dma_read A; x += 1\n")
        .replace("page A", "var x = 0..2\npage A");
    let read = |(value, x): (&str, u32)| format!("  DMA.1 dma_read A = {value}; x = {x}; pte[A] = new ro");
    // One round and the read of the next: both of these are there with x = 1.
    let expected = [("-", 0), ("0", 0), ("0", 1), ("0", 2), ("1", 0), ("1", 1), ("1", 2)];
    assert_eq!(lines(&first(&text)), expected.map(read));
}

/// After the set the device may still hold the old entry, read 0, and break the property.
#[test]
fn a_broken_property_is_an_outcome_beside_those_of_the_other_runs() {
    let text = format!(
        "{LATE}\nnever DMA reads A == 0 after CPU set_pte A\nalways !(pte(A) == none)\nexpect violation\n"
    );
    let found = first(&text);
    // The clear leaves no entry: every run breaks the second property, and nothing comes behind that.
    assert_eq!(lines(&found), ["* breaks always !(pte(A) == none) (line 15)"]);
    let (never, always) = (&found.observations()[0], &found.observations()[1]);
    assert_eq!((never.holds, never.broken, never.frequency), (1, 0, Some(Frequency::Always)));
    assert_eq!((always.holds, always.broken, always.frequency), (0, 1, Some(Frequency::Never)));

    let found = first(&text.replace("always !(pte(A) == none)\n", ""));
    let mut expected =
        ["-", "0", "1"].map(|value| format!("  DMA.1 dma_read A = {value}; pte[A] = new ro")).to_vec();
    expected.push("* breaks never DMA reads A == 0 after CPU set_pte A (line 14)".to_owned());
    assert_eq!(lines(&found), expected);
    let never = found.observations()[0];
    assert_eq!((never.holds, never.broken, never.frequency), (3, 1, Some(Frequency::Sometimes)));
    assert_eq!(
        found.observed(&never),
        "Sometimes holds in 3, broken in 1: never DMA reads A == 0 after CPU set_pte A (line 14)"
    );
}

#[test]
fn a_finally_marks_the_outcomes_in_which_it_does_not_hold() {
    let text = "scenario both\nvar x = 0..2\nagent P0\n  x = 1\nagent P1\n  x = 2\nfinally x == 1\nfinally x < 2\nexpect violation\n";
    let found = first(text);
    assert_eq!(lines(&found), ["  x = 1", "* x = 2"]);
    assert_eq!(found.found.last().map(|last| last.broken().len()), Some(2));
}

/// Whoever takes the lock first never lets it go; the other waits for ever, P1 behind its load and P0 before it.
#[test]
fn runs_that_are_stuck_or_go_on_for_ever_are_outcomes_too() {
    let stuck = "scenario stuck\npage A\nframe f = 3\nmap A -> f ro\ncpu P0, P1\nagent P0\n  lock ptl(A)\n  load A\n\
                 agent P1\n  load A\n  lock ptl(A)\n";
    let ends = |mark: char| {
        ["-", "3"]
            .map(|value| format!("{mark} stuck with P0.2 load A = {value}; P1.1 load A = 3; pte[A] = f ro"))
    };
    assert_eq!(lines(&first(stuck)), ends('*'));
    let off = stuck.replace("cpu P0", "option deadlock = off\ncpu P0");
    assert_eq!(lines(&first(&off)), ends(' '));

    let endless = "scenario endless\nvar x = 0..1\nagent P0\n  again:\n  x = 1\n  x = 0\n  goto again\nagent P1\n  x = 0\n";
    assert_eq!(lines(&first(endless)), ["* goes on for ever"]);
    let off = endless.replace("var x", "option livelock = off\nvar x");
    assert_eq!(lines(&first(&off)), ["  goes on for ever"]);
}

/// Who is alike does not end alike: that only one of them has read is two outcomes.
#[test]
fn agents_that_are_alike_are_told_apart() {
    let text = "scenario alike\npage A\nframe f = 3\nmap A -> f ro\ncpu C0, C1\nagent C0\n  repeat 0..1: load A\n\
                agent C1\n  repeat 0..1: load A\n";
    let model = &load(text).expect("it can be read")[0].1.model;
    assert_eq!(engine::compile(model).expect("it is small").symmetries(), 1);
    let pairs = [("-", "-"), ("-", "3"), ("3", "-"), ("3", "3")];
    let line = |(one, other)| format!("  C0.1 load A = {one}; C1.1 load A = {other}; pte[A] = f ro");
    assert_eq!(lines(&first(text)), pairs.map(line));
}

/// The first agent breaks the `always` by its only step, which concerns nobody else; in other runs the second comes first.
#[test]
fn what_ends_a_run_early_hides_nothing_that_others_break() {
    let text = "scenario early\nvar x = 0..1, y = 0..1, z = 0..1, w = 0..1\nagent A\n  x = 1\nagent B\n  y = 1\n  z = 1\n\
                agent C\n  if y == 1: w = 1\nalways x == 0\nnever B z = 1\nexpect violation\n";
    let broken = ["* breaks always x == 0 (line 10)", "* breaks never B z = 1 (line 11)"];
    assert_eq!(lines(&first(text)), broken);
}

#[test]
fn a_scenario_that_is_only_checked_has_no_register() {
    let (_, lowered) = load(LATE).expect("it can be read").remove(0);
    assert!(lowered.model.variables.iter().all(|variable| !variable.name.contains("dma_read")));
    assert!(lowered.observed.is_none());
}

/// The handle is empty if the entry is gone by then; what is read in one step with others counts as well.
#[test]
fn reads_of_frames_by_name_by_handle_and_in_one_step_are_returned() {
    let text = "scenario frames\npage A\nframe f = 3\nmap A -> f ro\ncpu C0, C1\nvar x = 0..1\nagent C0\n  gup_fast A => h\n  \
                read h\n  atomic { read f; x = 1 }\n  put h\nagent C1\n  pte_clear A\n";
    let line = |value| format!("  C0.2 read h = {value}; C0.3 read f = 3; x = 1; pte[A] = none");
    assert_eq!(lines(&first(text)), ["-", "3"].map(line));
}

#[test]
fn upper_entries_and_pages_that_nobody_touches_are_in_the_vector() {
    let text = "scenario uppers\ntable T\nframe f = 3\npmd M -> T\npage A under M, B\nmap A -> f ro, B -> f rw\ncpu C0\n\
                agent C0\n  pmd_clear M\n";
    assert_eq!(lines(&first(text)), ["  pte[A] = f ro; pte[B] = f rw; pmd[M] = none"]);
}

#[test]
fn what_was_seen_elsewhere_is_looked_up() {
    let found = first(LATE);
    let seen = |value, entry: &str| Seen {
        values: vec![value],
        variables: Vec::new(),
        entries: vec![entry.to_owned()],
    };
    assert_eq!(found.with(&seen(Some(1), "new ro")).count(), 1);
    assert_eq!(found.with(&seen(None, "new ro")).count(), 1);
    assert_eq!(found.with(&seen(Some(1), "none")).count(), 0);
    assert_eq!(found.with(&seen(Some(7), "new ro")).count(), 0);
}

#[test]
fn what_a_limit_cuts_short_says_neither_always_nor_never() {
    let text = format!("{LATE}\nnever DMA reads A == 1\nexpect violation\n");
    let options = Options { max_states: 3, ..Options::default() };
    let found = of_text(&text, &options).remove(0);
    assert!(matches!(found.unfinished, Some(Shortfall::Search(_))), "{found}");
    assert!(found.observations().iter().all(|one| one.frequency.is_none()), "{found}");
    assert!(found.to_string().contains("within --max-states, and perhaps more"), "{found}");
}

#[test]
fn of_too_many_outcomes_some_are_told_whoever_finds_them() {
    let list: Vec<String> = (0..17).map(|agent| format!("v{agent} = 0..1")).collect();
    let agent = |agent| format!("agent A{agent}\n  repeat 0..1: v{agent} = 1\n");
    let agents: String = (0..17).map(agent).collect();
    let text = &format!("scenario many\nvar {}\n{agents}", list.join(", "));
    let with = |threads| of_text(text, &Options { threads, ..Options::default() }).remove(0);
    let found = with(Threads::ONE);
    assert_eq!((found.unfinished, found.found.len()), (Some(Shortfall::TooMany), MOST));
    assert_eq!(found, with(Threads::new(2)));
    assert!(found.to_string().starts_with("65536 outcomes, and more: "), "{}", found.count());
}

#[test]
fn an_outcome_of_the_catalogue_is_forbidden_if_and_only_if_its_scenario_is_violated() {
    for entry in catalogue::entries() {
        let name = &entry.lowered.name;
        let found = outcomes(&entry.scenario, entry.file.text, &Options::default()).expect("it fits");
        assert!(found.is_complete(), "{name}");
        let packed = engine::compile(&entry.lowered.model).expect("it fits");
        let forbidden = |property| found.found.iter().any(|outcome| outcome.broken().contains(&property));
        match engine::explore(&packed, &Options::default()).verdict {
            Verdict::Violated { property, .. } => assert!(forbidden(property), "{name}:\n{found}"),
            Verdict::Proved => assert!(found.found.iter().all(Outcome::is_allowed), "{name}:\n{found}"),
            Verdict::BoundHit { .. } => panic!("{name} is small"),
        }
    }
}

#[test]
fn reductions_leave_out_no_outcome_of_the_catalogue() {
    for entry in catalogue::entries().iter().step_by(5) {
        let with = |reductions| {
            let options = Options { reductions, max_states: 60_000, ..Options::default() };
            outcomes(&entry.scenario, entry.file.text, &options).expect("a scenario of the catalogue fits")
        };
        let (reduced, plain) = (with(Reductions::PAYING), with(Reductions::NONE));
        if plain.is_complete() {
            assert_eq!(lines(&reduced), lines(&plain), "{}", entry.lowered.name);
        }
    }
}
