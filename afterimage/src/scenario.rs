//! Scenarios, from text or built in Rust, and every interleaving of them.
//!
//! Invariant: each exploration has what it needs for itself, so any number may run at once. A limit that was hit is
//! [`Answered::BoundHit`], never a proof. Source: docs/language.md.
//!
//! ```
//! use afterimage::scenario::{Answered, Limits, Scenario, keep_going};
//!
//! let text = "
//! scenario late-notification
//! page A
//! frame old = 0, new = 0
//! map A -> old ro
//! cpu CPU
//! device DEV
//! agent CPU
//!   pte_clear A
//!   flush_tlb A
//!   set_pte A -> new rw
//!   store A = 1
//!   notify A
//! agent DEV
//!   repeat 0..2: dma_read A
//! never DEV reads A == 0 after CPU store A
//! expect violation
//! ";
//! let [scenario] = &Scenario::read("late.scn", text)?[..] else { panic!("it is one") };
//! let finding = scenario.explore(Limits::default(), keep_going)?;
//! assert_eq!(finding.answered, Answered::Violated);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ordering::answer::Answer;
use ordering::counterexample::Table;
use ordering::engine::{Options, Outcome, Stop, Verdict, Visited, compile_until, explore};
use ordering::language::syntax;
use ordering::lowering::{Lowered, load, too_large};

pub use ordering::answer::Answered;
pub use ordering::draft::{Bit, Draft, Entry, Event, Program, Rejected, Step};
pub use ordering::language::syntax::UserKind;

/// How often progress is told.
const EVERY: Duration = Duration::from_millis(50);

/// A scenario, ready to be explored.
#[derive(Clone, Debug)]
pub struct Scenario {
    file: String,
    text: String,
    syntax: syntax::Scenario,
    lowered: Lowered,
}

/// How far a search may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// States at most.
    pub states: usize,
    /// Bytes at most, for everything that grows with the states.
    pub memory_bytes: usize,
}

/// What a search has found so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// States.
    pub states: usize,
}

/// What is true of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// In a word.
    pub answered: Answered,
    /// What is not as the scenario expects, a sentence each; nothing if all is.
    pub faults: Vec<String>,
    /// States that were found.
    pub states: usize,
    /// The shortest run that breaks a property, as a table of rows with the reasons below it.
    pub counterexample: Option<String>,
}

/// Goes on, whatever the progress: for whoever does not want to know it.
pub fn keep_going(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Default for Limits {
    /// 2 GiB.
    fn default() -> Self {
        let Options { max_states, memory_bytes, .. } = Options::default();
        Self { states: max_states, memory_bytes }
    }
}

impl Scenario {
    /// All scenarios of a text, which errors call `file`.
    ///
    /// # Errors
    /// [`Rejected`] with everything that is wrong with any of them.
    pub fn read(file: &str, text: &str) -> Result<Vec<Self>, Rejected> {
        let one = |(syntax, lowered)| Self { file: file.to_owned(), text: text.to_owned(), syntax, lowered };
        match load(text) {
            Ok(found) => Ok(found.into_iter().map(one).collect()),
            Err(diagnostics) => Err(Rejected { name: file.to_owned(), diagnostics, text: text.to_owned() }),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lowered.name
    }

    /// The text that it was read from, or that says the same as its draft.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Explores every interleaving on a thread of its own, and tells `progress` of it on this one, now and then, which may end
    /// the search: then the answer is [`Answered::BoundHit`].
    ///
    /// # Errors
    /// [`Rejected`] if its states are too large to be packed.
    ///
    /// # Panics
    /// If the host has no thread left.
    pub fn explore(
        &self,
        limits: Limits,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Finding, Rejected> {
        let (visited, stop) = (Visited::new(), Stop::new());
        thread::scope(|scope| {
            let (done, over) = sync_channel::<()>(0);
            let search = scope.spawn(|| {
                let _until_here = done;
                self.search(limits, &visited, &stop)
            });
            while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(EVERY) {
                if progress(Progress { states: visited.states() }).is_break() {
                    stop.set(true);
                }
            }
            search.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn search(&self, limits: Limits, visited: &Visited, stop: &Stop) -> Result<Finding, Rejected> {
        let options = Options {
            max_states: limits.states,
            memory_bytes: limits.memory_bytes,
            watched: Some(visited),
            stop: Some(stop),
            ..Options::default()
        };
        match compile_until(&self.lowered.model, Some(stop)) {
            Ok(packed) => Ok(self.finding(&explore(&packed, &options))),
            Err(error) => Err(Rejected {
                name: self.file.clone(),
                diagnostics: vec![too_large(&self.syntax, &error)],
                text: self.text.clone(),
            }),
        }
    }

    fn finding(&self, outcome: &Outcome) -> Finding {
        let answer = Answer::new(&self.lowered, outcome);
        let counterexample = match &outcome.verdict {
            Verdict::Violated { property, trace, .. } => {
                Some(Table::new(&self.lowered, trace, Some(*property)).to_string())
            }
            Verdict::Proved | Verdict::BoundHit { .. } => None,
        };
        let states = outcome.statistics.states;
        Finding { answered: answer.answered, faults: answer.faults, states, counterexample }
    }
}

impl TryFrom<Draft> for Scenario {
    type Error = Rejected;

    /// The scenario that was drafted.
    fn try_from(draft: Draft) -> Result<Self, Rejected> {
        let drafted = draft.finish()?;
        let file = drafted.lowered.name.clone();
        Ok(Self { file, text: drafted.text, syntax: drafted.scenario, lowered: drafted.lowered })
    }
}
