//! Which orders there are, and how they are grouped.

use std::collections::{BTreeMap, BTreeSet};

use super::super::program::Program;
use super::super::{Kind, OPERATIONS, User, generate, orders};
use super::{operation, request};

/// Every list of some of the steps, each once at most.
fn lists(steps: usize) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while at < found.len() {
        for step in (0..steps).filter(|step| !found[at].contains(step)).collect::<Vec<_>>() {
            let longer = [found[at].as_slice(), &[step]].concat();
            found.push(longer);
        }
        at += 1;
    }
    found
}

#[test]
fn the_steps_in_their_own_order_are_the_program() {
    for operation in OPERATIONS {
        let program = Program::new(operation, &[User::Cpu]);
        let own: Vec<usize> = (0..program.steps.len()).collect();
        let all: Vec<String> = super::super::program::rows_of(operation);
        assert_eq!(program.lines(&own), all, "{}", operation.name);
    }
}

#[test]
fn every_order_is_found_once_and_no_other() {
    for name in ["cow", "zap"] {
        let program = Program::new(operation(name), &[User::Cpu]);
        let by_hand: BTreeSet<Vec<usize>> =
            lists(6).into_iter().filter(|order| orders::is_one(&program, order)).collect();
        let found = orders::orders(&program, 6, 10_000).unwrap();
        assert_eq!(found.len(), by_hand.len(), "{name}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), by_hand, "{name}");
        assert_eq!(orders::count(&program), by_hand.len() as u128, "{name}");
        let near: BTreeSet<Vec<usize>> = orders::orders(&program, 2, 10_000).unwrap().into_iter().collect();
        let near_by_hand = by_hand.into_iter().filter(|order| orders::distance(&program, order) <= 2);
        assert_eq!(near, near_by_hand.collect(), "{name}");
    }
}

#[test]
fn a_limit_of_orders_is_no_answer() {
    let program = Program::new(operation("cow"), &[User::Cpu]);
    assert!(orders::orders(&program, 6, 488).is_ok());
    assert_eq!(orders::orders(&program, 6, 487), Err(orders::TooMany));
}

#[test]
fn all_orders_of_a_class_have_the_same_verdicts_and_minimal_ones_are_one_step_from_safe() {
    let found = generate(&request("zap", &[User::Device], None)).unwrap();
    let kinds = |at: usize| -> Vec<Kind> {
        found.orders[at].judged.iter().map(|judged| judged.verdict.kind()).collect()
    };
    let mut classes: BTreeMap<usize, Vec<Kind>> = BTreeMap::new();
    for (at, order) in found.orders.iter().enumerate() {
        assert_eq!(*classes.entry(order.class).or_insert_with(|| kinds(at)), kinds(at));
    }
    assert_eq!(classes.len(), found.classes);
    assert!(found.classes < found.orders.len(), "some steps commute");
    let safe = |steps: &[usize]| {
        found.orders.iter().any(|order| order.steps == steps && order.judged[0].verdict.kind() == Kind::Safe)
    };
    for order in &found.orders {
        let exchanged = (1..order.steps.len()).any(|at| {
            let mut other = order.steps.clone();
            other.swap(at - 1, at);
            safe(&other)
        });
        let put_back = order.left_out.iter().any(|step| {
            (0..=order.steps.len()).any(|at| {
                let mut other = order.steps.clone();
                other.insert(at, *step);
                safe(&other)
            })
        });
        let broken = order.judged[0].verdict.kind() == Kind::Broken;
        assert_eq!(order.minimal[0], broken && (exchanged || put_back), "{:?}", found.named(order));
    }
}
