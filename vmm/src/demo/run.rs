//! One order after the other, each on a stage of its own.
//!
//! Invariant: a verdict is what was seen. A right order is watched for its whole time; a wrong one until it has shown
//! itself, but not before everybody has had the time to be seen coherent or stale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steps::operation::Verdict;
use steps::operation::cow;

use super::operator::Operator;
use super::options::{DemoOptions, Operation, Trial, WatchedFor};
use super::reading::{Reading, read};
use super::recorder::{Recorder, Violation};
use super::scenario::OrderScenario;
use super::stage::{PAGES, Stage, StageError};
use super::tally::Counts;
use super::window::{Widening, Windows};

/// How long a wrong order is watched at least.
const LEAST: Duration = Duration::from_millis(250);
/// How long a wrong order may take to show itself, in times of a right one, and at least.
const PATIENCE: u32 = 3;
const LEAST_PATIENCE: Duration = Duration::from_secs(15);
/// Operations that a wrong order is given besides, where a machine is so slow that the patience is over before: each has
/// two windows of some ten in which it can be met. After this many times the patience nobody waits any longer.
const LEAST_OPERATIONS: u64 = 5000;
const SLOWEST: u32 = 8;

/// Runs of a trial at most, until what led to its first violation can be told.
const TRIES: usize = 5;

/// What was seen of one order.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// What was tried.
    pub trial: Trial,
    /// How wide the windows were.
    pub widening: Widening,
    /// COW breaks, or merges.
    pub operations: u64,
    /// What CPUs did and met.
    pub cpu: Counts,
    /// What vCPUs did and met.
    pub vcpu: Counts,
    /// What devices did and met.
    pub device: Counts,
    /// Published values that no mapped frame held.
    pub lost_writes: u64,
    /// Frames that were written after they were freed, as their poison tells.
    pub freed_writes: u64,
    /// How long it was watched.
    pub time: Duration,
    /// The first violation.
    pub first: Option<Violation>,
    /// What that is to the order's scenario.
    pub reading: Option<Reading>,
}

/// Runs the orders of its options.
#[derive(Debug)]
pub struct Demonstration {
    options: DemoOptions,
}

impl RunReport {
    /// Loads that were stale.
    #[must_use]
    pub fn stale(&self) -> u64 {
        [self.cpu, self.vcpu, self.device].iter().map(|user| user.stale).fold(0, u64::saturating_add)
    }

    /// Uses of freed frames.
    #[must_use]
    pub fn freed_uses(&self) -> u64 {
        let users = [self.cpu, self.vcpu, self.device];
        users.iter().map(|user| user.freed).fold(self.freed_writes, u64::saturating_add)
    }

    /// What was seen.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let clean = [self.stale(), self.lost_writes, self.freed_uses()] == [0; 3];
        if clean { Verdict::Coherent } else { Verdict::Violated }
    }

    /// The order's scenario as a file's text, with the first violation as its trace if that is a counterexample of it.
    #[must_use]
    pub fn scenario(&self) -> String {
        match &self.reading {
            Some(Reading::Counterexample(found)) => found.text.clone(),
            Some(Reading::Divergence(_) | Reading::BoundHit(_) | Reading::TooLong) | None => {
                OrderScenario::new(&self.trial).text()
            }
        }
    }

    /// Whether it is not known if the order's scenario can do what was met: the search was over before, or the recorder has
    /// the last events only.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        match self.reading {
            Some(Reading::BoundHit(_) | Reading::TooLong) => true,
            None | Some(Reading::Counterexample(_) | Reading::Divergence(_)) => false,
        }
    }

    /// Whether it is what the order is held to do, and nothing that the order's scenario is known to exclude.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.verdict() == self.trial.order.expected && !self.diverges()
    }

    /// Whether the live machine has done what the order's scenario excludes. The control must: its order is the right
    /// one, and its writers say that they have stored before they have, which no run of the scenario explains.
    #[must_use]
    pub fn diverges(&self) -> bool {
        match (self.trial.operation, &self.reading) {
            (_, None | Some(Reading::TooLong | Reading::BoundHit(_))) => false,
            (Operation::Cow | Operation::Ksm, Some(Reading::Counterexample(_))) => false,
            (Operation::Cow | Operation::Ksm, Some(Reading::Divergence(_))) => true,
            (Operation::Control, Some(Reading::Counterexample(_))) => true,
            (Operation::Control, Some(Reading::Divergence(_))) => false,
        }
    }
}

impl Demonstration {
    /// A demonstration of `options`.
    #[must_use]
    pub fn new(options: DemoOptions) -> Self {
        Self { options }
    }

    /// What it was told.
    #[must_use]
    pub const fn options(&self) -> &DemoOptions {
        &self.options
    }

    /// What will be tried, in turn.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.options.trials
    }

    /// Tries one order; again, some times, if what led to its first violation was too long ago to be told: a thread stood
    /// still meanwhile.
    ///
    /// # Errors
    /// [`StageError`] if it cannot be set up or somebody is in trouble.
    pub fn run(&self, trial: &Trial) -> Result<RunReport, StageError> {
        for _ in 1..TRIES {
            let report = self.run_once(trial)?;
            if !matches!(report.reading, Some(Reading::TooLong)) {
                return Ok(report);
            }
        }
        self.run_once(trial)
    }

    fn run_once(&self, trial: &Trial) -> Result<RunReport, StageError> {
        let windows = Windows::new(self.options.widening, self.options.seed);
        let recorder = Arc::new(Recorder::new(PAGES, windows));
        let break_cow = match trial.operation {
            Operation::Cow | Operation::Control => trial.order.program.clone(),
            Operation::Ksm => cow::wp_page_copy(),
        };
        let mut stage = Stage::set(self.options.cast, break_cow, &recorder)?;
        if trial.operation == Operation::Control {
            stage.board.publish_early();
        }
        let begun = Instant::now();
        let merged = self.operate(trial, &stage, &recorder, begun)?;
        stage.strike()?;
        let [cpu, vcpu, device] = stage.counts();
        let first = recorder.first_violation();
        Ok(RunReport {
            trial: trial.clone(),
            widening: self.options.widening,
            operations: merged.unwrap_or_else(|| recorder.cow_breaks()),
            cpu,
            vcpu,
            device,
            lost_writes: recorder.lost_writes(),
            freed_writes: stage.frames.audit_freed(),
            time: begun.elapsed(),
            reading: first.as_ref().map(|violation| read(trial, violation, self.options.most_places)),
            first,
        })
    }

    /// Round after round until enough was seen; returns the merges of KSM.
    fn operate(
        &self,
        trial: &Trial,
        stage: &Stage,
        recorder: &Recorder,
        begun: Instant,
    ) -> Result<Option<u64>, StageError> {
        let mut operator = Operator::new(stage, recorder.windows(), self.options.seed)?;
        let mut merged = None;

        while !self.has_seen_enough(
            trial,
            recorder,
            merged.unwrap_or_else(|| recorder.cow_breaks()),
            begun.elapsed(),
        ) {
            stage.check()?;
            match trial.operation {
                Operation::Cow | Operation::Control => operator.cow_round(&trial.order.program)?,
                Operation::Ksm => {
                    *merged.get_or_insert(0) += operator.ksm_round(&trial.order.program)?;
                }
            }
        }
        Ok(merged)
    }

    fn has_seen_enough(
        &self,
        trial: &Trial,
        recorder: &Recorder,
        operations: u64,
        elapsed: Duration,
    ) -> bool {
        match (trial.order.expected, self.options.watching) {
            (Verdict::Coherent, _) | (_, WatchedFor::Alike) => elapsed >= self.options.time,
            (Verdict::Violated, WatchedFor::UntilShown) => {
                if recorder.has_violation() {
                    elapsed >= LEAST
                } else {
                    !may_show_itself_yet(self.options.time, operations, elapsed)
                }
            }
        }
    }
}

/// Whether a wrong order that has not shown itself is watched on; a right one is watched for `time`.
fn may_show_itself_yet(time: Duration, operations: u64, elapsed: Duration) -> bool {
    let patience = (time * PATIENCE).max(LEAST_PATIENCE);
    elapsed < patience || (operations < LEAST_OPERATIONS && elapsed < patience * SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_has_more_patience_and_none_waits_for_ever() {
        let waits = |operations, seconds| {
            may_show_itself_yet(Duration::from_millis(500), operations, Duration::from_secs(seconds))
        };
        assert_eq!([waits(0, 14), waits(100_000, 14)], [true; 2]);
        assert_eq!([waits(552, 16), waits(LEAST_OPERATIONS, 16)], [true, false]);
        assert_eq!([waits(552, 119), waits(552, 120)], [true, false]);
    }
}
