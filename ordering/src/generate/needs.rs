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
    /// What every safe order keeps and not every order does, without what others imply: the first step before the second.
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
        let pairs: Vec<(usize, usize)> =
            safe.iter().filter(|pair| !all.contains(pair) && !implied(pair)).copied().collect();
        let keeps = |order: &[usize]| pairs.iter().all(|pair| pairs_of(order).contains(pair));
        Self {
            orders: judged.len(),
            safe: with(Kind::Safe).count(),
            vacuous: with(Kind::Vacuous).count(),
            undecided: with(Kind::BoundHit).count(),
            keeping: judged.iter().filter(|(order, _)| keeps(order)).count(),
            pairs,
        }
    }

    /// Whether the safe orders are exactly those that keep the pairs.
    #[must_use]
    pub const fn are_exact(&self) -> bool {
        self.undecided == 0 && self.safe > 0 && self.keeping == self.safe
    }
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
