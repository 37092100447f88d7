//! Orders that are one exchange of neighbours apart: what is broken by one step, and which steps may be exchanged.
//!
//! Invariant: two orders are of one class if and only if exchanges of neighbours lead from one to the other, each of two
//! steps that no exchange of which changes any verdict, wherever they stand beside each other. So all orders of a class have
//! the same verdicts; nothing is left unexplored for it.

use std::collections::{BTreeMap, BTreeSet};

use super::verdict::Kind;

/// Orders by what they are.
pub(super) struct Places<'a> {
    orders: Vec<&'a [usize]>,
    known: BTreeMap<&'a [usize], usize>,
}

/// Two orders and the two steps that are exchanged between them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Exchange {
    pub(super) one: usize,
    pub(super) other: usize,
    /// The steps, the lesser first.
    pub(super) steps: (usize, usize),
}

impl<'a> Places<'a> {
    pub(super) fn new(orders: Vec<&'a [usize]>) -> Self {
        let known = orders.iter().copied().zip(0..).collect();
        Self { orders, known }
    }

    /// Every exchange of neighbours between two of the orders, once.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        let mut found = Vec::new();
        for (one, order) in self.orders.iter().enumerate() {
            for at in 1..order.len() {
                let mut other = order.to_vec();
                other.swap(at - 1, at);
                if let Some(other) = self.known.get(other.as_slice()).filter(|other| **other > one) {
                    let (first, then) = (order[at - 1], order[at]);
                    found.push(Exchange { one, other: *other, steps: (first.min(then), first.max(then)) });
                }
            }
        }
        found
    }

    /// Every order with one step that another does not have: that other, and this.
    pub(super) fn put_back(&self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (full, order) in self.orders.iter().enumerate() {
            for at in 0..order.len() {
                let mut less = order.to_vec();
                less.remove(at);
                found.extend(self.known.get(less.as_slice()).map(|less| (*less, full)));
            }
        }
        found
    }
}

/// By order: whether it is broken, and one exchange of neighbours, or one step put back, makes it safe.
pub(super) fn minimal(kinds: &[Kind], exchanges: &[Exchange], put_back: &[(usize, usize)]) -> Vec<bool> {
    let mut found = vec![false; kinds.len()];
    let mut mark = |broken: usize, safe: usize| {
        if kinds[broken] == Kind::Broken && kinds[safe] == Kind::Safe {
            found[broken] = true;
        }
    };
    for Exchange { one, other, .. } in exchanges {
        mark(*one, *other);
        mark(*other, *one);
    }
    for (less, full) in put_back {
        mark(*less, *full);
    }
    found
}

/// By order: its class, numbered as they are met; `kinds` are all verdicts of each order.
pub(super) fn classes(kinds: &[Vec<Kind>], exchanges: &[Exchange]) -> Vec<usize> {
    let changes = |exchange: &&Exchange| kinds[exchange.one] != kinds[exchange.other];
    let dependent: BTreeSet<(usize, usize)> =
        exchanges.iter().filter(changes).map(|exchange| exchange.steps).collect();
    let mut leads: Vec<usize> = (0..kinds.len()).collect();
    for Exchange { one, other, steps } in exchanges {
        if !dependent.contains(steps) {
            let (one, other) = (root(&leads, *one), root(&leads, *other));
            leads[one.max(other)] = one.min(other);
        }
    }
    let mut numbers = BTreeMap::new();
    let number = |order: usize| {
        let next = numbers.len();
        *numbers.entry(root(&leads, order)).or_insert(next)
    };
    (0..kinds.len()).map(number).collect()
}

fn root(leads: &[usize], mut order: usize) -> usize {
    while leads[order] != order {
        order = leads[order];
    }
    order
}
