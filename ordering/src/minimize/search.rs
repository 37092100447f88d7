//! The proved orders as sets of needs: one set if that says exactly which they are, or else the weakest ones there are.
//!
//! Invariant: every order that keeps a set is proved, and a set can do without none of its needs, as far as that could be
//! decided. A pair is needed only if no proved order has it the other way round.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::Judge;
use super::lattice::{Effort, Lattice, Proved};
use super::order::{Need, Orders};
use super::rows::{Mobility, Row};
use super::world::Full;
use super::{Bond, PartialOrder, Refused, Shape, Standing};

/// For all orders at once.
pub(super) const ALL: Effort = Effort { nodes: 30_000, visits: 3_000_000 };
/// For one question.
const ONE: Effort = Effort { nodes: 3_000, visits: 200_000 };
/// How often the explorer may find something in what was judged already.
const MOST_ROUNDS: usize = 8;
/// Sets of needs at most.
const MOST_SETS: usize = 8;
/// Sets of rows at most, where orders are counted.
const MOST_COUNTED: usize = 100_000;

/// What was found.
pub(super) struct Found {
    pub(super) shape: Shape,
    pub(super) sets: Vec<PartialOrder>,
}

/// Searches the needs of `order`.
pub(super) struct Search<'a> {
    pub(super) rows: &'a [Row],
    pub(super) judge: &'a Judge<'a>,
    /// Orders that are explored by themselves.
    pub(super) singly: usize,
    /// States of all orders at once.
    pub(super) at_once: usize,
}

impl<'a> Search<'a> {
    /// Whatever is called proved was judged with all other orders; and a part of it once more, by the explorer itself.
    pub(super) fn run(&self, order: &[usize]) -> Found {
        if order.is_empty() {
            let nothing = PartialOrder { needs: Vec::new(), orders: Some(1), explored: 1 };
            return Found { shape: Shape::One, sets: vec![nothing] };
        }
        let mut lattice = self.lattice(order);
        let mut judged: BTreeMap<Vec<usize>, bool> = BTreeMap::new();
        for _ in 0..MOST_ROUNDS {
            let (shape, sets) = match lattice.all(ALL) {
                Ok(proved) => self.decided(&mut lattice, &proved, order),
                Err(Full) => (Shape::Unknown, vec![self.narrowed(order)]),
            };
            for one in sets.iter().flat_map(|set| set.some(self.singly.div_ceil(sets.len()))) {
                judged.entry(one.clone()).or_insert_with(|| self.judge.order(&one).is_none());
            }
            let held = |order: &[usize]| sets.iter().any(|set| set.holds(order));
            let refused = judged.iter().filter(|(order, proved)| !**proved && held(order));
            let more: Vec<Vec<usize>> = refused.map(|(order, _)| order.clone()).collect();
            if more.is_empty() {
                let sets = sets.iter().map(|set| self.reasons(&mut lattice, set, &shape, &judged)).collect();
                return Found { shape, sets };
            }
            lattice.exclude(more);
        }
        let own = Orders::only(order);
        let sets = vec![self.reasons(&mut lattice, &own, &Shape::Unknown, &judged)];
        Found { shape: Shape::Unknown, sets }
    }

    /// How many orders there are in which what stays keeps its order; none if they cannot be counted.
    pub(super) fn total(&self, order: &[usize]) -> Option<u128> {
        self.chain(order).count(MOST_COUNTED)
    }

    /// Every order in which what stays keeps its order.
    fn chain(&self, order: &[usize]) -> Orders {
        let present = Orders::only(order).present;
        let stays: Vec<usize> = order.iter().copied().filter(|row| self.stays(*row)).collect();
        stays
            .windows(2)
            .fold(Orders::all(present), |orders, pair| orders.with(Need { first: pair[0], then: pair[1] }))
    }

    pub(super) fn lattice(&self, order: &[usize]) -> Lattice<'a> {
        Lattice::new(self.judge, self.chain(order), self.singly, self.at_once)
    }

    fn stays(&self, row: usize) -> bool {
        self.rows[row].mobility == Mobility::Stays
    }

    /// Whether a need says more than that what stays keeps its order.
    fn is_asked(&self, need: Need) -> bool {
        !(self.stays(need.first) && self.stays(need.then))
    }

    /// The sets of needs of all proved orders, that of the program's own order first.
    fn decided(&self, lattice: &mut Lattice<'a>, proved: &Proved, order: &[usize]) -> (Shape, Vec<Orders>) {
        if lattice.refused(&proved.common, ALL) == Ok(None) {
            return (Shape::One, vec![proved.common.clone()]);
        }
        let mut sets = vec![self.grown(lattice, order)];
        while sets.len() < MOST_SETS
            && let Ok(Some(other)) = lattice.proved(&lattice.chain.clone(), &sets, ALL)
        {
            sets.push(self.grown(lattice, &other));
        }
        let common = proved.common.covers().into_iter().filter(|need| self.is_asked(*need)).collect();
        let covered = lattice.covered(&sets, ALL).ok().flatten();
        (Shape::Several { proved: proved.count, covered, common }, sets)
    }

    /// From one proved order, a set of needs that can do without none of them: the better one of two.
    fn grown(&self, lattice: &mut Lattice<'a>, order: &[usize]) -> Orders {
        let forward = self.weakened(lattice, order, |needs| needs.first().copied());
        let backward = self.weakened(lattice, order, |needs| needs.last().copied());
        // Uncounted is more than any count.
        let size = |orders: &Orders| orders.count(MOST_COUNTED).map_or((1, 0), |count| (0, count));
        if size(&backward) > size(&forward) { backward } else { forward }
    }

    fn weakened(
        &self,
        lattice: &mut Lattice<'a>,
        order: &[usize],
        pick: impl Fn(&[Need]) -> Option<Need>,
    ) -> Orders {
        let mut orders = Orders::only(order);
        let mut tried = BTreeSet::new();
        let next = |orders: &Orders, tried: &BTreeSet<Need>| {
            let untried =
                orders.covers().into_iter().filter(|need| self.is_asked(*need) && !tried.contains(need));
            pick(&untried.collect::<Vec<_>>())
        };
        while let Some(need) = next(&orders, &tried) {
            // Once refused, always refused: fewer needs leave more orders.
            tried.insert(need);
            let fewer = orders.without(need);
            if lattice.refused(&fewer, ALL) == Ok(None) {
                orders = fewer;
            }
        }
        orders
    }

    /// A set all of whose orders are proved, where not all orders can be judged: what the moves of single rows need, and
    /// then one pair after the other of the program's own order, until all that is left is proved at once.
    fn narrowed(&self, order: &[usize]) -> Orders {
        let mut orders = self.moves(order);
        while self.judge.every(&orders).is_none() {
            let pairs = order.iter().enumerate().flat_map(|(at, first)| {
                order[at + 1..].iter().map(move |then| Need { first: *first, then: *then })
            });
            let open: Vec<Need> = pairs.filter(|need| !orders.keeps(*need)).collect();
            let with =
                |count: usize| open[..count].iter().fold(orders.clone(), |more, need| more.with(*need));
            // With so many of the pairs it is not proved, with so many it is: all of them leave the own order.
            let (mut few, mut enough) = (0, open.len());
            while enough - few > 1 {
                let middle = few.midpoint(enough);
                if self.judge.every(&with(middle)).is_some() { enough = middle } else { few = middle }
            }
            if enough == 0 {
                return orders;
            }
            orders = orders.with(open[enough - 1]);
        }
        orders
    }

    /// What is needed if each row is moved by itself, as far as it goes.
    fn moves(&self, order: &[usize]) -> Orders {
        let mut orders = self.chain(order);
        for at in (0..order.len()).filter(|at| !self.stays(order[*at])) {
            let later: Vec<usize> = (at + 1..order.len()).collect();
            let earlier: Vec<usize> = (0..at).rev().collect();
            for places in [later, earlier] {
                let (mut moved, mut from) = (order.to_vec(), at);
                for to in places {
                    let need = Need { first: moved[from.min(to)], then: moved[from.max(to)] };
                    moved.swap(from, to);
                    from = to;
                    if orders.keeps(need) {
                        break;
                    }
                    if self.judge.order(&moved).is_some() {
                        orders = orders.with(need);
                        break;
                    }
                }
            }
        }
        orders
    }

    /// A set with what happens without each of its needs.
    fn reasons(
        &self,
        lattice: &mut Lattice<'a>,
        set: &Orders,
        shape: &Shape,
        judged: &BTreeMap<Vec<usize>, bool>,
    ) -> PartialOrder {
        let asked = set.covers().into_iter().filter(|need| self.is_asked(*need));
        let bond = |need: Need| Bond {
            need,
            standing: self.standing(lattice, shape, need),
            without: self.without(lattice, set, need),
        };
        let needs = asked.map(bond).collect();
        let explored = judged.keys().filter(|order| set.holds(order)).count();
        PartialOrder { needs, orders: set.count(MOST_COUNTED), explored }
    }

    fn standing(&self, lattice: &mut Lattice<'a>, shape: &Shape, need: Need) -> Standing {
        let reversed = Need { first: need.then, then: need.first };
        let chain = lattice.chain.clone();
        let needed = match shape {
            Shape::One => true,
            Shape::Several { .. } | Shape::Unknown => {
                lattice.proved(&chain.with(reversed), &[], ONE) == Ok(None)
            }
        };
        if needed { Standing::Needed } else { Standing::Kept }
    }

    /// An order that is refused without the need, the nearest to the program's own that is known; none if it could not be
    /// decided whether there is one.
    fn without(&self, lattice: &mut Lattice<'a>, set: &Orders, need: Need) -> Option<Refused> {
        let nearest = set.against(need);
        if let Some(refusal) = self.judge.order(&nearest) {
            return Some(Refused { order: nearest, refusal, name: String::new(), variant: None });
        }
        let order = lattice.refused(&set.without(need), ONE).ok()??;
        let refusal = self.judge.order(&order);
        let refusal = refusal.expect("an order that is refused among all others is refused by itself");
        Some(Refused { order, refusal, name: String::new(), variant: None })
    }
}
