//! Every order of some steps that is near enough to their own.
//!
//! Invariant: an order is a list of steps, each once at most; every order that keeps the pairs and is near enough is found
//! once, the nearest first and then in the order of its steps. Of a limit that is hit nothing is found.

use std::collections::BTreeMap;

use super::program::Program;

/// There are more orders than may be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMany;

/// The orders of `program` of which at most `moved` steps stand elsewhere or are left out.
pub(super) fn orders(program: &Program, moved: usize, most: usize) -> Result<Vec<Vec<usize>>, TooMany> {
    let mut found = Vec::new();
    for present in presences(program) {
        let left_out = program.steps.len() - present.len();
        if let Some(may_move) = moved.checked_sub(left_out) {
            let mut search = Search { program, present: &present, may_move, most, found: &mut found };
            search.extend(&mut Vec::new())?;
        }
    }
    found.sort_by_cached_key(|order| (distance(program, order), order.clone()));
    Ok(found)
}

/// How many orders there are in all.
pub(super) fn count(program: &Program) -> u128 {
    presences(program).iter().map(|present| linear(program, present)).sum()
}

/// How many steps stand elsewhere than in the program's own order, or are left out: those that are not in the longest part
/// that ascends.
pub(super) fn distance(program: &Program, order: &[usize]) -> usize {
    program.steps.len() - ascending(order)
}

/// The sets of steps that may be there, each ascending.
fn presences(program: &Program) -> Vec<Vec<usize>> {
    let steps = program.steps.len();
    let sets = 0_u32..1 << steps;
    let has = |set: u32, step: usize| set >> step & 1 == 1;
    let optional = |set: &u32| (0..steps).all(|step| has(*set, step) || program.steps[step].optional);
    let needs = |set: &u32| program.needs.iter().all(|(one, other)| !has(*set, *one) || has(*set, *other));
    sets.filter(|set| optional(set) && needs(set))
        .map(|set| (0..steps).filter(|step| has(set, *step)).collect())
        .collect()
}

struct Search<'a> {
    program: &'a Program,
    present: &'a [usize],
    may_move: usize,
    most: usize,
    found: &'a mut Vec<Vec<usize>>,
}

impl Search<'_> {
    fn extend(&mut self, order: &mut Vec<usize>) -> Result<(), TooMany> {
        // What does not ascend by now never will.
        if order.len() - ascending(order) > self.may_move {
            return Ok(());
        }
        if order.len() == self.present.len() {
            if self.found.len() == self.most {
                return Err(TooMany);
            }
            self.found.push(order.clone());
            return Ok(());
        }
        for step in self.present {
            if !order.contains(step) && may_come(self.program, self.present, order, *step) {
                order.push(*step);
                self.extend(order)?;
                order.pop();
            }
        }
        Ok(())
    }
}

/// Whether all that stands before `step` in every order is there already.
fn may_come(program: &Program, present: &[usize], done: &[usize], step: usize) -> bool {
    let missing = |first: &usize| present.contains(first) && !done.contains(first);
    !program.before.iter().any(|(first, then)| *then == step && missing(first))
}

/// Orders of the steps that are present: by the set of those that have been done.
fn linear(program: &Program, present: &[usize]) -> u128 {
    let mut counts = BTreeMap::from([(0_u32, 1_u128)]);
    for _ in present {
        let mut next: BTreeMap<u32, u128> = BTreeMap::new();
        for (set, count) in counts {
            let done: Vec<usize> = present.iter().copied().filter(|step| set >> step & 1 == 1).collect();
            for step in present.iter().filter(|step| !done.contains(step)) {
                if may_come(program, present, &done, *step) {
                    *next.entry(set | 1 << step).or_default() += count;
                }
            }
        }
        counts = next;
    }
    counts.values().sum()
}

/// The length of the longest part that ascends.
fn ascending(order: &[usize]) -> usize {
    // By length, the least last step of a part so long.
    let mut last: Vec<usize> = Vec::new();
    for step in order {
        let at = last.partition_point(|known| known < step);
        match last.get_mut(at) {
            Some(known) => *known = *step,
            None => last.push(*step),
        }
    }
    last.len()
}

/// Whether it is an order of the program: each step once, none that makes no sense, and the pairs kept.
pub(super) fn is_one(program: &Program, order: &[usize]) -> bool {
    let mut present = order.to_vec();
    present.sort_unstable();
    let keeps = |at: usize| may_come(program, &present, &order[..at], order[at]);
    presences(program).contains(&present) && (0..order.len()).all(keeps)
}
