//! A scenario whose agents run by themselves on the machine, many times: what they end with, beside what the model allows.
//!
//! Invariant: nobody says who comes next: threads run at the same time, each with its share of the agents, and what each
//! agent does follows from what the machine answers. An end that the model does not have is a divergence; so is a round
//! that stands still where the model has no such end. Source: Alglave, Maranget, Sarkar and Sewell, Litmus, 2011.

mod count;
mod program;
mod round;
mod team;
mod world;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use ordering::engine::Options;
use ordering::language::Diagnostic;
use ordering::language::syntax::{Question, Scenario};
use ordering::lowering::{Lowered, lower_observed};
use ordering::model::{PropertyId, Var};
use ordering::outcomes::{Outcome, Outcomes, Seen, outcomes};

use self::count::Counted;
use self::program::registers;
use self::team::{Member, Team, is_late};
use self::world::{End, Setting, Values, World};
use crate::machine::Machine;
use crate::stuck::broken;

/// Machines that threads share, at most: so many rounds one thread can be ahead of another.
const SHARED: u64 = 16;

/// A scenario that is to run by itself, and what the model says of it.
#[derive(Debug)]
pub struct Free {
    lowered: Lowered,
    /// All ends, whatever they break.
    ends: Outcomes,
    /// The ends of runs that break nothing.
    fine: BTreeSet<Seen>,
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Rounds.
    pub rounds: u64,
    /// Time for all of them.
    pub time: Option<Duration>,
    /// Where randomness begins.
    pub seed: u64,
    /// Threads, from 1.
    pub threads: usize,
    /// Turns of a loop at most by which a step is delayed; 0: none is.
    pub window: u32,
    /// Set when whoever asked has seen enough.
    pub stop: Option<&'a AtomicBool>,
}

/// One end, and how often it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bar {
    /// The end.
    pub outcome: Outcome,
    /// How often.
    pub count: u64,
    /// Whether runs that break nothing end so.
    pub is_fine: bool,
    /// Whether the model has it.
    pub is_allowed: bool,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The ends, the most frequent first.
    pub bars: Vec<Bar>,
    /// Rounds that were run.
    pub rounds: u64,
    /// Those of them in which several threads had agents at the same time.
    pub together: u64,
    /// Rounds that were cut off, as they had so many steps.
    pub endless: u64,
    /// Whether the model has runs that go on for ever.
    pub may_go_on: bool,
    /// Time that they took.
    pub time: Duration,
    /// The round that made no progress, if there was one: who waits for what.
    pub stalled: Option<Vec<(String, String)>>,
}

impl Free {
    /// Asks the model what `scenario`, which was read from `source`, can end with.
    ///
    /// # Errors
    /// What is wrong with the scenario.
    pub fn new(scenario: &Scenario, source: &str, options: &Options) -> Result<Self, Vec<Diagnostic>> {
        let mut asked = scenario.clone();
        (asked.expect, asked.unreached, asked.trace) = (None, Vec::new(), Vec::new());
        let with = outcomes(&asked, source, options)?;
        // A run that breaks one of these goes on here: what it then ends with is looked at.
        asked.properties.retain(|property| match property.node {
            Question::Never { .. } | Question::Always(_) => false,
            Question::Finally(_) | Question::BuiltIn(_) => true,
        });
        let ends = outcomes(&asked, source, options)?;
        let fine = with.found.iter().filter(|outcome| outcome.is_allowed());
        let fine = fine.filter_map(|outcome| outcome.seen().cloned()).collect();
        Ok(Self { lowered: lower_observed(&asked, source)?, ends, fine })
    }

    /// What the model says; a list that a limit cut short forbids nothing.
    #[must_use]
    pub fn ends(&self) -> &Outcomes {
        &self.ends
    }

    /// The scenario as it runs.
    #[must_use]
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// Runs it on `machine`.
    #[must_use]
    pub fn run(&self, machine: &Machine, plan: &Plan<'_>) -> Histogram {
        let setting = Setting::new(&self.lowered, machine, &registers(&self.lowered));
        let threads = plan.threads.clamp(1, setting.programs.len().max(1));
        let count = if threads > 1 { threads } else { 0 };
        // As many worlds as are run one after the other before threads wait for each other, and one for each thread alone.
        let more = plan.rounds.clamp(1, SHARED) as usize - 1;
        let machines: Vec<Machine> = (0..count + more).map_while(|_| machine.another()).collect();
        let (own, others) = machines.split_at(if machines.len() < count { 0 } else { count });
        let own: Vec<World<'_>> = own.iter().map(|machine| World::new(&setting, machine, 1)).collect();
        let shared = [machine].into_iter().chain(others);
        let shared: Vec<World<'_>> = shared.map(|machine| World::new(&setting, machine, threads)).collect();
        let team = Team::new(plan.rounds);
        let begun = Instant::now();
        let counted = Self::rounds(&team, &shared, &own, plan, threads, begun);
        let mut bars: Vec<Bar> = counted.ends.iter().map(|(end, count)| self.bar(end, *count)).collect();
        bars.sort_by(|one, other| other.count.cmp(&one.count).then(one.outcome.cmp(&other.outcome)));
        let Counted { rounds, together, endless, stalled, .. } = counted;
        let is_endless = |outcome: &Outcome| matches!(outcome, Outcome::Endless { .. });
        let may_go_on = self.ends.found.iter().any(is_endless);
        Histogram { bars, rounds, together, endless, may_go_on, time: begun.elapsed(), stalled }
    }

    /// Lets threads run all rounds; this one is one of them.
    fn rounds(
        team: &Team,
        shared: &[World<'_>],
        own: &[World<'_>],
        plan: &Plan<'_>,
        threads: usize,
        begun: Instant,
    ) -> Counted {
        let member = |number: usize| Member::new(team, shared, own.get(number), number, plan);
        thread::scope(|scope| {
            let mut others = Vec::new();
            for number in 1..threads {
                let member = member(number);
                let builder = thread::Builder::new().name(format!("race {number}"));
                match builder.spawn_scoped(scope, move || member.run(|| false)) {
                    Ok(other) => others.push(other),
                    // A host without another thread runs the agents on those that there are.
                    Err(_) => break,
                }
            }
            team.begin(1 + others.len());
            let mut counted = member(0).run(|| is_late(plan, begun));
            for other in others {
                match other.join() {
                    Ok(theirs) => counted.add(theirs),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            counted
        })
    }

    fn bar(&self, end: &End, count: u64) -> Bar {
        let outcome = self.outcome(end);
        let is_allowed = !self.ends.is_complete() || self.ends.found.contains(&outcome);
        let is_fine = outcome.seen().is_some_and(|seen| self.fine.contains(seen));
        Bar { outcome, count, is_fine, is_allowed }
    }

    /// An end in the words of the model; one that the model does not have breaks nothing that it knows of.
    fn outcome(&self, end: &End) -> Outcome {
        let (values, stuck) = match end {
            End::Ended(values) => (values, false),
            End::Stuck(values) => (values, true),
            End::Breaks(property) => {
                let text = broken(*property);
                let known = (0..).zip(&self.ends.properties).find(|(_, known)| known.text == text);
                let (known, _) = known.expect("the machine asks for no property that the scenario does not");
                return Outcome::Broken(PropertyId(known));
            }
        };
        let seen = self.seen(values);
        let same = |outcome: &&Outcome| {
            outcome.seen() == Some(&seen) && matches!(outcome, Outcome::Stuck { .. }) == stuck
        };
        if let Some(known) = self.ends.found.iter().find(same) {
            return known.clone();
        }
        let broken = Vec::new();
        if stuck { Outcome::Stuck { seen, broken } } else { Outcome::Ended { seen, broken } }
    }

    fn seen(&self, values: &Values) -> Seen {
        let model = &self.lowered.model;
        let entries = self.lowered.observed.iter().flat_map(|observed| &observed.entries);
        let shown = |(var, value): (&Var, &Option<u32>)| {
            let variable = &model.variables[usize::from(var.0)];
            value.map_or_else(|| "?".to_owned(), |value| variable.values[value as usize].clone())
        };
        Seen {
            values: values.returned.clone(),
            variables: values.variables.clone(),
            entries: entries.zip(&values.entries).map(shown).collect(),
        }
    }
}

impl Histogram {
    /// Whether the model has all that was seen, some end was seen if there was a round and not all runs may go on for ever,
    /// and none stood still where it should not.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let ended = self.rounds == 0 || !self.bars.is_empty() || self.may_go_on && self.endless > 0;
        ended && self.stalled.is_none() && self.bars.iter().all(|bar| bar.is_allowed)
    }
}

#[cfg(test)]
mod tests;
