//! That a free run notices what the model does not have, and waits for nobody who is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use ordering::language::parse;

use super::world::Attendance;
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
    let seen =
        |rounds| Histogram { bars: Vec::new(), rounds, endless: rounds, time: Duration::ZERO, stalled: None };
    assert!(!seen(3).agrees());
    assert!(seen(0).agrees(), "nothing was asked for");
}

#[test]
fn nobody_waits_for_a_thread_that_panics() {
    let free = free(READS);
    let machine = machine(free.lowered());
    let programs = [Program::new(free.lowered(), 0, &[])];
    let worlds = [World::new(free.lowered(), &machine, &programs, 2, 1, PLAN.rounds)];
    let world = &worlds[0];
    let gone = catch_unwind(AssertUnwindSafe(|| {
        let _attendance = Attendance(&worlds);
        panic!("a thread of a race breaks down");
    }));
    assert!(gone.is_err() && world.lost.load(Ordering::Acquire));
    // The other thread never comes to a round: who leads ends all the same.
    let counted = Workers::new(&worlds, None, 0, &PLAN).lead(&PLAN, Instant::now());
    assert!(counted.rounds <= 1, "{counted:?}");
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
