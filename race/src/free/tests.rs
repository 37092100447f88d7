//! That a free run notices what the model does not have, and waits for nobody who is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use ordering::language::parse;

use super::round::Worker;
use super::team::{AHEAD, Attendance};
use super::*;

const READS: &str =
    "scenario s\npage A\nframe f = 4294967295\nmap A -> f ro\ncpu C\nagent a on C\n  load A\n";
const PLAN: Plan<'_> = Plan { rounds: 200, time: None, seed: 1, threads: 2, window: 0, stop: None };

fn free(text: &str) -> Free {
    let scenario = parse(text).scenarios.remove(0);
    Free::new(&scenario, text, &Options::default()).expect("the text is a scenario")
}

fn machine(lowered: &Lowered) -> Machine {
    Machine::new(lowered).expect("a scenario needs little memory")
}

#[test]
fn the_greatest_value_is_returned_like_any_other() {
    let free = free(READS);
    let seen = free.run(&machine(free.lowered()), &PLAN);
    assert!(seen.agrees() && seen.bars.len() == 1, "{seen:?}");
    let values = seen.bars[0].outcome.seen().map(|seen| seen.values.clone());
    assert_eq!(values, Some(vec![Some(u32::MAX)]));
}

#[test]
fn an_end_that_the_model_does_not_have_is_a_divergence() {
    let free = free(READS);
    let mut other = free.lowered().clone();
    other.scene.frames[0].content = 5;
    let seen = free.run(&machine(&other), &PLAN);
    assert!(!seen.agrees(), "{seen:?}");
}

#[test]
fn rounds_without_an_end_agree_with_nothing() {
    let seen = |rounds, may_go_on| Histogram {
        bars: Vec::new(),
        rounds,
        together: 0,
        endless: rounds,
        may_go_on,
        time: Duration::ZERO,
        stalled: None,
    };
    assert!(!seen(3, false).agrees());
    assert!(seen(3, true).agrees(), "the model goes on, too");
    assert!(seen(0, false).agrees(), "nothing was asked for");
}

#[test]
fn what_is_atomic_is_done_whole_and_a_sum_is_not_lost() {
    let atomic = "scenario s\nvar x = 0..1, y = 0..1\nagent a\n  atomic { y += 1; x = 1 }\n\nfinally x == 1 && y == 1\n";
    let sums = "scenario s\nvar x = 0..2\nagent a\n  x += 1\nagent b\n  x += 1\n\nfinally x == 2\n";
    for text in [atomic, sums] {
        let free = free(text);
        let seen = free.run(&machine(free.lowered()), &Plan { rounds: 20_000, ..PLAN });
        assert!(seen.agrees(), "{text}{seen:?}");
    }
}

#[test]
fn a_step_beyond_a_range_is_still_found_in_what_is_atomic() {
    let free = free("scenario s\nvar x = 0..1, y = 0..1\nagent a\n  y += 1\n  atomic { y += 1; x = 1 }\n");
    let seen = free.run(&machine(free.lowered()), &PLAN);
    assert!(
        seen.agrees() && seen.bars.iter().all(|bar| matches!(bar.outcome, Outcome::Broken(_))),
        "{seen:?}"
    );
}

#[test]
fn nobody_waits_for_a_thread_that_panics() {
    let free = free(READS);
    let machine = machine(free.lowered());
    let setting = Setting::new(free.lowered(), &machine, &registers(free.lowered()));
    let worlds = [World::new(&setting, &machine, 2)];
    let team = Team::new(PLAN.rounds);
    team.begin(2);
    let gone = catch_unwind(AssertUnwindSafe(|| {
        let _attendance = Attendance(&team, &worlds);
        panic!("a thread of a race breaks down");
    }));
    assert!(gone.is_err() && team.lost.load(Ordering::Acquire));
    // The other thread never comes to a round: this one ends all the same.
    let counted = Member::new(&team, &worlds, None, 0, &PLAN).run(|| false);
    assert!(counted.rounds <= 1, "{counted:?}");
}

#[test]
fn what_made_a_round_stand_still_is_told_however_many_end_well_after_it() {
    let free = free(READS);
    let machine = machine(free.lowered());
    let setting = Setting::new(free.lowered(), &machine, &registers(free.lowered()));
    let world = World::new(&setting, &machine, 1);
    let mut worker = Worker::new(&world, 0, 1, 0, false);
    let mut counted = Counted::default();
    let told = vec![("a".to_owned(), "load A".to_owned())];
    for stalled in [Some(told.clone()), None] {
        assert!(counted.begins(&world, 1));
        worker.round(1, 1);
        let is_last = stalled.is_some();
        *world.stalled.lock() = stalled;
        assert_eq!(counted.count(&mut worker), !is_last);
    }
    assert_eq!((counted.stalled, counted.rounds), (Some(told), 2));
}

#[test]
fn an_agent_that_waits_goes_on_when_another_has_moved() {
    // Who waits asks nobody until somebody moves: a step that nobody noticed would be an end that the model does not have.
    let text = "scenario s\nvar x = 0..9\ncpu C, D\nagent a on C\n  when x == 1; x = 2; when x == 3; x = 4\n\
                agent b on D\n  x = 1; when x == 2; x = 3; when x == 4\n";
    let free = free(text);
    assert_eq!(free.ends().found.len(), 1, "{:?}", free.ends());
    let seen = free.run(&machine(free.lowered()), &Plan { rounds: 2000, ..PLAN });
    assert!(seen.agrees() && seen.endless == 0, "{seen:?}");
}

#[test]
fn of_three_rounds_on_two_threads_one_has_agents_of_both() {
    let two = READS.replace("cpu C\n", "cpu C, D\n") + "agent b on D\n  load A\n";
    let free = free(&two);
    let machine = machine(free.lowered());
    let seen = free.run(&machine, &Plan { rounds: 20_000, ..PLAN });
    // A thread that waits may run rounds alone ahead of its share, and what is left at the end.
    assert!(seen.together * 3 + 2 * AHEAD.unsigned_abs() + 2 * SHARED >= seen.rounds, "{seen:?}");
    let alone = free.run(&machine, &Plan { threads: 1, ..PLAN });
    assert_eq!((alone.rounds, alone.together), (PLAN.rounds, 0));
}

#[test]
fn as_many_rounds_run_as_were_asked_for() {
    let two = READS.replace("cpu C\n", "cpu C, D\n") + "agent b on D\n  load A\n";
    let free = free(&two);
    let machine = machine(free.lowered());
    for rounds in [0, 1, 2, 15, 16, 17, 33, 200, 1000] {
        for threads in [1, 2] {
            let seen = free.run(&machine, &Plan { rounds, threads, ..PLAN });
            assert_eq!(seen.rounds, rounds, "{threads} threads: {seen:?}");
            assert_eq!(seen.bars.iter().map(|bar| bar.count).sum::<u64>() + seen.endless, rounds);
        }
    }
}
