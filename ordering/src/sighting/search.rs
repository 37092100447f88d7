//! The search for a run in which all that was seen stands.
//!
//! Invariant: a state is left out only if one is known, with the same of the rows that must stand behind it, that was there
//! no later in time and with no more rows filled in. A row that need not stand is found once: two ways to one state may
//! have used it up on one of them, so that a search may refuse too much, and never too little.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::{Sighting, Stands, Unexplained};
use crate::engine::replay::{Move, State};
use crate::lowering::{Act, Lowered, Part, says};
use crate::model::{Alternative, PropertyId};

/// What a row that is filled in costs, in rows that were seen and need not stand there.
const FILLED_IN: usize = 1000;

/// The rows of a run, each with the index of its sighting; none if it was filled in.
pub(super) struct Found {
    pub(super) rows: Vec<(Move, Option<usize>)>,
    pub(super) broken: PropertyId,
}

/// A place in a run.
struct Place {
    state: State,
    /// The sightings that stand behind it.
    taken: u128,
    now_ns: u64,
    cost: usize,
    /// How it was come to, and from which place.
    from: Option<(usize, Move, Option<usize>)>,
}

pub(super) struct Search<'a> {
    lowered: &'a Lowered,
    sightings: &'a [Sighting],
    places: Vec<Place>,
    next: BinaryHeap<Reverse<(usize, usize)>>,
    /// By state and by what must stand behind it, the least time of a place that was looked at.
    known: HashMap<(State, u128), u64>,
    /// The sightings that must stand in the run.
    always: u128,
    unbroken: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(lowered: &'a Lowered, sightings: &'a [Sighting]) -> Self {
        let bit = |(index, one): (usize, &Sighting)| u128::from(one.stands == Stands::Always) << index;
        let always = sightings.iter().enumerate().map(bit).fold(0, |all, one| all | one);
        let (places, next, known) = (Vec::new(), BinaryHeap::new(), HashMap::new());
        Self { lowered, sightings, places, next, known, always, unbroken: false }
    }

    pub(super) fn run(mut self, most_places: usize) -> Result<Found, Unexplained> {
        let state = State::initial(&self.lowered.model);
        self.add(Place { state, taken: 0, now_ns: 0, cost: 0, from: None });
        while let Some(Reverse((_, index))) = self.next.pop() {
            if !self.is_new(index) {
                continue;
            }
            if let Some(found) = self.go_on(index) {
                return Ok(found);
            }
            if self.places.len() > most_places {
                return Err(Unexplained::BoundHit(most_places));
            }
        }
        Err(if self.unbroken { Unexplained::Unbroken } else { Unexplained::Refused(self.refused()) })
    }

    fn add(&mut self, place: Place) {
        self.next.push(Reverse((place.cost, self.places.len())));
        self.places.push(place);
    }

    fn is_new(&mut self, index: usize) -> bool {
        let Place { state, taken, now_ns, .. } = &self.places[index];
        let earliest = self.known.entry((state.clone(), taken & self.always)).or_insert(u64::MAX);
        let is_new = *now_ns < *earliest;
        *earliest = (*earliest).min(*now_ns);
        is_new
    }

    /// The places behind one; what was looked for, if one of them is its end.
    fn go_on(&mut self, index: usize) -> Option<Found> {
        let (lowered, state) = (self.lowered, self.places[index].state.clone());
        for (step, way) in state.steps(&lowered.model) {
            if way.violates.is_none() && self.is_unseen(&step) {
                self.take(index, step, way, None);
            }
            for sighting in self.standing(index, &step, way, &state) {
                let is_last = sighting + 1 == self.sightings.len();
                match (is_last, way.violates) {
                    (true, Some(broken)) => return Some(self.found(index, step, sighting, broken)),
                    (true, None) => self.unbroken = true,
                    // Nothing goes on behind a row that breaks a property.
                    (false, Some(_)) => {}
                    (false, None) => self.take(index, step, way, Some(sighting)),
                }
            }
        }
        None
    }

    fn take(&mut self, index: usize, step: Move, way: &Alternative, sighting: Option<usize>) {
        let place = &self.places[index];
        let (mut taken, mut now_ns, mut cost) = (place.taken, place.now_ns, place.cost);
        match sighting {
            None => cost += FILLED_IN,
            Some(sighting) => {
                let one = &self.sightings[sighting];
                taken |= 1 << sighting;
                now_ns = now_ns.max(one.began_ns);
                cost += usize::from(one.stands == Stands::Perhaps);
            }
        }
        let state = place.state.after(step.agent, way);
        self.add(Place { state, taken, now_ns, cost, from: Some((index, step, sighting)) });
    }

    /// The sightings that a step can be, at this place.
    fn standing(&self, index: usize, step: &Move, way: &Alternative, state: &State) -> Vec<usize> {
        let place = &self.places[index];
        let is = |(_, one): &(usize, &Sighting)| {
            one.agent == step.agent
                && one.rows.iter().any(|row| says(way, row))
                && self.leads_there(one, step, way, state)
        };
        let all = self.sightings.iter().enumerate().filter(is).map(|(index, _)| index);
        all.filter(|sighting| self.is_in_time(place, *sighting)).collect()
    }

    /// Whether what it changes has the value that was seen.
    fn leads_there(&self, one: &Sighting, step: &Move, way: &Alternative, state: &State) -> bool {
        let Some(wanted) = &one.leads_to else { return true };
        let changes = state.changes(&state.after(step.agent, way));
        changes.iter().all(|change| {
            let variable = &self.lowered.model.variables[usize::from(change.var.0)];
            variable.values[change.new as usize] == *wanted
        })
    }

    /// Whether a sighting can be next: none that must stand before it is left, and it is not over.
    fn is_in_time(&self, place: &Place, sighting: usize) -> bool {
        let one = &self.sightings[sighting];
        let now_ns = place.now_ns.max(one.began_ns);
        let stands_before = |(index, other): (usize, &Sighting)| {
            let in_order = other.agent == one.agent && index < sighting && one.stands == Stands::Always;
            other.stands == Stands::Always && index != sighting && (in_order || other.ended_ns < now_ns)
        };
        let left = |index: usize| place.taken & (1 << index) == 0;
        let mut others = self.sightings.iter().enumerate().filter(|(index, _)| left(*index));
        left(sighting) && now_ns <= one.ended_ns && !others.any(stands_before)
    }

    /// Whether a step is hardware's own: nobody sees all of them.
    fn is_unseen(&self, step: &Move) -> bool {
        let deeds = &self.lowered.deeds[step.agent];
        deeds.of(usize::from(step.pc.0), step.alternative).all(|deed| match deed.part {
            Part::Walk(..) | Part::Dirty(..) | Part::NotDirty(..) => true,
            Part::Whole
            | Part::Returns(_)
            | Part::Nothing
            | Part::Flush(_)
            | Part::Send(_)
            | Part::Answer(..)
            | Part::ReadPmd(_)
            | Part::ReadPte(_)
            | Part::Get(_)
            | Part::Again
            | Part::Drop
            | Part::Translated
            | Part::Answered
            | Part::Sent
            | Part::Perform(..)
            | Part::TimesOut(..)
            | Part::ReachesMemory(_) => *deed.act == Act::Hardware,
        })
    }

    fn found(&self, index: usize, last: Move, sighting: usize, broken: PropertyId) -> Found {
        let mut rows = vec![(last, Some(sighting))];
        let mut at = index;
        while let Some((from, step, sighting)) = self.places[at].from {
            rows.push((step, sighting));
            at = from;
        }
        rows.reverse();
        Found { rows, broken }
    }

    /// The first sighting that is left where most of them stand.
    fn refused(&self) -> usize {
        let stand = self.places.iter().map(|place| place.taken & self.always);
        let furthest = stand.max_by_key(|taken| taken.count_ones());
        let furthest = furthest.expect("a search has looked at the beginning");
        let left = |index: &usize| (self.always & !furthest) >> index & 1 == 1;
        let by_time = |index: &usize| self.sightings[*index].ended_ns;
        (0..self.sightings.len()).filter(left).min_by_key(by_time).expect("the last one is left")
    }
}
