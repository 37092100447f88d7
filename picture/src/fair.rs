//! A run of a scenario that is proved, to be looked at: everybody has his turn, operations are taken to their end, and it
//! comes to an end.
//!
//! Invariant: it is a run of the model, and breaks nothing. Whoever has waited longest goes first, hardware too, so that
//! caches are filled where a run of programs alone would leave them empty. If an operation is given up in that run, as
//! when a page that was to be merged has changed, others are tried, and the one in which programs do most is taken.

use std::collections::HashSet;

use fastrand::Rng;
use ordering::engine::replay::{Move, State};
use ordering::engine::{Step, Trace};
use ordering::model::{Alternative, Model};

/// Rows at most: nobody looks at more.
const MOST_ROWS: usize = 120;
/// Runs that are tried.
const TRIES: u64 = 24;

/// The run; none if none comes to an end soon.
#[must_use]
pub fn fair(model: &Model) -> Option<Trace> {
    let instructions: usize = model.agents.iter().map(|agent| agent.program.len()).sum();
    let mut best: Option<((usize, usize, usize), Trace)> = None;
    for seed in 0..TRIES {
        let Some(trace) = run(model, (seed > 0).then(|| Rng::with_seed(seed)).as_mut()) else { continue };
        let taken: HashSet<(usize, _)> = trace.steps.iter().map(|step| (step.agent, step.pc)).collect();
        let acting: HashSet<usize> = trace.steps.iter().map(|step| step.agent).collect();
        // Nobody is left out; then what programs do comes first, and what hardware does by itself last.
        let own = taken.iter().filter(|(agent, _)| !model.agents[*agent].spontaneous).count();
        let merit = (acting.len(), own, taken.len());
        if best.as_ref().is_none_or(|(most, _)| merit > *most) {
            best = Some((merit, trace));
        }
        if taken.len() == instructions {
            break;
        }
    }
    best.map(|(_, trace)| trace)
}

/// A run in which whoever has waited longest goes first, unless chance decides.
fn run(model: &Model, mut chance: Option<&mut Rng>) -> Option<Trace> {
    let mut state = State::initial(model);
    let mut last_turn = vec![0; model.agents.len()];
    let (mut seen, mut steps) = (HashSet::from([state.clone()]), Vec::new());
    while !state.ended(model) {
        if steps.len() == MOST_ROWS {
            return None;
        }
        let turn = |agent: usize| match &mut chance {
            Some(chance) => chance.usize(..model.agents.len()),
            None => last_turn[agent],
        };
        let (taken, after) = next(model, &state, &seen, turn)?;
        last_turn[taken.agent] = steps.len() + 1;
        let Move { agent, pc, alternative } = taken;
        steps.push(Step { agent, pc, alternative, changes: state.changes(&after) });
        seen.insert(after.clone());
        state = after;
    }
    Some(Trace { steps, last: state, round: None })
}

/// The step of whoever has the first turn, to where nobody has been if there is such a step.
fn next(
    model: &Model,
    state: &State,
    seen: &HashSet<State>,
    mut turn: impl FnMut(usize) -> usize,
) -> Option<(Move, State)> {
    let harmless = |(_, way): &(Move, &Alternative)| way.violates.is_none();
    let steps = state.steps(model).into_iter().filter(harmless);
    let steps = steps.map(|(taken, way)| (taken, state.after(taken.agent, way)));
    let steps = steps.filter(|(_, after)| after.broken(model).is_none());
    steps.min_by_key(|(taken, after)| (seen.contains(after), turn(taken.agent), taken.agent))
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

    #[test]
    fn a_merge_is_shown_to_its_end() {
        let text = ordering::catalogue::text_of("ksm/orders-of-merge.scn").expect("it is in the catalogue");
        let loaded = load(text).expect("the catalogue has no errors");
        let (_, lowered) = loaded.iter().find(|(_, one)| one.name == "ksm-merge").expect("it is there");
        let run = fair(&lowered.model).expect("it ends");
        let timeline = crate::timeline::Timeline::new(lowered, &run, None);
        assert!(timeline.rows.iter().any(|row| row.text == "set_pte A -> ksm ro"), "{:?}", timeline.rows);
    }
}
