//! Agents that have not ended: what each waits for, or where it goes round for ever.
//!
//! Invariant: who waits has a reason: an entry that refuses his access, or variables that his guards look at.

use crate::lowering::{Cached, Copied, Source};
use crate::model::{Agent, Alternative, Guard, Instruction, Pc, Update, Var};

use super::looked_at;
use super::run::Run;

/// What each agent waits for at the end.
pub(super) fn of_deadlock(run: &Run<'_>) -> Vec<String> {
    unended(run).map(|(known, pc, instruction)| waits(run, known, pc, instruction)).collect()
}

/// Where each agent is at the end that never comes to his own.
pub(super) fn of_livelock(run: &Run<'_>) -> Vec<String> {
    let stands = |(known, pc, instruction): (&Agent, Pc, &Instruction)| {
        let line = match steps(instruction, pc).first() {
            Some(way) if way.line != 0 => format!(" (line {})", way.line),
            Some(_) | None => String::new(),
        };
        format!("{} is at {}{line} and never ends", known.name, texts(instruction, pc))
    };
    unended(run).map(stands).collect()
}

/// The agents whose end is awaited and has not come, each with where it stands.
fn unended<'r>(run: &'r Run<'_>) -> impl Iterator<Item = (&'r Agent, Pc, &'r Instruction)> {
    let at = &run.state(run.steps.len()).at;
    let awaited = run.model().agents.iter().zip(at).filter(|(known, _)| !known.spontaneous);
    awaited.filter_map(|(known, pc)| Some((known, *pc, known.program.get(usize::from(pc.0))?)))
}

/// The ways of the step itself, without the walks before it.
fn steps(instruction: &Instruction, pc: Pc) -> Vec<&Alternative> {
    let (on, stay): (Vec<_>, Vec<_>) = instruction.alternatives.iter().partition(|way| way.next != pc);
    if on.is_empty() { stay } else { on }
}

/// The steps that the agent could take there, as the program has them.
fn texts(instruction: &Instruction, pc: Pc) -> String {
    let mut texts: Vec<String> = Vec::new();
    for way in steps(instruction, pc) {
        let text = format!("`{}`", written(&way.text));
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    // Of an access to what no entry could ever map nothing is left.
    if texts.is_empty() { "a step that no entry ever allows".to_owned() } else { texts.join(" or ") }
}

/// The text of a step as the program has it.
fn written(text: &str) -> &str {
    let text = text.split_once(" in freed ").map_or(text, |(before, _)| before);
    let reads = ["load ", "dma_read ", "read "].iter().any(|read| text.starts_with(read));
    match text.split_once(" = ") {
        Some((before, _)) if reads => before,
        Some(_) | None => text.strip_suffix(": no").unwrap_or(text),
    }
}

fn waits(run: &Run<'_>, known: &Agent, pc: Pc, instruction: &Instruction) -> String {
    let text = texts(instruction, pc);
    if instruction.alternatives.is_empty() {
        return format!("{} waits at {text}", known.name);
    }
    if let Some(refused) = refused(run, instruction) {
        return format!("{}'s {text} is refused: {refused}", known.name);
    }
    let mut reasons: Vec<String> = Vec::new();
    for way in nearest(run, instruction) {
        for var in hindrances(run, way) {
            let fact = run.fact(var, run.steps.len());
            if !reasons.contains(&fact) {
                reasons.push(fact);
            }
        }
    }
    format!("{} waits for {text}: {}", known.name, reasons.join("; "))
}

/// For each thing that the agent could do there, the way of which most holds.
fn nearest<'r>(run: &Run<'_>, instruction: &'r Instruction) -> Vec<&'r Alternative> {
    let mut found: Vec<(&Alternative, usize)> = Vec::new();
    // Who has answered is not waited for.
    let answered = |way: &Alternative| {
        way.text.ends_with(" answers") && way.guard.first().is_some_and(|asked| !holds(run, asked))
    };
    for way in instruction.alternatives.iter().filter(|way| !answered(way)) {
        let held = way.guard.iter().take_while(|guard| holds(run, guard)).count();
        match found.iter_mut().find(|(known, _)| written(&known.text) == written(&way.text)) {
            Some(known) if known.1 < held => *known = (way, held),
            Some(_) => {}
            None => found.push((way, held)),
        }
    }
    found.into_iter().map(|(way, _)| way).collect()
}

/// The variables for which the way cannot be taken.
fn hindrances(run: &Run<'_>, way: &Alternative) -> Vec<Var> {
    let failing = way.guard.iter().filter(|guard| !holds(run, guard));
    let vars: Vec<Var> = failing.flat_map(looked_at).collect();
    // A count at the end of its range waits, too.
    let counts = |update: &Update| match *update {
        Update::Increment(var) | Update::Decrement(var) => Some(var),
        Update::Set(..) | Update::Copy { .. } => None,
    };
    if vars.is_empty() { way.updates.iter().filter_map(counts).collect() } else { vars }
}

fn holds(run: &Run<'_>, guard: &Guard) -> bool {
    let value = |var: Var| run.value(var, run.steps.len());
    match *guard {
        Guard::Is(var, wanted) => value(var) == wanted,
        Guard::IsNot(var, other) => value(var) != other,
        Guard::Same(one, other) => value(one) == value(other),
        Guard::Differ(one, other) => value(one) != value(other),
        Guard::Below(var, bound) => value(var) < bound,
    }
}

/// Why the entry in memory refuses the access, if it does.
fn refused(run: &Run<'_>, instruction: &Instruction) -> Option<String> {
    let ways = &instruction.alternatives;
    let mentioned = ways
        .iter()
        .flat_map(|way| way.guard.iter().flat_map(looked_at).chain(way.updates.iter().map(Update::written)));
    let cached = mentioned.filter_map(|var| run.cached(var)).find(|cached| cached.of == Copied::Leaf)?;
    let entries: Vec<Var> = cached
        .upper
        .iter()
        .map(|gate| gate.source.var)
        .chain(cached.entry.iter().map(|entry| entry.var))
        .collect();
    let walked = |guard: &Guard| match *guard {
        Guard::Is(var, value) if entries.contains(&var) => Some(value),
        Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => None,
    };
    let accepted: Vec<u32> = ways.iter().flat_map(|way| way.guard.iter().filter_map(walked)).collect();
    let end = run.steps.len();
    let says = cached.says(&run.state(end).values)?;
    // Who only looks at an entry does not use it.
    if accepted.is_empty() || accepted.contains(&says) {
        return None;
    }
    let table = blamed(run, cached)?;
    Some(format!("{}; it waits for somebody to {}", run.fact(table.var, end), wanted(run, cached, says)))
}

/// The table that says it.
fn blamed<'c>(run: &Run<'_>, cached: &'c Cached) -> Option<&'c Source> {
    let end = run.steps.len();
    let above = [&cached.space, &cached.upper].into_iter().flatten();
    let shut = above.filter(|gate| Some(run.value(gate.source.var, end)) != gate.opens);
    shut.map(|gate| &gate.source).next().or(cached.entry.as_ref())
}

/// What somebody would have to do.
fn wanted(run: &Run<'_>, cached: &Cached, says: u32) -> &'static str {
    let end = run.steps.len();
    let foreign = |gate: &crate::lowering::Gate| Some(run.value(gate.source.var, end)) != gate.opens;
    if cached.space.as_ref().is_some_and(foreign) {
        return "name the page's address space";
    }
    match (says, run.lowered.roles.allows(says)) {
        (0, _) => "map the page",
        (_, [true, false]) => "make it writable",
        (_, [false, _] | [true, true]) => "make it accessible",
    }
}
