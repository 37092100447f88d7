//! Every order at once: rows lead from node to node, and a node is what there can be once certain rows have been done.
//!
//! Invariant: an order is proved if and only if its rows lead to the last node and it was not excluded. Nodes are made
//! when they are asked for; a question that takes too many is answered by `Full`, never by half an answer.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::judge::Judge;
use super::order::{Need, Orders, Rows, bit, members};
use super::world::{BeliefId, Full, World};

/// Nodes at most.
const MOST_NODES: usize = 300_000;

/// What a question may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// New nodes.
    pub(super) nodes: usize,
    /// States of new beliefs, those on the way included.
    pub(super) visits: usize,
}

/// Number of a node.
pub(super) type NodeId = usize;

/// What is the same for two orders of some rows if they are judged alike from there on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Place {
    done: Rows,
    /// In each world.
    beliefs: Vec<BeliefId>,
    /// The rows so far, where the order itself matters: it may be one of those that are excluded.
    path: Vec<usize>,
}

/// All orders of the rows that are present in which those that stay keep their order.
pub(super) struct Lattice<'a> {
    judge: &'a Judge<'a>,
    /// What every order keeps.
    pub(super) chain: Orders,
    /// None if the orders are judged one by one.
    worlds: Option<Vec<World>>,
    nodes: Vec<Place>,
    numbers: HashMap<Place, NodeId>,
    edges: HashMap<(NodeId, usize), Option<NodeId>>,
    excluded: Vec<Vec<usize>>,
    /// Orders that may still be judged one by one.
    singly: usize,
    /// Nodes that may still be made for the question that is asked.
    allowance: usize,
}

/// All proved orders.
pub(super) struct Proved {
    /// What every one of them keeps.
    pub(super) common: Orders,
    /// How many there are; none if they cannot be counted.
    pub(super) count: Option<u128>,
}

impl<'a> Lattice<'a> {
    pub(super) fn new(judge: &'a Judge<'a>, chain: Orders, singly: usize, at_once: usize) -> Self {
        let worlds = judge.worlds(chain.present, at_once);
        Self {
            judge,
            chain,
            worlds,
            nodes: Vec::new(),
            numbers: HashMap::new(),
            edges: HashMap::new(),
            excluded: Vec::new(),
            singly,
            allowance: 0,
        }
    }

    /// From here on these orders are none of the proved ones.
    pub(super) fn exclude(&mut self, orders: Vec<Vec<usize>>) {
        self.excluded.extend(orders);
        self.nodes.clear();
        self.numbers.clear();
        self.edges.clear();
    }

    /// The node before all rows, for a question that may make so many more.
    pub(super) fn start(&mut self, effort: Effort) -> Result<NodeId, Full> {
        self.allowance = effort.nodes;
        self.worlds.iter_mut().flatten().for_each(|world| world.allow(effort.visits));
        let mut beliefs = Vec::new();
        for world in self.worlds.iter_mut().flatten() {
            beliefs.push(
                world.start()?.expect("the program's own order is proved, so nothing breaks before it"),
            );
        }
        self.node(Place { done: 0, beliefs, path: Vec::new() })
    }

    /// The node after one more row; none if no order goes on like this.
    pub(super) fn after(&mut self, node: NodeId, row: usize) -> Result<Option<NodeId>, Full> {
        if let Some(known) = self.edges.get(&(node, row)) {
            return Ok(*known);
        }
        let found = match self.step(node, row)? {
            Some(place) => Some(self.node(place)?),
            None => None,
        };
        self.edges.insert((node, row), found);
        Ok(found)
    }

    fn step(&mut self, node: NodeId, row: usize) -> Result<Option<Place>, Full> {
        let Place { done, beliefs, path } = self.nodes[node].clone();
        let (done, path) = (done | bit(row), [path.as_slice(), &[row]].concat());
        let last = done == self.chain.present;
        let Some(worlds) = &mut self.worlds else {
            if last && !self.is_proved(&path)? {
                return Ok(None);
            }
            return Ok(Some(Place { done, beliefs, path }));
        };
        let mut next = Vec::with_capacity(beliefs.len());
        for (world, belief) in worlds.iter_mut().zip(beliefs) {
            let Some(taken) = world.take(belief, row)? else { return Ok(None) };
            if last && !world.finish(taken)? {
                return Ok(None);
            }
            next.push(taken);
        }
        if last && self.excluded.contains(&path) {
            return Ok(None);
        }
        // A path that leads to no excluded order is as good as any other.
        let matters = !last && self.excluded.iter().any(|order| order.starts_with(&path));
        // The last node is one, however it was come to.
        let next = if last { Vec::new() } else { next };
        Ok(Some(Place { done, beliefs: next, path: if matters { path } else { Vec::new() } }))
    }

    fn is_proved(&mut self, order: &[usize]) -> Result<bool, Full> {
        self.singly = self.singly.checked_sub(1).ok_or(Full)?;
        Ok(!self.excluded.iter().any(|other| other == order) && self.judge.order(order).is_none())
    }

    fn node(&mut self, place: Place) -> Result<NodeId, Full> {
        if let Some(known) = self.numbers.get(&place) {
            return Ok(*known);
        }
        if self.nodes.len() >= MOST_NODES {
            return Err(Full);
        }
        self.allowance = self.allowance.checked_sub(1).ok_or(Full)?;
        self.nodes.push(place.clone());
        self.numbers.insert(place, self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    pub(super) fn done(&self, node: NodeId) -> Rows {
        self.nodes[node].done
    }

    /// An order of `orders` that is refused: of those the nearest to the program's own; none if all are proved.
    pub(super) fn refused(&mut self, orders: &Orders, effort: Effort) -> Result<Option<Vec<usize>>, Full> {
        let start = self.start(effort)?;
        let mut seen = HashSet::from([start]);
        let mut open = vec![(start, Vec::new())];
        while let Some((node, path)) = open.pop() {
            let rows: Vec<usize> = orders.next(self.done(node)).collect();
            // The last one that is put in is taken first.
            for row in rows.into_iter().rev() {
                let path = [path.as_slice(), &[row]].concat();
                match self.after(node, row)? {
                    None => return Ok(Some(orders.completed(&path))),
                    Some(next) if seen.insert(next) => open.push((next, path)),
                    Some(_) => {}
                }
            }
        }
        Ok(None)
    }

    /// A proved order of `orders` that keeps to none of `others`; none if there is no such order.
    pub(super) fn proved(
        &mut self,
        orders: &Orders,
        others: &[Orders],
        effort: Effort,
    ) -> Result<Option<Vec<usize>>, Full> {
        let start = (self.start(effort)?, 0);
        let mut seen = HashSet::from([start]);
        let mut open = vec![(start, Vec::new())];
        while let Some(((node, left), path)) = open.pop() {
            let done = self.done(node);
            if done == orders.present && left == all(others) {
                return Ok(Some(path));
            }
            let rows: Vec<usize> = orders.next(done).collect();
            for row in rows.into_iter().rev() {
                if let Some(next) = self.after(node, row)?
                    && seen.insert((next, left | broken(others, done, row)))
                {
                    let path = [path.as_slice(), &[row]].concat();
                    open.push(((next, left | broken(others, done, row)), path));
                }
            }
        }
        Ok(None)
    }

    /// All proved orders.
    pub(super) fn all(&mut self, effort: Effort) -> Result<Proved, Full> {
        let count = self.chain.count(MOST_NODES);
        if self.worlds.is_none() && count.is_none_or(|count| count > self.singly as u128) {
            return Err(Full);
        }
        let start = self.start(effort)?;
        let mut layers = vec![vec![start]];
        let mut seen = HashSet::from([start]);
        for _ in members(self.chain.present) {
            let mut next = Vec::new();
            for node in layers.last().expect("there is a first layer").clone() {
                for row in self.chain.next(self.done(node)).collect::<Vec<_>>() {
                    next.extend(self.after(node, row)?.filter(|after| seen.insert(*after)));
                }
            }
            layers.push(next);
        }
        let (counts, come_before) = self.counted(&layers);
        // The program's own order is one of them, so there are no rows of which none comes first.
        let kept = |first: &usize, then: &usize| come_before[*first] & bit(*then) == 0;
        let present: Vec<usize> = members(self.chain.present).collect();
        let pairs = present.iter().flat_map(|first| present.iter().map(move |then| (*first, *then)));
        let needs = pairs.filter(|(first, then)| first != then && kept(first, then));
        let common = needs
            .fold(Orders::all(self.chain.present), |orders, (first, then)| orders.with(Need { first, then }));
        Ok(Proved { common, count: counts.get(&start).copied().flatten() })
    }

    /// From each node of `layers`, the last one first, how many proved orders go on; and for each row, the rows that come
    /// before it in any proved order.
    fn counted(&self, layers: &[Vec<NodeId>]) -> (BTreeMap<NodeId, Option<u128>>, Vec<Rows>) {
        let mut counts: BTreeMap<NodeId, Option<u128>> = BTreeMap::new();
        let mut come_before = vec![0; super::order::MOST_ROWS];
        for node in layers.iter().rev().flatten() {
            if self.done(*node) == self.chain.present {
                counts.insert(*node, Some(1));
                continue;
            }
            let mut sum = Some(0_u128);
            let mut goes_on = false;
            for row in self.chain.next(self.done(*node)) {
                let Some(Some(next)) = self.edges.get(&(*node, row)) else { continue };
                let Some(count) = counts.get(next) else { continue };
                goes_on = true;
                come_before[row] |= self.done(*node);
                sum = sum.zip(*count).and_then(|(sum, count)| sum.checked_add(count));
            }
            if goes_on {
                counts.insert(*node, sum);
            }
        }
        (counts, come_before)
    }

    /// How many proved orders keep to one of `sets`; none if they cannot be counted.
    pub(super) fn covered(&mut self, sets: &[Orders], effort: Effort) -> Result<Option<u128>, Full> {
        let start = self.start(effort)?;
        let mut layer: HashMap<(NodeId, u64), Option<u128>> = HashMap::from([((start, 0), Some(1))]);
        for _ in members(self.chain.present) {
            let mut next: HashMap<(NodeId, u64), Option<u128>> = HashMap::new();
            for ((node, left), count) in layer {
                let done = self.done(node);
                for row in self.chain.next(done).collect::<Vec<_>>() {
                    let left = left | broken(sets, done, row);
                    let Some(after) = self.after(node, row)?.filter(|_| left != all(sets)) else { continue };
                    let sum = next.entry((after, left)).or_insert(Some(0));
                    *sum = sum.zip(count).and_then(|(sum, count)| sum.checked_add(count));
                }
            }
            layer = next;
        }
        Ok(layer.values().try_fold(0_u128, |sum, count| count.and_then(|count| sum.checked_add(count))))
    }
}

/// Which of `others` are broken if `row` comes once `done` have been.
fn broken(others: &[Orders], done: Rows, row: usize) -> u64 {
    let breaks = |(index, orders): (usize, &Orders)| match orders.before(row) & !done == 0 {
        true => 0,
        false => 1 << index,
    };
    others.iter().enumerate().map(breaks).fold(0, |all, one| all | one)
}

/// All of `others`: at most 64.
fn all(others: &[Orders]) -> u64 {
    others.iter().enumerate().fold(0, |all, (index, _)| all | 1 << index)
}
