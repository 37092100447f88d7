//! Which scenario an order is of: a run of it that has the steps that were seen, with unseen ones between.
//!
//! Invariant: an order is called right only if a scenario that is proved has such a run, and wrong only if scenarios that
//! are refuted have one and no proved one has. A proof counts only of a scenario in which everybody is who may remember
//! the entry. What the trace cannot tell apart is named. Verdicts are explored now.

use ordering::answer::{Answer, Answered};
use ordering::catalogue::Entry;
use ordering::counterexample::Table;
use ordering::engine::{Options, Verdict, compile, explore};
use ordering::glimpse::{Fit, Glimpse, Glimpses, MOST_STATES, Run, fit};
use ordering::language::syntax::{Expect, Scenario, UserKind};
use ordering::lowering::Lowered;
use steps::table::Verb;

use crate::collect::{Count, Found};
use crate::order::{Open, Order, Seen, changes};
use crate::propose::{Proposal, beyond, propose};
use crate::vocabulary::{Operation, Shape, Vocabulary};

/// States that a scenario may have.
const MOST_EXPLORED: usize = 2_000_000;

/// Why a scenario that is proved says nothing of a missing flush.
const LEFT: &str = "an entry is changed and not flushed, and no user of the scenario would meet what it was";

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
        /// Nobody would see if it were not flushed.
        flush_unseen: bool,
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
        /// Nobody would see if it were not flushed.
        flush_unseen: bool,
        /// Scenarios that have a part of it and say nothing of the rest, with what they expect.
        partly: Vec<String>,
        /// Scenarios of which it is not known.
        unknown: Vec<String>,
    },
    /// The trace does not show enough of it, or the search was over before it knew.
    Unjudged {
        /// Why.
        why: &'static str,
        /// Scenarios of which it is not known.
        unknown: Vec<String>,
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

/// What functions say an operation is outweighs what somebody has called it, unless they only say its shape. What the
/// rows cannot be it is not, whatever it is called.
fn operation<'v>(order: &Order, vocabulary: &'v Vocabulary) -> Option<&'v Operation> {
    let by = |id: &Option<String>| id.as_deref().and_then(|id| vocabulary.operation(id));
    let called = by(&order.called).filter(|called| can_be(order, called.shape));
    match (by(&order.operation), called) {
        (Some(known), Some(called)) if known.id == "zap" && called.shape == known.shape => Some(called),
        (known, called) => known.or(called),
    }
}

/// Whether the writes that were seen are such as an operation of that shape does.
fn can_be(order: &Order, shape: Shape) -> bool {
    let has = |verb: Verb| order.operator().any(|row| row.verb == verb);
    match shape {
        Shape::Replace | Shape::Merge | Shape::Move => !has(Verb::PteModify),
        Shape::Zap => !has(Verb::PteModify) && !has(Verb::SetPte),
        // Entries are cleared and set again with fewer rights.
        Shape::Protect => !has(Verb::PteClear) || has(Verb::SetPte),
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
        return Ruling::Unjudged { why, unknown: Vec::new() };
    }
    // A flush alone ends what a range before it has begun, as dup_mmap() does behind the ranges of all its mappings.
    let begins = |row: &Seen| row.verb == Verb::NotifyStart || changes(row.verb);
    if found.shown.contains(&Verb::NotifyStart) && !order.operator().any(begins) {
        let why = "neither its range nor a change of an entry is among its steps: they lie before it";
        return Ruling::Unjudged { why, unknown: Vec::new() };
    }
    let proposal = propose(order, number, operation, found);
    let load = || match beyond(order, operation, found) {
        Some(why) => Err(why.to_owned()),
        None => proposal.load(),
    };
    let explored = load().and_then(|(scenario, lowered)| explored(&scenario, &lowered));
    let leaves = order.unflushed().0 && found.shown.contains(&Verb::FlushTlb);
    let explored = explored.and_then(|found| match found.answered {
        Answered::Proved | Answered::Vacuous if leaves => Err(LEFT.to_owned()),
        Answered::Proved | Answered::Vacuous | Answered::Violated | Answered::BoundHit => Ok(found),
    });
    let (mut unknown, mut partly) = (Vec::new(), Vec::new());
    let is_flushed = order.operator().any(|row| row.verb == Verb::FlushTlb) && !order.unflushed().0;
    let flush_unseen = !is_flushed && !found.shown.contains(&Verb::FlushTlb);
    for entries in asked(order, operation, found, catalogue) {
        let fitting = fitting(&entries, &glimpsed(order, found), &mut unknown);
        if fitting.is_empty() {
            continue;
        }
        let whole = fitting.iter().all(|(_, run)| run.silent.is_empty());
        let proves =
            |(entry, _): &&(&Entry, Run)| is_proved(entry) && whole && has_everybody(entry, order, found);
        let (proofs, proved) = (
            fitting.iter().filter(proves).count(),
            fitting.iter().filter(|(entry, _)| is_proved(entry)).count(),
        );
        // A part of an order is no proof of all of it; but a part that is wrong is wrong, of the operation that it is.
        let is_wrong = || {
            let refuted = || explored.as_ref().is_ok_and(|found| found.answered == Answered::Violated);
            proved == 0 && (order.operation.is_some() || refuted())
        };
        if proofs > 0 || is_wrong() {
            let counts = |one: &(&Entry, Run)| !is_proved(one.0) || proves(&one);
            let fitting = fitting.into_iter().filter(counts).collect();
            return decided(fitting, unknown, flush_unseen);
        }
        partly = fitting.iter().map(|(entry, _)| partly_told(entry)).collect();
        break;
    }
    let unknown = unknown.into_iter().map(|entry| entry.lowered.name.clone()).collect();
    Ruling::New { proposal, explored, flush_unseen, partly, unknown }
}

/// The scenarios that an order is held against, those of its operation before others.
fn asked<'e>(
    order: &Order,
    operation: Option<&Operation>,
    found: &Found,
    catalogue: &'e [Entry],
) -> Vec<Vec<&'e Entry>> {
    let is_of = |entry: &&Entry| {
        operation
            .is_some_and(|one| one.scenarios.iter().any(|begin| entry.file.path.starts_with(begin.as_str())))
    };
    let (own, others): (Vec<&Entry>, Vec<&Entry>) = catalogue.iter().partition(is_of);
    let is_known = order.operation.is_some();
    let (is_left, is_elsewhere) = order.unflushed();
    // Scenarios that need no flush are of operations of which that is known, and say nothing of flushes elsewhere.
    match is_left && found.shown.contains(&Verb::FlushTlb) && (!is_known || is_elsewhere) {
        true => Vec::new(),
        // What functions name is held against scenarios of that operation: those of another may set other entries.
        false if is_known => vec![own],
        false => vec![own, others],
    }
}

/// Whether everybody is in the scenario who may remember the entry: CPUs, and whom the order or the trace tells of it.
fn has_everybody(entry: &Entry, order: &Order, found: &Found) -> bool {
    const OF_VCPUS: [Verb; 4] = [Verb::NotifyStart, Verb::NotifyEnd, Verb::ChangePte, Verb::Walk];
    const OF_DEVICES: [Verb; 3] = [Verb::Notify, Verb::IotlbInv, Verb::DevtlbInv];
    let has = |kind: UserKind| entry.lowered.scene.users.iter().any(|user| user.kind == kind);
    let steps = |verbs: &[Verb]| order.rows.iter().any(|row| verbs.contains(&row.verb));
    let vcpus = steps(&OF_VCPUS) || OF_VCPUS.iter().any(|verb| found.seen.contains(verb));
    let devices = steps(&OF_DEVICES) || OF_DEVICES.iter().any(|verb| found.seen.contains(verb));
    has(UserKind::Cpu) && (!vcpus || has(UserKind::Vcpu)) && (!devices || has(UserKind::Device))
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
    let glimpse = |row: &Seen| Glimpse { verb: row.verb, page: row.page };
    let glimpses = order.operator().map(glimpse).collect();
    let (shown, watched) = (found.shown.clone(), order.watched.clone());
    Glimpses { glimpses, shown, watched, ends_notify: found.ends_notify }
}

/// The scenarios with such a run; of those the ones that are silent about least.
fn fitting<'e>(
    entries: &[&'e Entry],
    glimpsed: &Glimpses,
    unknown: &mut Vec<&'e Entry>,
) -> Vec<(&'e Entry, Run)> {
    let mut found: Vec<(&Entry, Run)> = Vec::new();
    for entry in entries {
        match fit(&entry.lowered, glimpsed, MOST_STATES) {
            Fit::Run(run) => found.push((entry, *run)),
            Fit::None => {}
            Fit::BoundHit => unknown.push(*entry),
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
fn decided(fitting: Vec<(&Entry, Run)>, unknown: Vec<&Entry>, flush_unseen: bool) -> Ruling {
    let is_open = unknown.iter().any(|entry| is_proved(entry));
    let unknown = unknown.into_iter().map(|entry| entry.lowered.name.clone()).collect();
    let (proved, refuted): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|(entry, _)| is_proved(entry));
    let names =
        |all: &[(&Entry, Run)]| all.iter().map(|(entry, _)| entry.lowered.name.clone()).collect::<Vec<_>>();
    if proved.is_empty() && is_open {
        let why = "refuted scenarios have it, and the search was over before it knew of proved ones";
        return Ruling::Unjudged { why, unknown };
    }
    let (right, chosen) = if proved.is_empty() { (false, &refuted) } else { (true, &proved) };
    let (entry, run) = &chosen[0];
    let best = Box::new(matched(entry, run));
    let explored = match explored(&entry.scenario, &entry.lowered) {
        Ok(explored) => explored,
        Err(_too_large) => Explored { answered: Answered::BoundHit, table: None },
    };
    let others = names(&chosen[1..]);
    if right {
        Ruling::Right { best, explored, others, untold: names(&refuted), flush_unseen, unknown }
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
    /// A scenario with it is proved, and none with it is refuted.
    Proved,
    /// No scenario has it; the one that is made of it is proved.
    New,
    /// Scenarios with it are proved, and others are refuted, or would be without a flush: the trace does not tell.
    Untold,
    /// Scenarios with it are refuted.
    Refuted,
    /// None of these.
    Unknown,
}

impl Ruling {
    /// What it comes to, by what was explored now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let (explored, right) = match self {
            Self::Right { explored, untold, flush_unseen: false, .. } if untold.is_empty() => {
                (explored, Standing::Proved)
            }
            Self::Right { explored, .. } | Self::New { explored: Ok(explored), flush_unseen: true, .. } => {
                (explored, Standing::Untold)
            }
            // What is refuted is not expected to be proved now.
            Self::Wrong { explored, .. } => (explored, Standing::Unknown),
            Self::New { explored: Ok(explored), .. } => (explored, Standing::New),
            Self::New { explored: Err(_), .. } | Self::Unjudged { .. } => return Standing::Unknown,
        };
        match explored.answered {
            Answered::Proved => right,
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

#[cfg(test)]
mod tests;
