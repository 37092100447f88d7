//! Partial orders of rows, and the orders that keep to them.
//!
//! Invariant: what comes before a row is kept whole: also what comes before it through others. A set of rows is a word:
//! there are at most 64.

use std::collections::{BTreeMap, BTreeSet};

/// Rows at most.
pub(super) const MOST_ROWS: usize = 64;

/// A set of rows, one bit each.
pub(super) type Rows = u64;

/// One row that must stay before another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Need {
    /// The row that comes first, from 0.
    pub first: usize,
    /// The row that comes after it.
    pub then: usize,
}

/// Some rows of a program, and what comes before each of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Orders {
    pub(super) present: Rows,
    before: Vec<Rows>,
}

pub(super) fn bit(row: usize) -> Rows {
    1 << row
}

/// The rows of a set, ascending.
pub(super) fn members(rows: Rows) -> impl Iterator<Item = usize> {
    (0..MOST_ROWS).filter(move |row| rows & bit(*row) != 0)
}

impl Orders {
    /// Every order of these rows.
    pub(super) fn all(present: Rows) -> Self {
        Self { present, before: vec![0; MOST_ROWS] }
    }

    /// The one order.
    pub(super) fn only(order: &[usize]) -> Self {
        let present = order.iter().fold(0, |rows, row| rows | bit(*row));
        order
            .windows(2)
            .fold(Self::all(present), |orders, pair| orders.with(Need { first: pair[0], then: pair[1] }))
    }

    /// Those of them that keep `need` too.
    pub(super) fn with(&self, need: Need) -> Self {
        let mut more = self.clone();
        let earlier = self.before[need.first] | bit(need.first);
        for row in members(self.present) {
            if row == need.then || self.before[row] & bit(need.then) != 0 {
                more.before[row] |= earlier;
            }
        }
        more
    }

    /// The same without `need`, which is one of those that no others imply.
    pub(super) fn without(&self, need: Need) -> Self {
        let mut fewer = self.clone();
        fewer.before[need.then] &= !bit(need.first);
        fewer
    }

    /// Whether all of them keep `need`.
    pub(super) fn keeps(&self, need: Need) -> bool {
        self.before[need.then] & bit(need.first) != 0
    }

    /// What comes before `row`.
    pub(super) fn before(&self, row: usize) -> Rows {
        self.before[row]
    }

    /// The needs that the others do not imply.
    pub(super) fn covers(&self) -> Vec<Need> {
        let direct = |then: usize| {
            let between = members(self.before[then]).fold(0, |rows, row| rows | self.before[row]);
            members(self.before[then] & !between).map(move |first| Need { first, then })
        };
        let mut found: Vec<Need> = members(self.present).flat_map(direct).collect();
        found.sort_unstable();
        found
    }

    /// The rows that may come next once `done` have been.
    pub(super) fn next(&self, done: Rows) -> impl Iterator<Item = usize> {
        members(self.present & !done).filter(move |row| self.before[*row] & !done == 0)
    }

    /// Whether it is one of them.
    pub(super) fn holds(&self, order: &[usize]) -> bool {
        let mut done = 0;
        for row in order {
            if self.before[*row] & !done != 0 {
                return false;
            }
            done |= bit(*row);
        }
        done == self.present
    }

    /// Of the orders that begin with `prefix`, the one nearest to the program's own.
    pub(super) fn completed(&self, prefix: &[usize]) -> Vec<usize> {
        let mut order = prefix.to_vec();
        let mut done = prefix.iter().fold(0, |rows, row| rows | bit(*row));
        while let Some(row) = self.next(done).next() {
            order.push(row);
            done |= bit(row);
        }
        order
    }

    /// The order nearest to the program's own in which `need`, which no others imply, is the other way round.
    pub(super) fn against(&self, need: Need) -> Vec<usize> {
        let reversed = Need { first: need.then, then: need.first };
        self.without(need).with(reversed).completed(&[])
    }

    /// Every set of rows that may have been done, the empty one first; none if there are more than `most`.
    pub(super) fn sets(&self, most: usize) -> Option<Vec<Rows>> {
        let mut found = vec![0];
        let mut known = BTreeSet::from([0]);
        let mut at = 0;
        while at < found.len() {
            let done = found[at];
            for row in self.next(done) {
                if known.insert(done | bit(row)) {
                    found.push(done | bit(row));
                }
            }
            if found.len() > most {
                return None;
            }
            at += 1;
        }
        Some(found)
    }

    /// How many orders there are; none if there are more than `most_sets` sets of rows that may have been done, or more
    /// orders than can be counted.
    pub(super) fn count(&self, most_sets: usize) -> Option<u128> {
        let sets = self.sets(most_sets)?;
        let mut counts: BTreeMap<Rows, u128> = BTreeMap::from([(self.present, 1)]);
        for done in sets.iter().rev().filter(|done| **done != self.present) {
            let sum =
                self.next(*done).try_fold(0_u128, |sum, row| sum.checked_add(counts[&(done | bit(row))]))?;
            counts.insert(*done, sum);
        }
        counts.get(&0).copied()
    }

    /// At most `most` of the orders, spread over their beginnings; all if there are no more.
    pub(super) fn some(&self, most: usize) -> Vec<Vec<usize>> {
        let mut prefixes: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in members(self.present) {
            let longer = |prefix: &Vec<usize>| {
                let done = prefix.iter().fold(0, |rows, row| rows | bit(*row));
                let prefix = prefix.clone();
                let next: Vec<usize> = self.next(done).collect();
                next.into_iter().map(move |row| [prefix.as_slice(), &[row]].concat())
            };
            let next: Vec<Vec<usize>> = prefixes.iter().flat_map(longer).collect();
            if next.len() > most {
                let spread = next.iter().step_by(next.len().div_ceil(most));
                return spread.map(|prefix| self.completed(prefix)).collect();
            }
            prefixes = next;
        }
        prefixes
    }
}
