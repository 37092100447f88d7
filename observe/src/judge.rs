//! Which scenario an order is of: a run of it that has the steps that were seen, with unseen ones between.
//!
//! Invariant: an order is called right only if a scenario that is proved has such a run, and wrong only if scenarios that
//! are refuted have one and no proved one has. What the trace cannot tell apart is named. Verdicts are explored now.

use ordering::answer::{Answer, Answered};
use ordering::catalogue::Entry;
use ordering::counterexample::Table;
use ordering::engine::{Options, Verdict, compile, explore};
use ordering::glimpse::{Fit, Glimpse, Glimpses, MOST_STATES, Run, fit};
use ordering::language::syntax::{Expect, Scenario};
use ordering::lowering::Lowered;
use steps::table::Verb;

use crate::collect::{Count, Found};
use crate::order::{Open, Order};
use crate::propose::{Proposal, propose};
use crate::vocabulary::{Operation, Vocabulary};

/// States that a scenario may have.
const MOST_EXPLORED: usize = 2_000_000;

/// What was explored.
#[derive(Clone, Debug)]
pub struct Explored {
    /// The verdict.
    pub answered: Answered,
    /// The counterexample of a violated one.
    pub table: Option<Table>,
}

/// A scenario that has the order.
#[derive(Clone, Debug)]
pub struct Match {
    /// Its name.
    pub scenario: String,
    /// Its file, below `tests/scenarios`.
    pub file: &'static str,
    /// What it says of itself.
    pub about: Option<String>,
    /// The run.
    pub run: Run,
    /// The steps of the run, each of them the operator's: what it is, and which row was seen.
    pub steps: Vec<(String, Option<usize>)>,
}

/// What is said of an order.
#[derive(Clone, Debug)]
pub enum Ruling {
    /// It is that of a scenario that is proved.
    Right {
        /// The one that says most of it.
        best: Box<Match>,
        /// Its verdict.
        explored: Explored,
        /// Other proved ones.
        others: Vec<String>,
        /// Refuted ones that the trace does not tell from it.
        untold: Vec<String>,
        /// Scenarios of which it is not known.
        unknown: Vec<String>,
    },
    /// It is that of scenarios that are refuted, and of no other.
    Wrong {
        /// The one that says most of it.
        best: Box<Match>,
        /// Its verdict.
        explored: Explored,
        /// Others.
        others: Vec<String>,
        /// Scenarios of which it is not known.
        unknown: Vec<String>,
    },
    /// No scenario has it: here is one.
    New {
        /// Its text.
        proposal: Proposal,
        /// Its verdict, or why it has none.
        explored: Result<Explored, String>,
        /// Scenarios that have a part of it and say nothing of the rest, with what they expect.
        partly: Vec<String>,
        /// Scenarios of which it is not known.
        unknown: Vec<String>,
    },
    /// The trace does not show enough of it.
    Unjudged {
        /// Why.
        why: &'static str,
    },
}

/// An order with what is said of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The order.
    pub order: Order,
    /// How often it was seen, and where.
    pub count: Count,
    /// What the operation is called.
    pub title: String,
    /// What is said.
    pub ruling: Ruling,
}

/// Judges all orders that were found.
#[must_use]
pub fn judge(found: &Found, vocabulary: &Vocabulary, catalogue: &[Entry]) -> Vec<Judged> {
    let mut all: Vec<Judged> = (1..)
        .zip(&found.orders)
        .map(|(number, (order, count))| {
            let operation = operation(order, vocabulary);
            let title = operation.map_or_else(|| "change of a mapping".to_owned(), |one| one.title.clone());
            let ruling = ruling(order, number, operation, found, catalogue);
            Judged { order: order.clone(), count: count.clone(), title, ruling }
        })
        .collect();
    all.sort_by_key(|judged| judged.count.example.line);
    all
}

/// What functions say an operation is outweighs what somebody has called it, unless they only say its shape.
fn operation<'v>(order: &Order, vocabulary: &'v Vocabulary) -> Option<&'v Operation> {
    let by = |id: &Option<String>| id.as_deref().and_then(|id| vocabulary.operation(id));
    let (known, called) = (by(&order.operation), by(&order.called));
    match (known, called) {
        (Some(known), Some(called)) if known.id == "zap" && called.shape == known.shape => Some(called),
        (known, called) => known.or(called),
    }
}

fn ruling(
    order: &Order,
    number: usize,
    operation: Option<&Operation>,
    found: &Found,
    catalogue: &[Entry],
) -> Ruling {
    if let Some(why) = unjudged(order.open) {
        return Ruling::Unjudged { why };
    }
    let glimpsed = glimpsed(order, found);
    let is_of = |entry: &Entry| {
        operation
            .is_some_and(|one| one.scenarios.iter().any(|begin| entry.file.path.starts_with(begin.as_str())))
    };
    let (own, others): (Vec<&Entry>, Vec<&Entry>) = catalogue.iter().partition(|entry| is_of(entry));
    let (mut unknown, mut partly) = (Vec::new(), Vec::new());
    // What is known by functions alone is held against scenarios of that operation: those of another may set other entries.
    let others = if order.operation.is_some() { Vec::new() } else { others };
    for entries in [own, others] {
        let fitting = fitting(&entries, &glimpsed, &mut unknown);
        let is_whole = fitting.iter().all(|(_, run)| run.silent.is_empty());
        // A part of an order is no proof of all of it; but a part that is wrong is wrong.
        if !fitting.is_empty() && (is_whole || !fitting.iter().any(|(entry, _)| is_proved(entry))) {
            return decided(fitting, unknown);
        }
        if !fitting.is_empty() {
            partly = fitting.iter().map(|(entry, _)| partly_told(entry)).collect();
            break;
        }
    }
    let proposal = propose(order, number, operation, found);
    let explored = proposal.load().and_then(|(scenario, lowered)| explored(&scenario, &lowered));
    Ruling::New { proposal, explored, partly, unknown }
}

/// Why an order is not judged.
fn unjudged(open: Open) -> Option<&'static str> {
    if open.unsure {
        return Some("it has writes of entries that the vocabulary does not know, or too many steps");
    }
    if open.torn {
        return Some("the trace leaves something out before it, which may be part of it");
    }
    if open.unflushed {
        return Some("the trace ends before what it has changed is flushed");
    }
    open.range.then_some("the trace ends inside of its range")
}

/// What was seen, as it is searched for.
#[must_use]
pub fn glimpsed(order: &Order, found: &Found) -> Glimpses {
    let glimpse = |row: &crate::order::Seen| Glimpse { verb: row.verb, page: row.page };
    let glimpses = order.operator().map(glimpse).collect();
    Glimpses { glimpses, shown: found.shown.clone(), watched: order.watched.clone() }
}

/// The scenarios with such a run; of those the ones that are silent about least.
fn fitting<'e>(
    entries: &[&'e Entry],
    glimpsed: &Glimpses,
    unknown: &mut Vec<String>,
) -> Vec<(&'e Entry, Run)> {
    let mut found: Vec<(&Entry, Run)> = Vec::new();
    for entry in entries {
        match fit(&entry.lowered, glimpsed, MOST_STATES) {
            Fit::Run(run) => found.push((entry, *run)),
            Fit::None => {}
            Fit::BoundHit => unknown.push(entry.lowered.name.clone()),
        }
    }
    let least = found.iter().map(|(_, run)| run.silent.len()).min();
    found.retain(|(_, run)| Some(run.silent.len()) == least);
    // The one with the fewest steps that nobody saw comes first, and those that were recorded of a kernel.
    found.sort_by_key(|(entry, run)| {
        let recorded = entry.file.path.starts_with("versions/");
        (hidden(&entry.lowered, run), !recorded, entry.lowered.name.clone())
    });
    found
}

/// How many of the steps that traces are about nobody saw.
fn hidden(lowered: &Lowered, run: &Run) -> usize {
    let told = |text: &str| {
        let word = text.split(' ').next().and_then(steps::table::find);
        word.is_some_and(|row| is_told(row.verb))
    };
    let unseen = run
        .trace
        .steps
        .iter()
        .zip(&run.seen)
        .filter(|(step, seen)| step.agent == run.agent && seen.is_none());
    unseen.filter(|(step, _)| told(text(lowered, step))).count()
}

fn is_told(verb: Verb) -> bool {
    let verb = ordering::glimpse::whatever_level(verb);
    crate::order::tells_of_a_change(verb)
        || matches!(verb, Verb::NotifyStart | Verb::NotifyEnd | Verb::Notify)
}

fn text<'l>(lowered: &'l Lowered, step: &ordering::engine::Step) -> &'l str {
    let program = &lowered.model.agents[step.agent].program;
    &program[usize::from(step.pc.0)].alternatives[step.alternative].text
}

fn is_proved(entry: &Entry) -> bool {
    matches!(entry.lowered.expect, None | Some(Expect::Proved))
}

fn partly_told(entry: &Entry) -> String {
    let verdict = if is_proved(entry) { Answered::Proved } else { Answered::Violated };
    format!("{} ({verdict})", entry.lowered.name)
}

/// Says which of the scenarios it is.
fn decided(fitting: Vec<(&Entry, Run)>, unknown: Vec<String>) -> Ruling {
    let (proved, refuted): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|(entry, _)| is_proved(entry));
    let names =
        |all: &[(&Entry, Run)]| all.iter().map(|(entry, _)| entry.lowered.name.clone()).collect::<Vec<_>>();
    let (right, chosen) = if proved.is_empty() { (false, &refuted) } else { (true, &proved) };
    let (entry, run) = &chosen[0];
    let best = Box::new(matched(entry, run));
    let explored = match explored(&entry.scenario, &entry.lowered) {
        Ok(explored) => explored,
        Err(_too_large) => Explored { answered: Answered::BoundHit, table: None },
    };
    let others = names(&chosen[1..]);
    if right {
        Ruling::Right { best, explored, others, untold: names(&refuted), unknown }
    } else {
        Ruling::Wrong { best, explored, others, unknown }
    }
}

fn matched(entry: &Entry, run: &Run) -> Match {
    let own = run.trace.steps.iter().zip(&run.seen).filter(|(step, _)| step.agent == run.agent);
    let steps = own.map(|(step, seen)| (text(&entry.lowered, step).to_owned(), *seen));
    // What the operator's own accesses do is none of the operation.
    let steps =
        steps.filter(|(text, _)| !["walk ", "load ", "store "].iter().any(|word| text.starts_with(word)));
    let steps = steps.collect();
    Match {
        scenario: entry.lowered.name.clone(),
        file: entry.file.path,
        about: entry.scenario.about.clone(),
        run: run.clone(),
        steps,
    }
}

/// Explores a scenario.
fn explored(scenario: &Scenario, lowered: &Lowered) -> Result<Explored, String> {
    let packed =
        compile(&lowered.model).map_err(|error| ordering::lowering::too_large(scenario, &error).message)?;
    let options = Options { max_states: MOST_EXPLORED, ..Options::default() };
    let outcome = explore(&packed, &options);
    let answered = Answer::new(lowered, &outcome).answered;
    let table = match &outcome.verdict {
        Verdict::Violated { property, trace, .. } => Some(Table::new(lowered, trace, Some(*property))),
        Verdict::Proved | Verdict::BoundHit { .. } => None,
    };
    Ok(Explored { answered, table })
}

/// What an order comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A scenario with it is proved.
    Proved,
    /// Scenarios with it are refuted.
    Refuted,
    /// Neither.
    Unknown,
}

impl Ruling {
    /// What it comes to, by what was explored now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let explored = match self {
            Self::Right { explored, .. } | Self::Wrong { explored, .. } => explored,
            Self::New { explored: Ok(explored), .. } => explored,
            Self::New { explored: Err(_), .. } | Self::Unjudged { .. } => return Standing::Unknown,
        };
        match explored.answered {
            Answered::Proved => Standing::Proved,
            Answered::Violated => Standing::Refuted,
            Answered::Vacuous | Answered::BoundHit => Standing::Unknown,
        }
    }

    /// Whether it says that something is wrong.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.standing() == Standing::Refuted
    }
}
