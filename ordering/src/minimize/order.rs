//! What must come before what, and the orders that keep to it.
//!
//! Invariant: rows are numbered as they stand in the program, and a need only says that an earlier one stays before a
//! later one; so the program's own order always keeps to all needs. A set of rows is a word: there are at most 64.

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

/// Some rows of a program, and needs among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Orders {
    pub(super) present: Rows,
    pub(super) needs: BTreeSet<Need>,
}

pub(super) fn bit(row: usize) -> Rows {
    1 << row
}

/// The rows of a set, ascending.
pub(super) fn members(rows: Rows) -> impl Iterator<Item = usize> {
    (0..MOST_ROWS).filter(move |row| rows & bit(*row) != 0)
}

impl Orders {
    pub(super) fn with(&self, need: Need) -> Self {
        let mut more = self.clone();
        more.needs.insert(need);
        more
    }

    pub(super) fn without(&self, need: Need) -> Self {
        let mut fewer = self.clone();
        fewer.needs.remove(&need);
        fewer
    }

    /// For each row, those that come before it, also through others.
    pub(super) fn before(&self) -> Vec<Rows> {
        let mut before = vec![0; MOST_ROWS];
        // Needs lead forward, so one pass in the order of the rows is enough.
        for row in members(self.present) {
            for need in self.needs.iter().filter(|need| need.then == row) {
                before[row] |= before[need.first] | bit(need.first);
            }
        }
        before
    }

    /// Whether the other needs say this one too.
    pub(super) fn implies(&self, need: Need) -> bool {
        self.before()[need.then] & bit(need.first) != 0
    }

    /// The rows that may come next once `done` have been.
    pub(super) fn next(&self, before: &[Rows], done: Rows) -> Vec<usize> {
        members(self.present & !done).filter(|row| before[*row] & !done == 0).collect()
    }

    /// Every set of rows that may have been done, the empty one first; none if there are more than `most`.
    pub(super) fn sets(&self, most: usize) -> Option<Vec<Rows>> {
        let before = self.before();
        let mut found = vec![0];
        let mut known = BTreeSet::from([0]);
        let mut at = 0;
        while at < found.len() {
            let done = found[at];
            for row in self.next(&before, done) {
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

    /// How many orders there are from each set of rows that may have been done; none if there are more than `most` sets.
    fn counts(&self, most: usize) -> Option<BTreeMap<Rows, u128>> {
        let sets = self.sets(most)?;
        let before = self.before();
        let mut counts: BTreeMap<Rows, u128> = BTreeMap::from([(self.present, 1)]);
        for done in sets.iter().rev().filter(|done| **done != self.present) {
            let next = self.next(&before, *done);
            let sum = next.iter().fold(0_u128, |sum, row| sum.saturating_add(counts[&(done | bit(*row))]));
            counts.insert(*done, sum);
        }
        Some(counts)
    }

    /// How many orders there are; none if there are more than `most_sets` sets of rows.
    pub(super) fn count(&self, most_sets: usize) -> Option<u128> {
        self.counts(most_sets).and_then(|counts| counts.get(&0).copied())
    }

    /// The order that is nearest to the program's own and has `need` the other way round.
    pub(super) fn against(&self, need: Need) -> Vec<usize> {
        let mut before = self.without(need).before();
        let moved = before[need.then] | bit(need.then);
        for row in members(self.present) {
            if row == need.first || before[row] & bit(need.first) != 0 {
                before[row] |= moved;
            }
        }
        let (mut order, mut done) = (Vec::new(), 0);
        while let Some(row) = self.next(&before, done).first() {
            order.push(*row);
            done |= bit(*row);
        }
        order
    }

    /// At most `most` orders, evenly spread over all; none if they cannot be counted.
    pub(super) fn some(&self, most: u128, most_sets: usize) -> Vec<Vec<usize>> {
        let Some(counts) = self.counts(most_sets) else { return Vec::new() };
        let (before, all) = (self.before(), counts[&0]);
        let taken = all.min(most);
        let of_rank = |mut rank: u128| {
            let (mut order, mut done) = (Vec::new(), 0);
            while done != self.present {
                for row in self.next(&before, done) {
                    let from_here = counts[&(done | bit(row))];
                    if rank < from_here {
                        order.push(row);
                        done |= bit(row);
                        break;
                    }
                    rank -= from_here;
                }
            }
            order
        };
        (0..taken).map(|index| of_rank(all / taken * index + all % taken * index / taken)).collect()
    }
}
