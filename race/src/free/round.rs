//! Rounds: every thread lets its agents run until all have ended, and one of them looks at what is there then.
//!
//! Invariant: a round begins when all threads have ended the one before, and ends when all have. What is
//! counted at its end is looked at by one thread, with nobody else at work.

use std::collections::HashMap;
use std::hint;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ordering::lowering::Part;

use super::Plan;
use super::program::{Kind, Place, Question, Way};
use super::world::{Attendance, End, NOBODY, World};
use crate::machine::Stuck;

/// Steps of a round at most: one that has more goes round for ever.
const MOST_STEPS: u64 = 20_000;
/// How long a round may make no progress although somebody could: a thread that the host does not run is none that hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often hardware walks although it need not, and a program that may end does: one time in so many.
const SELDOM: u32 = 8;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) ends: HashMap<End, u64>,
    pub(super) rounds: u64,
    pub(super) endless: u64,
    pub(super) stalled: Option<Vec<(String, String)>>,
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attempt {
    Moved,
    Ended,
    Waits,
}

/// A thread with its share of the agents.
pub(super) struct Worker<'w, 'a> {
    world: &'w World<'a>,
    number: usize,
    random: fastrand::Rng,
    window: u32,
}

impl<'w, 'a> Worker<'w, 'a> {
    pub(super) fn new(world: &'w World<'a>, number: usize, plan: &Plan<'_>) -> Self {
        let random = fastrand::Rng::with_seed(plan.seed.wrapping_add(number as u64));
        Self { world, number, random, window: plan.window }
    }

    /// Takes part in each round, until there is no more.
    pub(super) fn help(mut self) {
        let _attendance = Attendance(self.world);
        let mut known = 0;
        loop {
            let mut turns = 0_u32;
            while self.world.round.load(Ordering::Acquire) == known {
                if self.world.quits.load(Ordering::Acquire) {
                    return;
                }
                wait(&mut turns);
            }
            known += 1;
            self.round(known);
            self.world.ended.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Begins all rounds, takes part in them, and counts.
    pub(super) fn lead(mut self, plan: &Plan<'_>, begun: Instant) -> Counted {
        let _attendance = Attendance(self.world);
        let mut counted = Counted::default();
        let is_over = |rounds: u64| {
            let stopped = || plan.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
            let late = || plan.time.is_some_and(|time| begun.elapsed() >= time);
            rounds >= plan.rounds || (rounds.is_multiple_of(64) && (stopped() || late()))
        };
        while !is_over(counted.rounds) {
            if let Err(stuck) = self.world.begin() {
                counted.stalled = Some(vec![("the machine".to_owned(), stuck.to_string())]);
                break;
            }
            let round = self.world.round.fetch_add(1, Ordering::AcqRel) + 1;
            self.round(round);
            let mut turns = 0_u32;
            while self.world.ended.load(Ordering::Acquire) + 1 < self.world.threads.load(Ordering::Acquire) {
                if self.world.lost.load(Ordering::Acquire) {
                    return counted;
                }
                wait(&mut turns);
            }
            counted.rounds += 1;
            if let Some((agent, part)) = self.world.foreign.lock().take() {
                let name = self.world.lowered.model.agents[agent].name.clone();
                counted.stalled =
                    Some(vec![(name, format!("something that the model does not do there: {part}"))]);
                break;
            }
            counted.stalled = self.world.stalled.lock().take();
            if counted.stalled.is_some() {
                break;
            }
            match self.end() {
                Some(end) => *counted.ends.entry(end).or_default() += 1,
                None => counted.endless += 1,
            }
        }
        self.world.quits.store(true, Ordering::Release);
        counted
    }

    /// How the round has ended; none if it was cut off.
    fn end(&mut self) -> Option<End> {
        if let Some(broken) = *self.world.broken.lock() {
            return Some(End::Breaks(broken));
        }
        if self.world.awaited.load(Ordering::Acquire) > 0 {
            let all = self.world.all_steps();
            let stuck = all <= MOST_STEPS && self.world.stand_still(all);
            return stuck.then(|| End::Stuck(self.world.values()));
        }
        for agent in 0..self.world.programs.len() {
            while self.world.programs[agent].is_buffer && self.attempt(agent) == Attempt::Moved {}
        }
        Some(End::Ended(self.world.values()))
    }

    /// The own agents of a round: in one of two a share of them, in the other all or none, so that steps of all agents are
    /// interleaved also where threads run one after the other.
    fn share(&self, round: u64) -> Vec<usize> {
        let threads = self.world.threads.load(Ordering::Acquire) as u64;
        let (together, turn) = (round.is_multiple_of(2), round / 2);
        let me = self.number as u64;
        let is_mine = |agent: &usize| match together {
            true => turn % threads == me,
            false => (*agent as u64 + turn) % threads == me,
        };
        (0..self.world.programs.len()).filter(is_mine).collect()
    }

    /// Waits until all threads are there.
    fn meet(&self) {
        let world = self.world;
        world.there.fetch_add(1, Ordering::AcqRel);
        let mut turns = 0;
        let all = || world.there.load(Ordering::Acquire) >= world.threads.load(Ordering::Acquire);
        while !all() && !world.lost.load(Ordering::Acquire) {
            wait(&mut turns);
        }
    }

    /// Lets the own agents run until the round is over.
    fn round(&mut self, round: u64) {
        let world = self.world;
        let mut mine = self.share(round);
        if !round.is_multiple_of(2) {
            self.meet();
            (0..self.random.u32(..64)).for_each(|_| hint::spin_loop());
        }
        if mine.is_empty() {
            world.still[self.number].0.store(NOBODY, Ordering::Release);
            return;
        }
        let mut waiting: Option<Instant> = None;
        let mut turns = 0_u32;
        let mut next = 0;
        while !world.is_over.load(Ordering::Acquire) {
            let before = world.all_steps();
            if before > MOST_STEPS {
                world.is_over.store(true, Ordering::Release);
                break;
            }
            // An agent often goes on where it was: else no two steps of one would come between two of another.
            if next >= mine.len() || self.random.bool() {
                next = self.random.usize(..mine.len().max(1));
            }
            if self.one_moves(&mut mine, next) {
                (waiting, turns) = (None, 0);
                continue;
            }
            if world.all_steps() == before {
                world.still[self.number].0.store(before, Ordering::Release);
                if world.stand_still(before) {
                    world.is_over.store(true, Ordering::Release);
                    break;
                }
            }
            let late = |since: &mut Instant| turns.is_multiple_of(1024) && since.elapsed() > PATIENCE;
            if late(waiting.get_or_insert_with(Instant::now)) {
                *world.stalled.lock() = Some(self.who_waits());
                world.is_over.store(true, Ordering::Release);
                break;
            }
            wait(&mut turns);
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
            let instruction = world.lowered.model.agents[agent].program.get(at)?;
            let text = instruction.alternatives.first().map_or_else(String::new, |way| way.text.clone());
            Some((world.lowered.model.agents[agent].name.clone(), text))
        };
        (0..world.programs.len())
            .filter(|agent| !world.programs[*agent].spontaneous)
            .filter_map(waits)
            .collect()
    }

    /// Lets one agent take a step, if it can.
    fn attempt(&mut self, agent: usize) -> Attempt {
        let world = self.world;
        let program = &world.programs[agent];
        let at = world.at[agent].load(Ordering::Relaxed);
        let Some(place) = program.places.get(at) else { return self.ends(agent) };
        if place.may_end && !program.spontaneous && self.random.u32(..SELDOM) == 0 {
            return self.ends(agent);
        }
        if self.window > 0 && self.random.u32(..4) == 0 {
            (0..self.random.u32(..self.window)).for_each(|_| hint::spin_loop());
        }
        for index in self.order(place) {
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
        if !self.world.programs[agent].spontaneous && self.world.awaited.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.world.is_over.store(true, Ordering::Release);
        }
        Attempt::Ended
    }

    /// The questions of a place in the order in which they are asked: what a program does before what hardware need not.
    fn order(&mut self, place: &Place<'_>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..place.questions.len()).collect();
        if order.len() > 1 {
            self.random.shuffle(&mut order);
            let walks_first = self.random.u32(..SELDOM) == 0;
            order.sort_by_key(|index| (place.questions[*index].kind == Kind::Hardware) != walks_first);
        }
        order
    }

    /// Asks the machine; the way on, or none if the agent waits.
    fn ask<'q>(&self, agent: usize, question: &'q Question<'a>) -> Option<&'q Way<'a>> {
        let world = self.world;
        let _alone = question.alone.then(|| world.alone.write());
        let _together = (!question.alone).then(|| world.alone.read());
        match question.kind {
            Kind::Look => question.ways.iter().find(|way| way.guard.iter().all(|guard| world.holds(guard))),
            Kind::Atomic => {
                let way =
                    question.ways.iter().find(|way| way.guard.iter().all(|guard| world.holds(guard)))?;
                for deed in &way.deeds {
                    match world.machine.take(agent, *deed) {
                        Ok(part) => self.keep(way, part),
                        Err(stuck) => return self.stuck(&stuck),
                    }
                }
                Some(way)
            }
            Kind::Step | Kind::Hardware => {
                let first = question.ways.first()?;
                let part = match world.machine.take(agent, first.deeds[0]) {
                    Ok(part) => part,
                    Err(stuck) => return self.stuck(&stuck),
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
    fn stuck<T>(&self, stuck: &Stuck) -> Option<T> {
        if let Stuck::Breaks(property) = stuck {
            let mut broken = self.world.broken.lock();
            broken.get_or_insert(*property);
            self.world.is_over.store(true, Ordering::Release);
        }
        None
    }
}

/// Waits a little, and lets others run if that takes longer.
fn wait(turns: &mut u32) {
    *turns += 1;
    if *turns < 200 { hint::spin_loop() } else { thread::yield_now() }
}
