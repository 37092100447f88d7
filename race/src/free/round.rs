//! Rounds: every thread lets its agents run until all have ended, and one of them looks at what is there then.
//!
//! Invariant: a batch of rounds, each on a machine of its own, begins when all threads have ended the one before. Its rounds are
//! looked at when all have ended it, by one thread, with nobody else at work. What a thread runs apart nobody else comes near.
//! Only a round that has a thread for itself takes steps without the lock that lets the machine do one in several.

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
/// So many batches all threads take together, and then as many rounds each on a machine of its own.
const APART: u64 = 2;
/// Looks for the others at the start of a round: who is not there by then may come later.
const LOOKS: u32 = 400;
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

/// A thread.
pub(super) struct Workers<'w, 'a> {
    all: &'w [World<'a>],
    /// The first of them, where threads meet.
    world: &'w World<'a>,
    shared: Vec<Worker<'w, 'a>>,
    own: Option<Worker<'w, 'a>>,
    counted: Counted,
}

/// A thread with its share of the agents of one machine.
struct Worker<'w, 'a> {
    world: &'w World<'a>,
    number: usize,
    random: fastrand::Rng,
    window: u32,
    /// Whether it runs all agents of the round: nobody can come between.
    is_by_itself: bool,
    /// In which order the questions of a place are asked; kept, as it is needed for every step.
    order: Vec<usize>,
    /// Whether threads have machines of their own, too.
    has_own: bool,
}

impl<'w, 'a> Workers<'w, 'a> {
    /// The thread of that number, with its places in the worlds that all share, and in its own.
    pub(super) fn new(
        shared: &'w [World<'a>],
        own: Option<&'w World<'a>>,
        number: usize,
        plan: &Plan<'_>,
    ) -> Self {
        let threads = number as u64;
        let worker = |(index, world): (u64, &'w World<'a>)| {
            let seed = plan.seed.wrapping_add(threads).wrapping_add(index << 16);
            Worker::new(world, number, seed, plan.window, own.is_some())
        };
        let own = own
            .map(|own| Worker::new(own, 0, plan.seed.wrapping_add(threads + (1 << 32)), plan.window, false));
        Self {
            all: shared,
            world: &shared[0],
            shared: (0..).zip(shared).map(worker).collect(),
            own,
            counted: Counted::default(),
        }
    }

    /// Takes part in each round, until there is no more.
    pub(super) fn help(mut self) -> Counted {
        let _attendance = Attendance(self.all);
        let mut known = 0;
        loop {
            let mut turns = 0_u32;
            while self.world.batch.load(Ordering::Acquire) == known {
                if self.world.quits.load(Ordering::Acquire) || self.world.over.load(Ordering::Acquire) {
                    return self.counted;
                }
                wait(&mut turns);
            }
            known += 1;
            let rounds = self.world.rounds.load(Ordering::Acquire);
            self.shared[..rounds].iter_mut().for_each(|worker| worker.round(known));
            self.world.ended.fetch_add(1, Ordering::AcqRel);
            self.go_apart(known);
        }
    }

    /// Begins all rounds, takes part in them, and counts.
    pub(super) fn lead(mut self, plan: &Plan<'_>, begun: Instant) -> Counted {
        let _attendance = Attendance(self.all);
        let stopped = || plan.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        let late = || plan.time.is_some_and(|time| begun.elapsed() >= time);
        while !self.world.quits.load(Ordering::Acquire) && !stopped() && !late() {
            let taken = self.world.take(self.shared.len() as u64);
            let rounds = self.shared.iter().zip(0..taken).count();
            if rounds == 0 {
                // Whoever is apart has rounds of his own left.
                self.world.over.store(true, Ordering::Release);
                return self.counted;
            }
            if !self.shared[..rounds].iter().all(|worker| self.counted.begins(worker.world)) {
                break;
            }
            self.world.ended.store(0, Ordering::Relaxed);
            self.world.rounds.store(rounds, Ordering::Release);
            let batch = self.world.batch.fetch_add(1, Ordering::AcqRel) + 1;
            self.shared[..rounds].iter_mut().for_each(|worker| worker.round(batch));
            let mut turns = 0_u32;
            while self.world.ended.load(Ordering::Acquire) + 1 < self.world.threads.load(Ordering::Acquire) {
                if self.world.lost.load(Ordering::Acquire) {
                    return self.counted;
                }
                wait(&mut turns);
            }
            if !self.shared[..rounds].iter_mut().all(|worker| self.counted.count(worker)) {
                break;
            }
            self.go_apart(batch);
        }
        self.world.quits.store(true, Ordering::Release);
        self.counted
    }

    /// Now and then each thread runs all agents on the machine that it has for itself, and nobody waits for anybody.
    fn go_apart(&mut self, batch: u64) {
        let Some(own) = self.own.as_mut().filter(|_| batch.is_multiple_of(APART)) else { return };
        for _ in 0..self.world.take(APART * self.shared.len() as u64) {
            if self.world.quits.load(Ordering::Acquire) {
                return;
            }
            let goes_on = self.counted.begins(own.world) && {
                own.round(1);
                self.counted.count(own)
            };
            if !goes_on {
                return self.world.quits.store(true, Ordering::Release);
            }
        }
    }
}

impl Counted {
    /// What another thread has counted.
    pub(super) fn add(&mut self, other: Self) {
        other.ends.into_iter().for_each(|(end, count)| *self.ends.entry(end).or_default() += count);
        self.rounds += other.rounds;
        self.endless += other.endless;
        self.stalled = self.stalled.take().or(other.stalled);
    }

    /// Puts everything back; false if that cannot be.
    fn begins(&mut self, world: &World<'_>) -> bool {
        let begun = world.begin();
        if let Err(stuck) = &begun {
            self.stalled = Some(vec![("the machine".to_owned(), stuck.to_string())]);
        }
        begun.is_ok()
    }

    /// Counts a round that has ended; false: it was the last one.
    fn count(&mut self, worker: &mut Worker<'_, '_>) -> bool {
        let world = worker.world;
        self.rounds += 1;
        self.stalled = world.stalled.lock().take();
        if let Some((agent, part)) = world.foreign.lock().take() {
            let name = world.lowered.model.agents[agent].name.clone();
            self.stalled = Some(vec![(name, format!("something that the model does not do there: {part}"))]);
        }
        if self.stalled.is_some() {
            return false;
        }
        match worker.end() {
            Some(end) => *self.ends.entry(end).or_default() += 1,
            None => self.endless += 1,
        }
        true
    }
}

impl<'w, 'a> Worker<'w, 'a> {
    fn new(world: &'w World<'a>, number: usize, seed: u64, window: u32, has_own: bool) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { world, number, random, window, is_by_itself: false, order: Vec::new(), has_own }
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

    /// The own agents of a round: a share of them. Where threads have no machines of their own, in one of two rounds all or none, so
    /// that steps of all agents are interleaved also where threads run one after the other.
    fn share(&self, round: u64) -> Vec<usize> {
        let threads = self.world.threads.load(Ordering::Acquire) as u64;
        let together = self.takes_turns(round);
        let turn = round / 2;
        let me = self.number as u64;
        let is_mine = |agent: &usize| match together {
            true => turn % threads == me,
            false => (*agent as u64 + turn) % threads == me,
        };
        (0..self.world.programs.len()).filter(is_mine).collect()
    }

    /// Whether one thread runs all agents of the round.
    fn takes_turns(&self, round: u64) -> bool {
        !self.has_own && round.is_multiple_of(2)
    }

    /// Looks whether all threads are there, so that they begin at the same time if they all run.
    fn meet(&self) {
        let world = self.world;
        world.there.fetch_add(1, Ordering::AcqRel);
        for _ in 0..LOOKS {
            if world.there.load(Ordering::Acquire) >= world.threads.load(Ordering::Acquire) {
                return;
            }
            hint::spin_loop();
        }
    }

    /// Lets the own agents run until the round is over.
    fn round(&mut self, round: u64) {
        let world = self.world;
        let mut mine = self.share(round);
        self.is_by_itself = mine.len() == world.programs.len();
        if !self.takes_turns(round) && world.threads.load(Ordering::Acquire) > 1 {
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
        // How many steps all had taken before this thread looked whether its agents wait, if it has found before that they do:
        // whoever moves asks nobody.
        let mut before = None;
        while !world.is_over.load(Ordering::Acquire) {
            // An agent often goes on where it was: else no two steps of one would come between two of another.
            if next >= mine.len() || self.random.bool() {
                next = self.random.usize(..mine.len().max(1));
            }
            if self.one_moves(&mut mine, next) {
                (waiting, turns, before) = (None, 0, None);
                if mine.is_empty() {
                    world.still[self.number].0.store(NOBODY, Ordering::Release);
                    return;
                }
                if world.steps[self.number].0.load(Ordering::Relaxed) > MOST_STEPS {
                    world.is_over.store(true, Ordering::Release);
                }
                continue;
            }
            let all = world.all_steps();
            if before == Some(all) {
                world.still[self.number].0.store(all, Ordering::Release);
                if world.stand_still(all) {
                    world.is_over.store(true, Ordering::Release);
                    break;
                }
            }
            before = Some(all);
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
        if !self.world.programs[agent].spontaneous && self.world.awaited.fetch_sub(1, Ordering::AcqRel) == 1 {
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
            self.order.sort_by_key(|index| (place.questions[*index].kind == Kind::Hardware) != walks_first);
        }
    }

    /// Asks the machine; the way on, or none if the agent waits.
    fn ask<'q>(&self, agent: usize, question: &'q Question<'a>) -> Option<&'q Way<'a>> {
        let world = self.world;
        let among = !self.is_by_itself;
        let _alone = (among && question.alone).then(|| world.alone.write());
        let _together = (among && !question.alone).then(|| world.alone.read());
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
                let name = &self.world.lowered.model.agents[agent].name;
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

/// Waits a little, and lets others run if that takes longer.
fn wait(turns: &mut u32) {
    *turns += 1;
    if *turns < 200 { hint::spin_loop() } else { thread::yield_now() }
}
