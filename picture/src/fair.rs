//! A run of a scenario that is proved, to be looked at: everybody has his turn, and it comes to an end.
//!
//! Invariant: it is a run of the model, and breaks nothing. Whoever has waited longest goes first, hardware too, so that
//! caches are filled where a run of programs alone would leave them empty.

use std::collections::HashSet;

use ordering::engine::replay::{Move, State};
use ordering::engine::{Step, Trace};
use ordering::model::{Alternative, Model};

/// Rows at most: nobody looks at more.
const MOST_ROWS: usize = 120;

/// The run; none if it does not come to an end soon.
#[must_use]
pub fn fair(model: &Model) -> Option<Trace> {
    let mut state = State::initial(model);
    let mut last_turn = vec![0; model.agents.len()];
    let (mut seen, mut steps) = (HashSet::from([state.clone()]), Vec::new());
    while !state.ended(model) {
        if steps.len() == MOST_ROWS {
            return None;
        }
        let (taken, after) = next(model, &state, &last_turn, &seen)?;
        last_turn[taken.agent] = steps.len() + 1;
        let Move { agent, pc, alternative } = taken;
        steps.push(Step { agent, pc, alternative, changes: state.changes(&after) });
        seen.insert(after.clone());
        state = after;
    }
    Some(Trace { steps, last: state, round: None })
}

/// The step of whoever has waited longest, to where nobody has been if there is such a step.
fn next(model: &Model, state: &State, last_turn: &[usize], seen: &HashSet<State>) -> Option<(Move, State)> {
    let harmless = |(_, way): &(Move, &Alternative)| way.violates.is_none();
    let steps = state.steps(model).into_iter().filter(harmless);
    let steps = steps.map(|(taken, way)| (taken, state.after(taken.agent, way)));
    let steps = steps.filter(|(_, after)| after.broken(model).is_none());
    steps.min_by_key(|(taken, after)| (seen.contains(after), last_turn[taken.agent], taken.agent))
}

#[cfg(test)]
mod tests {
    use ordering::lowering::load;

    use super::*;

    #[test]
    fn everybody_who_can_has_a_turn_and_the_run_ends() {
        let text =
            ordering::catalogue::text_of("cow/orders-of-wp-page-copy.scn").expect("it is in the catalogue");
        let loaded = load(text).expect("the catalogue has no errors");
        let model = &loaded[0].1.model;
        let run = fair(model).expect("it ends");
        assert!(run.last.ended(model));
        let moves = run.steps.iter().map(|step| Move {
            agent: step.agent,
            pc: step.pc,
            alternative: step.alternative,
        });
        let (_, last) =
            ordering::engine::replay::replay(model, &moves.collect::<Vec<_>>()).expect("it is a run");
        assert_eq!(last, run.last);
        for agent in ["mm", "T0", "T1", "V0", "DEV"] {
            let acts = run.steps.iter().any(|step| model.agents[step.agent].name == agent);
            assert!(acts, "{agent} does nothing");
        }
    }
}
