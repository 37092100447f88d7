//! Which ways a run may take again and again, and which of them close a cycle.
//!
//! Invariant: a way that some run takes without end is found, and so is, for each agent that such a run lets go round in
//! its program, a way that goes back. A way that changes a variable for good is none of them: a walk that fills an empty
//! cache goes on only if somebody who goes round, too, empties it.
//!
//! What is left out is what cannot be in the greatest set of ways of which each lies on a cycle of its program, by ways of
//! the set, and finds each variable that it changes for certain changed back by a way of the set.

use super::bits::Bits;
use super::pruned::{Pruned, Way};
use super::reach::Reach;

/// For each place and way: whether it goes back, that is, to a place from which the search through the program came.
/// Every run without an end takes such ways without end.
pub(super) fn backward(pruned: &Pruned<'_>) -> Vec<Vec<bool>> {
    let recurrent = recurrent(pruned);
    let mut back: Vec<Vec<bool>> = pruned.places.iter().map(|place| vec![false; place.ways.len()]).collect();
    let mut seen = vec![Seen::Never; back.len()];
    for first in 0..back.len() {
        if seen[first] != Seen::Never {
            continue;
        }
        let mut path = vec![(first, 0)];
        seen[first] = Seen::OnPath;
        while let Some((place, way)) = path.pop() {
            let Some(taken) = pruned.places[place].ways.get(way) else {
                seen[place] = Seen::Done;
                continue;
            };
            path.push((place, way + 1));
            if !recurrent[place][way] {
                continue;
            }
            match seen[taken.next] {
                Seen::OnPath => back[place][way] = true,
                Seen::Done => {}
                Seen::Never => {
                    seen[taken.next] = Seen::OnPath;
                    path.push((taken.next, 0));
                }
            }
        }
    }
    back
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    OnPath,
    Done,
}

/// A way that may lie on a cycle.
struct Candidate {
    place: usize,
    way: usize,
    next: usize,
    /// What it writes: the variable, and the values that this can be.
    writes: Vec<(usize, Bits)>,
    /// What it changes for certain: the variable, and the values that it must have before.
    changes: Vec<(usize, Bits)>,
}

impl Candidate {
    fn of(pruned: &Pruned<'_>, place: usize, index: usize) -> Self {
        let Way { alternative, next, .. } = pruned.places[place].ways[index];
        let (agent, pc) = (pruned.places[place].agent, pruned.places[place].pc);
        let reach: &Reach = &pruned.reach;
        let mut candidate = Self { place, way: index, next, writes: Vec::new(), changes: Vec::new() };
        for update in &alternative.updates {
            let var = usize::from(update.written().0);
            let after = reach.written(agent, pc, alternative, update);
            let before = reach.restricted(agent, pc, alternative, update.written());
            if !after.meets(&before) {
                candidate.changes.push((var, before));
            }
            candidate.writes.push((var, after));
        }
        candidate
    }
}

/// For each place and way: whether a run may take it without end.
fn recurrent(pruned: &Pruned<'_>) -> Vec<Vec<bool>> {
    let edges = pruned.places.iter().enumerate();
    let all = edges.flat_map(|(place, found)| (0..found.ways.len()).map(move |way| (place, way)));
    let edge = |&(place, way): &(usize, usize)| (place, pruned.places[place].ways[way].next);
    let mut left: Vec<(usize, usize)> = all.collect();
    let groups = components(pruned.places.len(), left.iter().map(edge));
    left.retain(|taken| groups[edge(taken).0] == groups[edge(taken).1]);
    let mut left: Vec<Candidate> =
        left.into_iter().map(|(place, way)| Candidate::of(pruned, place, way)).collect();
    loop {
        let before = left.len();
        let mut written: Vec<Bits> = pruned.reach.values.iter().map(|_| Bits::default()).collect();
        for (var, values) in left.iter().flat_map(|one| &one.writes) {
            written[*var].join(values);
        }
        left.retain(|one| one.changes.iter().all(|(var, needed)| written[*var].meets(needed)));
        let groups = components(pruned.places.len(), left.iter().map(|one| (one.place, one.next)));
        left.retain(|one| groups[one.place] == groups[one.next]);
        if left.len() == before {
            break;
        }
    }
    let mut recurrent: Vec<Vec<bool>> =
        pruned.places.iter().map(|place| vec![false; place.ways.len()]).collect();
    left.iter().for_each(|one| recurrent[one.place][one.way] = true);
    recurrent
}

/// For each place, the number of its strongly connected component. Source: Tarjan, Depth-first search and linear graph
/// algorithms, 1972.
fn components(places: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut after = vec![Vec::new(); places];
    edges.for_each(|(from, to)| after[from].push(to));
    let (mut order, mut low, mut group) = (vec![None; places], vec![0; places], vec![None; places]);
    let (mut count, mut open, mut path) = (0, Vec::new(), Vec::new());
    for start in 0..places {
        if order[start].is_none() {
            path.push((start, 0));
        }
        while let Some((at, next)) = path.pop() {
            if next == 0 {
                order[at] = Some(count);
                low[at] = count;
                count += 1;
                open.push(at);
            }
            if let Some(&to) = after[at].get(next) {
                path.push((at, next + 1));
                match (order[to], group[to]) {
                    (None, _) => path.push((to, 0)),
                    (Some(seen), None) => low[at] = low[at].min(seen),
                    (Some(_), Some(_)) => {}
                }
                continue;
            }
            if order[at] == Some(low[at]) {
                while let Some(member) = open.pop() {
                    group[member] = Some(at);
                    if member == at {
                        break;
                    }
                }
            }
            if let Some(&(above, _)) = path.last() {
                low[above] = low[above].min(low[at]);
            }
        }
    }
    group.into_iter().map(|group| group.expect("each place was visited")).collect()
}
