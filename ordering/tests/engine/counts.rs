//! The numbers of states and steps that other checkers find for `cow-n`.

use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{
    Counting, Interleavings, Options, Outcome, PersistentSets, Reductions, Threads, Verdict, compile, explore,
};

fn explored((pages, devices, reads): (u16, u16, u16), order: Order, options: &Options) -> Outcome {
    let model = cow_n(Size { pages, devices, reads }, order);
    explore(&compile(&model).expect("cow-n fits into a word"), options)
}

fn counts(size: (u16, u16, u16), threads: Threads) -> (usize, u64) {
    let options = Options { reductions: Reductions::NONE, threads, ..Options::default() };
    let outcome = explored(size, Order::NotifyFirst, &options);
    assert_eq!(outcome.verdict, Verdict::Proved);
    (outcome.statistics.states, outcome.statistics.transitions)
}

#[test]
fn unreduced_counts_are_those_of_other_checkers() {
    assert_eq!(counts((1, 1, 2), Threads::ONE), (279, 603));
    assert_eq!(counts((2, 1, 2), Threads::ONE), (2_561, 6_656));
}

#[test]
fn eight_threads_find_the_same_states_as_one() {
    assert_eq!(counts((3, 2, 3), Threads::ONE), (1_319_494, 5_570_538));
    assert_eq!(counts((3, 2, 3), Threads::new(8)), (1_319_494, 5_570_538));
}

#[test]
fn the_outcome_does_not_depend_on_the_number_of_threads() {
    for order in [Order::NotifyFirst, Order::NotifyLast] {
        for reductions in [Reductions::ALL, Reductions::PAYING, Reductions::NONE] {
            let with = |threads| {
                let options =
                    Options { reductions, threads, interleavings: Counting::On, ..Options::default() };
                explored((2, 2, 2), order, &options)
            };
            let one = with(Threads::ONE);
            assert!(one.statistics.states > 40, "{one:?}");
            for count in 1..=8 {
                // Also in levels that are too small for that: two threads or more have a state each.
                assert_eq!(with(Threads::new(count).each_from(1)), one, "{order:?} {reductions:?}: {count}");
                assert_eq!(with(Threads::new(count)), one, "{order:?} {reductions:?}: {count}");
            }
        }
    }
}

#[test]
fn the_late_notification_is_refuted_in_nine_steps_by_every_search() {
    for reductions in [Reductions::ALL, Reductions::PAYING, Reductions::NONE] {
        for threads in [Threads::ONE, Threads::new(2), Threads::new(7)] {
            let options = Options { reductions, threads, ..Options::default() };
            let Verdict::Violated { trace, .. } = explored((4, 2, 3), Order::NotifyLast, &options).verdict
            else {
                panic!("the late notification must be refuted");
            };
            assert_eq!(trace.steps.len(), 9);
        }
    }
}

fn states((pages, devices, reads): (u16, u16, u16), persistent_sets: PersistentSets, limit: usize) -> usize {
    let reductions = Reductions { persistent_sets, ..Reductions::ALL };
    let options = Options { reductions, max_states: limit, ..Options::default() };
    let outcome = explored((pages, devices, reads), Order::NotifyFirst, &options);
    assert_eq!(outcome.verdict, Verdict::Proved);
    outcome.statistics.states
}

#[test]
fn persistent_sets_are_not_chosen_in_a_search_that_is_over_before_it_is_asked() {
    let (size, all) = ((2, 1, 2), usize::MAX);
    let [off, on] = [PersistentSets::Off, PersistentSets::On].map(|sets| states(size, sets, all));
    assert!(on < off);
    assert_eq!(states(size, PersistentSets::Asked { at: off + 1 }, all), off);
    assert_eq!(states(size, PersistentSets::Asked { at: off / 2 }, all), on);
}

#[test]
fn persistent_sets_are_chosen_where_there_is_room_for_no_more_states() {
    let size = (2, 1, 2);
    let on = states(size, PersistentSets::On, usize::MAX);
    assert_eq!(states(size, PersistentSets::Asked { at: usize::MAX }, on), on);
}

#[test]
fn the_largest_proof_has_ten_to_the_twenty_seven_interleavings() {
    let options = Options { interleavings: Counting::On, ..Options::default() };
    let outcome = explored((4, 2, 3), Order::NotifyFirst, &options);
    assert_eq!((outcome.verdict, outcome.statistics.states), (Verdict::Proved, 100_486));
    let Interleavings::Count(runs) = outcome.statistics.interleavings else { panic!("cow-n has no cycles") };
    assert!((4.275e27..4.285e27).contains(&runs), "{runs}");
}
