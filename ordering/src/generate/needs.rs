//! What the safe orders of the same steps have in common, and whether that is all there is to it.
//!
//! Invariant: the needs are exact if and only if every order that was looked at and keeps them is safe; each safe one keeps
//! them. A need that every order keeps, safe or not, is none.

use std::collections::BTreeSet;

use super::verdict::Kind;

/// What a user needs of the order of the steps that are there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needs {
    /// Orders of these steps.
    pub orders: usize,
    /// Those that are safe.
    pub safe: usize,
    /// Those that are vacuous.
    pub vacuous: usize,
    /// Those that were not decided.
    pub undecided: usize,
    /// What every safe order keeps and not every order does, without what follows from the others: the first step before the
    /// second.
    pub pairs: Vec<(usize, usize)>,
    /// Orders that keep the pairs.
    pub keeping: usize,
}

impl Needs {
    /// Of orders of the same steps, each with its verdict.
    pub(super) fn of(judged: &[(&[usize], Kind)]) -> Self {
        let with =
            |kind: Kind| judged.iter().filter(move |(_, found)| *found == kind).map(|(order, _)| *order);
        let all = common(judged.iter().map(|(order, _)| *order));
        let safe = common(with(Kind::Safe));
        let implied = |(first, then): &(usize, usize)| {
            safe.iter().any(|(one, between)| one == first && safe.contains(&(*between, *then)))
        };
        let pairs = safe.iter().filter(|pair| !all.contains(pair) && !implied(pair)).copied().collect();
        let pairs = without_spare(pairs, judged);
        Self {
            orders: judged.len(),
            safe: with(Kind::Safe).count(),
            vacuous: with(Kind::Vacuous).count(),
            undecided: with(Kind::BoundHit).count(),
            keeping: keeping(&pairs, judged),
            pairs,
        }
    }

    /// Whether the safe orders are exactly those that keep the pairs.
    #[must_use]
    pub const fn are_exact(&self) -> bool {
        self.undecided == 0 && self.safe > 0 && self.keeping == self.safe
    }
}

/// The pairs without those that no order that was looked at needs beside the others; the last ones go first.
fn without_spare(mut pairs: Vec<(usize, usize)>, judged: &[(&[usize], Kind)]) -> Vec<(usize, usize)> {
    let all = keeping(&pairs, judged);
    for at in (0..pairs.len()).rev() {
        let pair = pairs.remove(at);
        if keeping(&pairs, judged) != all {
            pairs.insert(at, pair);
        }
    }
    pairs
}

/// How many orders keep the pairs.
fn keeping(pairs: &[(usize, usize)], judged: &[(&[usize], Kind)]) -> usize {
    let keeps = |order: &[usize]| {
        let own = pairs_of(order);
        pairs.iter().all(|pair| own.contains(pair))
    };
    judged.iter().filter(|(order, _)| keeps(order)).count()
}

/// What all of them keep; nothing if there are none.
fn common<'a>(mut orders: impl Iterator<Item = &'a [usize]>) -> BTreeSet<(usize, usize)> {
    let Some(first) = orders.next() else { return BTreeSet::new() };
    orders.fold(pairs_of(first), |kept, order| {
        let own = pairs_of(order);
        kept.into_iter().filter(|pair| own.contains(pair)).collect()
    })
}

fn pairs_of(order: &[usize]) -> BTreeSet<(usize, usize)> {
    let later = |at: usize| order[at + 1..].iter().map(move |then| (order[at], *then));
    (0..order.len()).flat_map(later).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_follows_in_what_was_looked_at_is_no_need() {
        // 0 comes behind 2 only where it comes behind 1, too: [2, 0, 1] was not looked at.
        let judged: [(&[usize], Kind); 5] = [
            (&[0, 1, 2], Kind::Safe),
            (&[0, 2, 1], Kind::Safe),
            (&[1, 0, 2], Kind::Broken),
            (&[1, 2, 0], Kind::Broken),
            (&[2, 1, 0], Kind::Broken),
        ];
        let needs = Needs::of(&judged);
        assert_eq!((needs.pairs.clone(), needs.keeping, needs.are_exact()), (vec![(0, 1)], 2, true));
    }

    #[test]
    fn either_or_is_no_set_of_needs() {
        // Safe if 2 is not the first: 0 or 1 before 2.
        let orders: [&[usize]; 6] = [&[0, 1, 2], &[0, 2, 1], &[1, 0, 2], &[1, 2, 0], &[2, 0, 1], &[2, 1, 0]];
        let kind = |order: &[usize]| if order[0] == 2 { Kind::Broken } else { Kind::Safe };
        let judged = orders.map(|order| (order, kind(order)));
        let needs = Needs::of(&judged);
        assert_eq!((needs.safe, needs.keeping, needs.are_exact()), (4, 6, false));
    }

    #[test]
    fn what_was_not_decided_makes_no_need_exact() {
        let judged: [(&[usize], Kind); 2] = [(&[0, 1], Kind::Safe), (&[1, 0], Kind::BoundHit)];
        let needs = Needs::of(&judged);
        assert_eq!((needs.pairs.clone(), needs.are_exact()), (vec![(0, 1)], false));
    }
}
