//! All runs at once: which states there can be once certain rows have been done in a certain order.
//!
//! Invariant: a belief holds every state that can be between two rows, or after an `end`, once the rows so far have been
//! done, and nothing else; so two orders of the same rows that lead to the same belief are judged alike from there on. A
//! row is refused if any run through it breaks a property, or ends otherwise than the program alone does.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::engine::replay::State;
use crate::lowering::Lowered;
use crate::model::{Pc, PropertyId};

use super::hub::{Exit, Places};
use super::job::{End, left};

/// States of all beliefs together at most.
const MOST_BELIEVED: usize = 60_000_000;

/// There are more states than can be kept in mind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// Which runs count.
pub(super) enum Company {
    /// Those with everybody; they must break no property.
    All,
    /// Those of the agent alone; they must end as the program does.
    Alone(BTreeSet<End>),
}

/// Number of a belief.
pub(super) type BeliefId = u32;

/// States, ascending; and, alone, how runs have ended so far.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Belief {
    states: Rc<[u32]>,
    ends: BTreeSet<End>,
}

/// What a state leads to.
struct Steps {
    /// By the agent, while it is inside of a row.
    own: Rc<[u32]>,
    /// By the others.
    others: Rc<[u32]>,
    /// How the run ends here, if it does: a property breaks, or the agent alone waits.
    ends: Rc<[End]>,
}

/// A model with its hub, and all that was found in it.
pub(super) struct World {
    lowered: Lowered,
    agent: usize,
    places: Places,
    company: Company,
    states: Vec<Rc<[u16]>>,
    numbers: HashMap<Rc<[u16]>, u32>,
    steps: Vec<Option<Rc<Steps>>>,
    beliefs: Vec<Belief>,
    known: HashMap<Belief, BeliefId>,
    taken: HashMap<(BeliefId, usize), Option<BeliefId>>,
    finished: HashMap<BeliefId, bool>,
    most_states: usize,
    /// States that may still be visited for the question that is asked.
    visits: usize,
    believed: usize,
}

impl World {
    /// With so many states at most.
    pub(super) fn new(
        lowered: Lowered,
        agent: usize,
        places: Places,
        company: Company,
        most_states: usize,
    ) -> Self {
        Self {
            most_states,
            lowered,
            agent,
            places,
            company,
            states: Vec::new(),
            numbers: HashMap::new(),
            steps: Vec::new(),
            beliefs: Vec::new(),
            known: HashMap::new(),
            taken: HashMap::new(),
            finished: HashMap::new(),
            visits: 0,
            believed: 0,
        }
    }

    /// For a question that may visit so many states.
    pub(super) fn allow(&mut self, visits: usize) {
        self.visits = visits;
    }

    /// Before all rows; none if a property breaks without any.
    pub(super) fn start(&mut self) -> Result<Option<BeliefId>, Full> {
        let start = self.number(&State::initial(&self.lowered.model))?;
        self.reached(&[start], BTreeSet::new())
    }

    /// After one more row; none if it is refused.
    pub(super) fn take(&mut self, belief: BeliefId, row: usize) -> Result<Option<BeliefId>, Full> {
        if let Some(known) = self.taken.get(&(belief, row)) {
            return Ok(*known);
        }
        let Belief { states, ends } = self.beliefs[belief as usize].clone();
        let mut begun = Vec::with_capacity(states.len());
        for number in states.iter() {
            let mut state = self.state(*number);
            let entered = self.exit(&state).and_then(|exit| self.places.entered(exit, row));
            begun.push(match entered {
                Some(pc) => {
                    state.at[self.agent] = pc;
                    self.number(&state)?
                }
                None => *number,
            });
        }
        let found = self.reached(&begun, ends)?;
        self.taken.insert((belief, row), found);
        Ok(found)
    }

    /// Whether all is well when the program ends after these rows.
    pub(super) fn finish(&mut self, belief: BeliefId) -> Result<bool, Full> {
        if let Some(known) = self.finished.get(&belief) {
            return Ok(*known);
        }
        let Belief { states, mut ends } = self.beliefs[belief as usize].clone();
        let end =
            Pc(u16::try_from(self.lowered.model.agents[self.agent].program.len())
                .expect("programs are short"));
        let mut ended = Vec::with_capacity(states.len());
        for number in states.iter() {
            let mut state = self.state(*number);
            let looks_for_label = matches!(self.exit(&state), Some(Exit::Landing(_)));
            assert!(!looks_for_label, "a label stays behind the jumps to it");
            state.at[self.agent] = end;
            if matches!(self.company, Company::Alone(_)) {
                ends.insert(End { broken: None, ended: true, left: left(&self.lowered, &state) });
            }
            ended.push(self.number(&state)?);
        }
        let well = self.reached(&ended, BTreeSet::new())?.is_some();
        let as_before = match &self.company {
            Company::All => true,
            Company::Alone(job) => *job == ends,
        };
        self.finished.insert(belief, well && as_before);
        Ok(well && as_before)
    }

    /// The states outside of rows that can be reached; none if a run on the way is refused.
    fn reached(&mut self, from: &[u32], mut ends: BTreeSet<End>) -> Result<Option<BeliefId>, Full> {
        let mut seen: HashSet<u32> = from.iter().copied().collect();
        let mut open: Vec<u32> = seen.iter().copied().collect();
        let mut outside = Vec::new();
        while let Some(number) = open.pop() {
            let steps = self.steps(number)?;
            for end in steps.ends.iter() {
                match &self.company {
                    Company::All => return Ok(None),
                    Company::Alone(job) if !job.contains(end) => return Ok(None),
                    Company::Alone(_) => drop(ends.insert(end.clone())),
                }
            }
            if self.is_outside(number) {
                outside.push(number);
            }
            let next = steps.own.iter().chain(steps.others.iter()).copied();
            open.extend(next.filter(|next| seen.insert(*next)));
            self.visits = self.visits.checked_sub(1).ok_or(Full)?;
        }
        outside.sort_unstable();
        self.belief(Belief { states: outside.into(), ends }).map(Some)
    }

    fn belief(&mut self, belief: Belief) -> Result<BeliefId, Full> {
        if let Some(known) = self.known.get(&belief) {
            return Ok(*known);
        }
        self.believed += belief.states.len();
        if self.believed > MOST_BELIEVED {
            return Err(Full);
        }
        let new = BeliefId::try_from(self.beliefs.len()).expect("each belief was visited");
        self.beliefs.push(belief.clone());
        self.known.insert(belief, new);
        Ok(new)
    }

    /// What can happen next in a state.
    fn steps(&mut self, number: u32) -> Result<Rc<Steps>, Full> {
        if let Some(known) = &self.steps[number as usize] {
            return Ok(known.clone());
        }
        let state = self.state(number);
        let alone = matches!(self.company, Company::Alone(_));
        let outside = self.is_outside(number);
        let (mut own, mut others, mut ends) = (Vec::new(), Vec::new(), BTreeSet::new());
        let broken =
            |property: PropertyId| Some(self.lowered.model.properties[usize::from(property.0)].text.clone());
        if !alone && let Some(property) = state.broken(&self.lowered.model) {
            ends.insert(End { broken: broken(property), ended: false, left: BTreeMap::new() });
        }
        let mut waits = true;
        for (taken, way) in state.steps(&self.lowered.model) {
            let by_agent = taken.agent == self.agent;
            if (by_agent && outside) || (!by_agent && alone) {
                continue;
            }
            waits = false;
            match way.violates {
                Some(property) => {
                    let left = left(&self.lowered, &state);
                    ends.insert(End { broken: broken(property), ended: false, left });
                }
                None if by_agent => own.push(state.after(taken.agent, way)),
                None => others.push(state.after(taken.agent, way)),
            }
        }
        if alone && waits && !outside {
            ends.insert(End { broken: None, ended: false, left: left(&self.lowered, &state) });
        }
        let own: Result<Vec<u32>, Full> = own.iter().map(|state| self.number(state)).collect();
        let others: Result<Vec<u32>, Full> = others.iter().map(|state| self.number(state)).collect();
        let steps = Steps { own: own?.into(), others: others?.into(), ends: ends.into_iter().collect() };
        let steps = Rc::new(steps);
        self.steps[number as usize] = Some(steps.clone());
        Ok(steps)
    }

    /// Whether the agent is between rows, or has ended.
    fn is_outside(&self, number: u32) -> bool {
        let at = Pc(self.states[number as usize][self.lowered.model.variables.len() + self.agent]);
        self.places.exit(at).is_some()
            || usize::from(at.0) == self.lowered.model.agents[self.agent].program.len()
    }

    fn exit(&self, state: &State) -> Option<Exit> {
        self.places.exit(state.at[self.agent])
    }

    fn number(&mut self, state: &State) -> Result<u32, Full> {
        let value = |value: &u32| u16::try_from(*value).expect("domains are small");
        let packed: Rc<[u16]> =
            state.values.iter().map(value).chain(state.at.iter().map(|pc| pc.0)).collect();
        if let Some(known) = self.numbers.get(&packed) {
            return Ok(*known);
        }
        if self.states.len() >= self.most_states {
            return Err(Full);
        }
        let new = u32::try_from(self.states.len()).expect("states are bounded");
        self.states.push(packed.clone());
        self.steps.push(None);
        self.numbers.insert(packed, new);
        Ok(new)
    }

    fn state(&self, number: u32) -> State {
        let (values, at) = self.states[number as usize].split_at(self.lowered.model.variables.len());
        let values = values.iter().map(|value| u32::from(*value)).collect();
        State { values, at: at.iter().map(|pc| Pc(*pc)).collect() }
    }
}
