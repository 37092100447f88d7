//! How a run goes on for ever from a state from which nobody can end it.
//!
//! Invariant: what is shown are steps of the model itself. Of the ways to go round, one that is reached soonest and is
//! short is taken; in a region that is too large to look through, the first that is met.

use std::collections::HashMap;

use super::outcome::{Round, Step};
use super::replay::{Move, State};
use crate::model::Model;

/// States that are looked through for a short way round.
const MOST_STATES: usize = 20_000;
/// Steps that are taken until one state comes back, where there are more.
const LONGEST_WALK: usize = 200_000;

/// The way round from `start`; none if none was found in time.
pub(super) fn round(model: &Model, start: &State) -> Option<Round> {
    let region = Region::of(model, start);
    match region.complete {
        true => region.nearest(model),
        false => walk(model, start),
    }
}

/// The states that can be reached, the nearest first.
struct Region {
    states: Vec<State>,
    /// By state, the state from which it was reached and the step.
    from: Vec<Option<(usize, Move)>>,
    /// By state, its steps and where they lead.
    steps: Vec<Vec<(Move, usize)>>,
    complete: bool,
}

impl Region {
    fn of(model: &Model, start: &State) -> Self {
        let mut region =
            Self { states: vec![start.clone()], from: vec![None], steps: Vec::new(), complete: true };
        let mut known = HashMap::from([(start.clone(), 0)]);
        while region.steps.len() < region.states.len() {
            let at = region.steps.len();
            let state = region.states[at].clone();
            let mut steps = Vec::new();
            for (taken, way) in state.steps(model) {
                let after = state.after(taken.agent, way);
                let next = *known.entry(after.clone()).or_insert(region.states.len());
                if next == region.states.len() {
                    region.states.push(after);
                    region.from.push(Some((at, taken)));
                }
                steps.push((taken, next));
            }
            region.steps.push(steps);
            if region.states.len() > MOST_STATES {
                region.complete = false;
                break;
            }
        }
        region
    }

    /// The shortest way round through the state that is nearest of those on one.
    fn nearest(&self, model: &Model) -> Option<Round> {
        let (at, cycle) = (0..self.states.len()).find_map(|at| Some((at, self.cycle(at)?)))?;
        let mut lead = Vec::new();
        let mut back = at;
        while let Some((before, taken)) = self.from[back] {
            lead.push(taken);
            back = before;
        }
        lead.reverse();
        Some(shown(model, &self.states[0], &lead, &cycle))
    }

    /// The shortest way from a state back to it.
    fn cycle(&self, start: usize) -> Option<Vec<Move>> {
        let mut from: HashMap<usize, (usize, Move)> = HashMap::new();
        let mut open = std::collections::VecDeque::from([start]);
        while let Some(at) = open.pop_front() {
            for &(taken, next) in &self.steps[at] {
                if next == start {
                    let mut cycle = vec![taken];
                    let mut back = at;
                    while let Some(&(before, taken)) = from.get(&back).filter(|_| back != start) {
                        cycle.push(taken);
                        back = before;
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                from.entry(next).or_insert_with(|| {
                    open.push_back(next);
                    (at, taken)
                });
            }
        }
        None
    }
}

/// Lets the agents take turns until a state comes back.
fn walk(model: &Model, start: &State) -> Option<Round> {
    let (mut state, mut turn) = (start.clone(), 0);
    let mut known = HashMap::from([((state.clone(), turn), 0)]);
    let mut moves = Vec::new();
    while moves.len() < LONGEST_WALK {
        let agents = model.agents.len();
        let next = |agent: usize| state.steps_of(agent % agents, model).next();
        let (taken, way) = (turn..turn + agents).find_map(next)?;
        state = state.after(taken.agent, way);
        turn = (taken.agent + 1) % agents;
        moves.push(taken);
        if let Some(first) = known.insert((state.clone(), turn), moves.len()) {
            return Some(shown(model, start, &moves[..first], &moves[first..]));
        }
    }
    None
}

fn shown(model: &Model, start: &State, lead: &[Move], cycle: &[Move]) -> Round {
    let mut state = start.clone();
    let mut step = |taken: &Move| {
        let Move { agent, pc, alternative } = *taken;
        let after =
            state.after(agent, &model.agents[agent].program[usize::from(pc.0)].alternatives[alternative]);
        let changes = state.changes(&after);
        state = after;
        Step { agent, pc, alternative, changes }
    };
    let lead = lead.iter().map(&mut step).collect();
    Round { lead, cycle: cycle.iter().map(&mut step).collect() }
}
