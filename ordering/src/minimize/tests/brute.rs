//! What is said of the orders of a program, held against every order tried by itself.
//!
//! Invariant: nothing here knows of hubs, beliefs and partial orders: an order is judged as its own program, and a set of
//! needs is what pairs of places say.

use std::collections::BTreeSet;

use super::super::judge::Judge;
use super::super::rows::{Mobility, Row, rows};
use super::super::{Bond, Limits, Need, PartialOrder, Shape, Standing, Weakest};
use crate::language::syntax::Scenario;

pub(super) type Order = Vec<usize>;

/// All orders of what is left of a program in which what stays keeps its order, and those that are proved.
pub(super) struct Tried {
    pub(super) all: BTreeSet<Order>,
    pub(super) proved: BTreeSet<Order>,
}

/// Tries every order of `left` by itself.
pub(super) fn tried(
    scenario: &Scenario,
    source: &str,
    agent: usize,
    left: &[usize],
    limits: &Limits,
) -> Tried {
    let rows = rows(&scenario.agents[agent]);
    let judge = Judge::new(scenario, source, agent, &rows, &limits.options).expect("it loads");
    let all: BTreeSet<Order> = permutations(left, &chain(&rows, left)).into_iter().collect();
    let proved = all.iter().filter(|order| judge.order(order).is_none()).cloned().collect();
    Tried { all, proved }
}

/// All orders of `rows` that keep `needs`.
fn permutations(rows: &[usize], needs: &[Need]) -> Vec<Order> {
    if rows.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for row in rows {
        let waits = |need: &Need| need.then == *row && rows.contains(&need.first);
        if needs.iter().any(waits) {
            continue;
        }
        let others: Vec<usize> = rows.iter().copied().filter(|other| other != row).collect();
        let rest = permutations(&others, needs);
        found.extend(rest.into_iter().map(|rest| [&[*row], rest.as_slice()].concat()));
    }
    found
}

/// What stays, each before the next.
fn chain(rows: &[Row], left: &[usize]) -> Vec<Need> {
    let stays: Vec<usize> =
        left.iter().copied().filter(|row| rows[*row].mobility == Mobility::Stays).collect();
    stays.windows(2).map(|pair| Need { first: pair[0], then: pair[1] }).collect()
}

fn keeps(order: &[usize], needs: &[Need]) -> bool {
    let place = |row: usize| order.iter().position(|other| *other == row);
    needs.iter().all(|need| place(need.first) < place(need.then))
}

/// Those of `orders` that keep `needs`.
fn that_keep(orders: &BTreeSet<Order>, needs: &[Need]) -> BTreeSet<Order> {
    orders.iter().filter(|order| keeps(order, needs)).cloned().collect()
}

fn needs_of(set: &PartialOrder) -> Vec<Need> {
    set.needs.iter().map(|bond| bond.need).collect()
}

/// The pairs of rows that stand in one order in all of `orders`.
fn common(orders: &BTreeSet<Order>) -> Vec<Need> {
    let first = orders.first().expect("one order is proved");
    let pairs =
        first.iter().flat_map(|one| first.iter().map(move |other| Need { first: *one, then: *other }));
    pairs
        .filter(|need| need.first != need.then && orders.iter().all(|order| keeps(order, &[*need])))
        .collect()
}

/// What is left of the program.
pub(super) fn left(found: &Weakest) -> Order {
    let gone: Vec<usize> = found.dropped.iter().flatten().copied().collect();
    (0..found.rows.len()).filter(|row| !gone.contains(row)).collect()
}

/// Holds what was found against all orders, each tried by itself.
pub(super) fn compare(found: &Weakest, tried: &Tried, context: &str) {
    let Tried { all, proved } = tried;
    assert_eq!(found.total, Some(all.len() as u128), "{context}");
    let kept: Vec<BTreeSet<Order>> = found.sets.iter().map(|set| that_keep(all, &needs_of(set))).collect();
    assert!(
        kept[0].contains(&left(found)),
        "{context}: the first set is not that of the program's own order"
    );
    for (set, kept) in found.sets.iter().zip(&kept) {
        assert!(kept.is_subset(proved), "{context}: refused orders keep a set");
        assert_eq!(set.orders, Some(kept.len() as u128), "{context}");
        set.needs.iter().for_each(|bond| check(bond, set, tried, context));
    }
    let exactly = that_keep(all, &common(proved)) == *proved;
    match &found.shape {
        Shape::One => {
            assert!(exactly, "{context}: the proved orders are no partial order");
            assert_eq!(&kept[0], proved, "{context}: the needs are not exactly the proved orders");
            assert_eq!(kept.len(), 1, "{context}");
        }
        Shape::Several { proved: count, covered, common: said } => {
            assert!(!exactly, "{context}: the proved orders are a partial order");
            assert_eq!(*count, Some(proved.len() as u128), "{context}");
            let union: BTreeSet<Order> = kept.iter().flatten().cloned().collect();
            assert_eq!(*covered, Some(union.len() as u128), "{context}");
            assert!(kept.len() == 8 || union == *proved, "{context}: a proved order keeps no set");
            let kept_by_all = that_keep(all, &common(proved));
            assert_eq!(that_keep(all, said), kept_by_all, "{context}: what is common is not");
        }
        Shape::Unknown => panic!("{context}: so few orders could not be judged"),
    }
}

/// A need is one that the set cannot do without, and is called needed only if it is.
fn check(bond: &Bond, set: &PartialOrder, tried: &Tried, context: &str) {
    let need = bond.need;
    let others: Vec<Need> = needs_of(set).into_iter().filter(|other| *other != need).collect();
    // What the need implies through others goes with it: only pairs that no others imply are left out.
    let implied = common(&that_keep(&tried.all, &needs_of(set)));
    let rest: Vec<Need> = implied.into_iter().filter(|other| *other != need).collect();
    let weaker = that_keep(&tried.all, &rest);
    assert!(!weaker.is_subset(&tried.proved), "{context}: {need:?} is not needed by its set");
    let reversed = Need { first: need.then, then: need.first };
    let needed = tried.proved.iter().all(|order| !keeps(order, &[reversed]));
    assert_eq!(bond.standing == Standing::Needed, needed, "{context}: {need:?}");
    let without =
        bond.without.as_ref().unwrap_or_else(|| panic!("{context}: nothing is said without {need:?}"));
    assert!(keeps(&without.order, &others) && keeps(&without.order, &[reversed]), "{context}: {without:?}");
    assert!(tried.all.contains(&without.order), "{context}: {without:?}");
    assert!(!tried.proved.contains(&without.order), "{context}: {without:?} is proved");
}
