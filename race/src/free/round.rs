//! A round, as one thread sees it: its agents take their steps by themselves until all have ended or nobody can go on.
//!
//! Invariant: whoever waits asks again when somebody has moved, and not before. Only a round that has a thread for itself
//! takes steps without the lock that lets the machine do one in several.

use std::hint;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ordering::language::syntax::BuiltIn;
use ordering::lowering::Part;

use super::program::{Kind, Place, Question, Way};
use super::world::{End, NOBODY, Values, World, wait};
use crate::machine::Stuck;

/// Steps of a round at most: one that has more goes round for ever.
const MOST_STEPS: u64 = 20_000;
/// How long a round may make no progress although somebody could: a thread that the host does not run is none that hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// Turns of a loop at most by which one thread begins a round later than the others.
const LATER: u32 = 32;
/// How often whoever waits looks whether anybody has moved, before he asks again all the same.
const LOOKS: u32 = 1024;
/// How often hardware walks although it need not, and a program that may end does: one time in so many.
const SELDOM: u32 = 8;

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attempt {
    Moved,
    Ended,
    Waits,
}

/// A thread's part in the rounds of one machine.
pub(super) struct Worker<'w, 'a> {
    pub(super) world: &'w World<'a>,
    number: usize,
    random: fastrand::Rng,
    window: u32,
    /// Whether it runs all agents of the round: nobody can come between.
    is_by_itself: bool,
    /// Whether several threads have agents in the round.
    pub(super) is_together: bool,
    /// In which order the questions of a place are asked; kept, as it is needed for every step.
    order: Vec<usize>,
    /// The own agents that have not ended; kept likewise.
    mine: Vec<usize>,
    /// What the last round has ended with; kept likewise.
    end: End,
    /// Whether threads have machines of their own, too.
    has_own: bool,
}

impl<'w, 'a> Worker<'w, 'a> {
    pub(super) fn new(world: &'w World<'a>, number: usize, seed: u64, window: u32, has_own: bool) -> Self {
        Self {
            world,
            number,
            random: fastrand::Rng::with_seed(seed),
            window,
            is_by_itself: false,
            is_together: false,
            order: Vec::new(),
            mine: Vec::new(),
            end: End::Ended(Values::default()),
            has_own,
        }
    }

    /// How the round has ended; none if it was cut off.
    pub(super) fn end(&mut self) -> Option<&End> {
        let world = self.world;
        let broken = *world.broken.lock();
        let is_stuck = world.awaited.load(Ordering::Acquire) > 0;
        let all = world.all_steps();
        if broken.is_none() && is_stuck && (all > MOST_STEPS || !world.stand_still(all)) {
            return None;
        }
        if broken.is_none() && !is_stuck {
            for agent in 0..world.programs().len() {
                while world.programs()[agent].is_buffer && self.attempt(agent) == Attempt::Moved {}
            }
        }
        // The room of the end before is used again.
        self.end = match (broken, mem::replace(&mut self.end, End::Breaks(BuiltIn::Deadlock))) {
            (Some(property), _) => End::Breaks(property),
            (None, End::Ended(values) | End::Stuck(values)) => self.ended(is_stuck, values),
            (None, End::Breaks(_)) => self.ended(is_stuck, Values::default()),
        };
        Some(&self.end)
    }

    fn ended(&self, is_stuck: bool, mut values: Values) -> End {
        self.world.note(&mut values);
        if is_stuck { End::Stuck(values) } else { End::Ended(values) }
    }

    /// The own agents of a round: a share of them. Where threads have no machines of their own, in one of two rounds all or none, so
    /// that steps of all agents are interleaved also where threads run one after the other.
    fn take_share(&mut self, round: u64, threads: usize) {
        let (threads, me, turn) = (threads as u64, self.number as u64, round / 2);
        let takes_turns = self.takes_turns(round);
        let is_mine = |agent: &usize| match takes_turns {
            true => turn % threads == me,
            false => (*agent as u64 + turn) % threads == me,
        };
        let agents = self.world.programs().len();
        self.mine.clear();
        self.mine.extend((0..agents).filter(is_mine));
        self.is_by_itself = self.mine.len() == agents;
        self.is_together = threads > 1 && !takes_turns;
    }

    /// Whether one thread runs all agents of the round.
    pub(super) fn takes_turns(&self, round: u64) -> bool {
        !self.has_own && round.is_multiple_of(2)
    }

    /// Lets the own agents run until the round is over.
    pub(super) fn round(&mut self, round: u64, threads: usize) {
        self.take_share(round, threads);
        if self.is_together && (round / 2) as usize % threads == self.number {
            (0..self.random.u32(..LATER)).for_each(|_| hint::spin_loop());
        }
        let mut mine = mem::take(&mut self.mine);
        self.run(&mut mine);
        self.mine = mine;
    }

    fn run(&mut self, mine: &mut Vec<usize>) {
        let world = self.world;
        let mut next = 0;
        // How many steps all had taken before the own agents were asked, if they are asked again after they waited.
        let mut asked = None;
        let mut since: Option<Instant> = None;
        while !world.is_over.load(Ordering::Acquire) {
            if mine.is_empty() {
                return world.still[self.number].0.store(NOBODY, Ordering::Release);
            }
            // An agent often goes on where it was: else no two steps of one would come between two of another.
            if next >= mine.len() || self.random.bool() {
                next = self.random.usize(..mine.len());
            }
            if self.one_moves(mine, next) {
                (asked, since) = (None, None);
                if world.steps[self.number].0.load(Ordering::Relaxed) > MOST_STEPS {
                    world.is_over.store(true, Ordering::Release);
                }
                continue;
            }
            let all = world.all_steps();
            if asked == Some(all) {
                self.wait_after(all, *since.get_or_insert_with(Instant::now));
            }
            asked = Some(world.all_steps());
        }
    }

    /// The own agents wait, and did when all had taken so many steps: until somebody moves, or the round is over.
    fn wait_after(&self, all: u64, since: Instant) {
        let world = self.world;
        world.still[self.number].0.store(all, Ordering::Release);
        let mut turns = 0;
        while !world.is_over.load(Ordering::Acquire) && world.all_steps() == all && turns < LOOKS {
            if world.stand_still(all) {
                return world.is_over.store(true, Ordering::Release);
            }
            wait(&mut turns);
        }
        if since.elapsed() > PATIENCE {
            *world.stalled.lock() = Some(self.who_waits());
            world.is_over.store(true, Ordering::Release);
        }
    }

    /// Lets one of the own agents take a step: the one that is meant, or the first behind it that can.
    fn one_moves(&mut self, mine: &mut Vec<usize>, meant: usize) -> bool {
        let count = mine.len();
        for turn in 0..count {
            let index = (meant + turn) % mine.len().max(1);
            let Some(agent) = mine.get(index).copied() else { return false };
            match self.attempt(agent) {
                Attempt::Moved => return true,
                Attempt::Ended => {
                    mine.retain(|other| *other != agent);
                    return true;
                }
                Attempt::Waits => {}
            }
        }
        false
    }

    /// Whoever has not ended, and the step he waits for.
    fn who_waits(&self) -> Vec<(String, String)> {
        let world = self.world;
        let waits = |agent: usize| {
            let at = world.at[agent].load(Ordering::Acquire);
            let instruction = world.setting.lowered.model.agents[agent].program.get(at)?;
            let text = instruction.alternatives.first().map_or_else(String::new, |way| way.text.clone());
            Some((world.setting.lowered.model.agents[agent].name.clone(), text))
        };
        (0..world.programs().len())
            .filter(|agent| !world.programs()[*agent].spontaneous)
            .filter_map(waits)
            .collect()
    }

    /// Lets one agent take a step, if it can.
    fn attempt(&mut self, agent: usize) -> Attempt {
        let world = self.world;
        let program = &world.programs()[agent];
        let at = world.at[agent].load(Ordering::Relaxed);
        let Some(place) = program.places.get(at) else { return self.ends(agent) };
        if place.may_end && !program.spontaneous && self.random.u32(..SELDOM) == 0 {
            return self.ends(agent);
        }
        if self.window > 0 && self.random.u32(..4) == 0 {
            (0..self.random.u32(..self.window)).for_each(|_| hint::spin_loop());
        }
        self.put_in_order(place);
        for turn in 0..place.questions.len() {
            let index = self.order[turn];
            if let Some(way) = self.ask(agent, &place.questions[index]) {
                world.at[agent].store(way.next, Ordering::Relaxed);
                let steps = &world.steps[self.number].0;
                steps.store(steps.load(Ordering::Relaxed) + 1, Ordering::Release);
                return Attempt::Moved;
            }
            if world.is_over.load(Ordering::Relaxed) {
                return Attempt::Waits;
            }
        }
        if place.may_end && !program.spontaneous { self.ends(agent) } else { Attempt::Waits }
    }

    fn ends(&self, agent: usize) -> Attempt {
        if !self.world.programs()[agent].spontaneous && self.world.awaited.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.world.is_over.store(true, Ordering::Release);
        }
        Attempt::Ended
    }

    /// The questions of a place in the order in which they are asked: what a program does before what hardware need not.
    fn put_in_order(&mut self, place: &Place<'_>) {
        self.order.clear();
        self.order.extend(0..place.questions.len());
        if self.order.len() > 1 {
            self.random.shuffle(&mut self.order);
            let walks_first = self.random.u32(..SELDOM) == 0;
            let is_late = |index: &usize| (place.questions[*index].kind == Kind::Hardware) != walks_first;
            if !self.order.is_sorted_by_key(is_late) {
                self.order.sort_unstable_by_key(is_late);
            }
        }
    }

    /// Asks the machine; the way on, or none if the agent waits.
    fn ask<'q>(&self, agent: usize, question: &'q Question<'a>) -> Option<&'q Way<'a>> {
        let world = self.world;
        let among = !self.is_by_itself;
        let _alone = (among && question.alone).then(|| world.alone());
        let _together = (among && !question.alone).then(|| world.among_others());
        match question.kind {
            Kind::Look => question.ways.iter().find(|way| way.guard.iter().all(|guard| world.holds(guard))),
            Kind::Atomic => {
                let way =
                    question.ways.iter().find(|way| way.guard.iter().all(|guard| world.holds(guard)))?;
                for deed in &way.deeds {
                    match world.machine.take(agent, *deed) {
                        Ok(part) => self.keep(way, part),
                        Err(stuck) => return self.stuck(agent, &stuck),
                    }
                }
                Some(way)
            }
            Kind::Step | Kind::Hardware => {
                let first = question.ways.first()?;
                let part = match world.machine.take(agent, first.deeds[0]) {
                    Ok(part) => part,
                    Err(stuck) => return self.stuck(agent, &stuck),
                };
                let fits = |way: &&Way<'_>| !way.violates && way.deeds[0].part == part;
                let returns = |way: &&Way<'_>| matches!(way.deeds[0].part, Part::Returns(_));
                let is_read = matches!(part, Part::Returns(_));
                let way = question
                    .ways
                    .iter()
                    .find(fits)
                    .or_else(|| question.ways.iter().find(|way| is_read && returns(way)))
                    .or_else(|| question.ways.iter().find(|way| way.deeds[0].part == part));
                let Some(way) = way else {
                    // The machine has done what no order of the model does there.
                    *world.foreign.lock() = Some((agent, format!("{part:?}")));
                    world.is_over.store(true, Ordering::Release);
                    return None;
                };
                self.keep(way, part);
                Some(way)
            }
        }
    }

    /// Keeps what was returned.
    fn keep(&self, way: &Way<'_>, part: Part) {
        if let (Some(register), Part::Returns(value)) = (way.register, part) {
            self.world.returned[register].store(u64::from(value) + 1, Ordering::Release);
        }
    }

    /// A step that was not taken: the agent waits, or the round is over.
    fn stuck<T>(&self, agent: usize, stuck: &Stuck) -> Option<T> {
        match stuck {
            Stuck::Waits(_) | Stuck::Cannot(_) => return None,
            Stuck::Breaks(property) => {
                self.world.broken.lock().get_or_insert(*property);
            }
            Stuck::Fails(told) => {
                let mut who = self.who_waits();
                let name = &self.world.setting.lowered.model.agents[agent].name;
                match who.iter_mut().find(|(who, _)| who == name) {
                    Some((_, step)) => *step = format!("{step}: {told}"),
                    // Nobody waits for its end, and it fails all the same.
                    None => who.push((name.clone(), told.clone())),
                }
                self.world.stalled.lock().get_or_insert(who);
            }
        }
        self.world.is_over.store(true, Ordering::Release);
        None
    }
}
