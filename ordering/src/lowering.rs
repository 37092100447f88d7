//! What a scenario means: its names resolved, its programs and properties as a [`Model`].
//!
//! Invariant: a scenario either becomes a model that [`Model`]'s own rules accept, or yields diagnostics; nothing that
//! it says is left out in silence. Reading order: `state`, `step` and `access`, `condition`, `event`, `program`.

mod access;
mod agent;
mod atomic;
mod condition;
mod event;
mod names;
mod operation;
mod options;
mod program;
mod replay;
mod state;
mod step;
mod survey;

use std::collections::HashMap;

use crate::language::span::{Span, Spanned};
use crate::language::syntax::{
    Agent as Column, BuiltIn, Expect, Node, Question, Scenario, Statement, UserKind,
};
use crate::language::{BUILT_IN, Diagnostic, did_you_mean};
use crate::model::{Agent, Check, Model, Property, PropertyId};

use agent::{Emitter, Properties};
use condition::Conditions;
use event::Watch;
use names::{Meaning, Names, UserId};
use options::Options;
use program::Builder;
use state::{Domains, Key, State, entry};
use survey::Survey;

/// What stands beside an event that no step is.
const NEVER_HAPPENS: &str = "never happens";
/// Values of a user variable at most.
const MOST_VALUES: u32 = 256;
/// Frames, pages, users and agents at most, each.
const MOST_THINGS: usize = 60;

/// A scenario that can be explored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lowered {
    /// Its name.
    pub name: String,
    /// What the explorer explores.
    pub model: Model,
    /// The expected answer.
    pub expect: Option<Expect>,
}

/// Lowers a scenario that was read from `source`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn lower(scenario: &Scenario, source: &str) -> Result<Lowered, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let names = Names::new(scenario, &mut diagnostics);
    sizes(scenario, &mut diagnostics);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let survey = Survey::new(scenario);
    let state = initial(scenario, &names, &survey, &mut diagnostics);
    let lowering = Lowering {
        scenario,
        source,
        names: &names,
        survey: &survey,
        state,
        options: Options::new(scenario),
        properties: Vec::new(),
        watches: Vec::new(),
        diagnostics,
    };
    lowering.run()
}

/// Reads a file and lowers all of its scenarios.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn load(source: &str) -> Result<Vec<(Scenario, Lowered)>, Vec<Diagnostic>> {
    let file = crate::language::parse(source);
    let mut diagnostics = file.diagnostics;
    let mut more = Vec::new();
    let mut found = Vec::new();
    for scenario in file.scenarios {
        match lower(&scenario, source) {
            Ok(lowered) => found.push((scenario, lowered)),
            Err(new) => more.extend(new),
        }
    }
    // A line that could not be read may be the one that a property waits for.
    let unread = !diagnostics.is_empty();
    for one in more.into_iter().filter(|one| !unread || one.label != NEVER_HAPPENS) {
        // A variant repeats what is wrong with its base.
        if !diagnostics.contains(&one) {
            diagnostics.push(one);
        }
    }
    if diagnostics.is_empty() { Ok(found) } else { Err(diagnostics) }
}

/// The error for a model whose state does not fit: `bits` has the name and the bits of each variable.
#[must_use]
pub fn too_large(scenario: &Scenario, bits: &[(String, u32)], most: u32) -> Diagnostic {
    let mut largest: Vec<_> = bits.iter().collect();
    largest.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let shown: Vec<_> = largest.iter().take(3).map(|(name, bits)| format!("{name} ({bits})")).collect();
    let sum: u32 = bits.iter().map(|(_, bits)| bits).sum();
    let message = format!("a state of `{}` needs {sum} bits, and {most} can be packed", scenario.name.node);
    let help = format!("leave out what no property needs; the largest are {}", shown.join(", "));
    Diagnostic::new(scenario.name.span, message, help)
}

/// The source of a statement with single blanks.
fn text(source: &str, span: Span) -> String {
    span.text(source).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn sizes(scenario: &Scenario, diagnostics: &mut Vec<Diagnostic>) {
    let counts = [
        ("pages", scenario.pages.len()),
        ("frames", scenario.frames.len()),
        ("CPUs and devices", scenario.users.len()),
        ("agents", scenario.agents.len()),
        ("properties", scenario.properties.len()),
    ];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > MOST_THINGS) {
        let message = format!("the scenario has {count} {what}: too many to explore");
        diagnostics.push(Diagnostic::new(scenario.name.span, message, format!("use at most {MOST_THINGS}")));
    }
    for variable in &scenario.variables {
        if variable.most - variable.least >= MOST_VALUES {
            let message = format!("`{}` has more than {MOST_VALUES} values", variable.name.node);
            diagnostics.push(Diagnostic::new(variable.name.span, message, "a proof needs a small range"));
        }
    }
    if scenario.expect.is_some() && scenario.properties.is_empty() {
        let span = scenario.expect.as_ref().map_or(scenario.name.span, |expect| expect.span);
        let help =
            "add `never …`, `always …` or `finally …`; `never use of a freed frame` names a built-in one";
        diagnostics.push(Diagnostic::new(span, "a verdict is expected, and no property is asked for", help));
    }
    // A base that is not there is an error already.
    if scenario.agents.is_empty() && scenario.like.is_none() {
        let message = format!("scenario `{}` has no program", scenario.name.node);
        diagnostics.push(Diagnostic::new(
            scenario.name.span,
            message,
            "add a `race` table or an `agent`, or say what it is `like`",
        ));
    }
    for (index, agent) in scenario.agents.iter().enumerate() {
        if scenario.agents[..index].iter().any(|earlier| earlier.name.node == agent.name.node) {
            let message = format!("there is an agent `{}` already", agent.name.node);
            diagnostics.push(Diagnostic::new(agent.name.span, message, "give it another name"));
        }
    }
}

fn initial(scenario: &Scenario, names: &Names, survey: &Survey, diagnostics: &mut Vec<Diagnostic>) -> State {
    let contents: Vec<u32> = survey.contents.iter().copied().collect();
    let mut refs: Vec<u32> = scenario.frames.iter().map(|frame| u32::from(!frame.free)).collect();
    let mut mapcounts = vec![0_u32; refs.len()];
    let mut values = HashMap::new();
    let mut report = |diagnostic| diagnostics.push(diagnostic);
    for mapping in &scenario.maps {
        match (names.page(&mapping.page), names.frame(&mapping.frame)) {
            (Ok(page), Ok(frame)) => {
                mapcounts[frame.0] += 1;
                refs[frame.0] = refs[frame.0].max(mapcounts[frame.0]);
                let value = entry(frame, mapping.permission);
                values.insert(Key::Pte(page), value);
                for agent in 0..scenario.agents.len() {
                    values.insert(Key::Orig(agent, page), value);
                }
            }
            (page, frame) => [page.err(), frame.err()].into_iter().flatten().for_each(&mut report),
        }
    }
    for (name, count) in &scenario.refs {
        match names.frame(name) {
            Ok(frame) if count.node <= MOST_VALUES => refs[frame.0] = count.node,
            Ok(_) => {
                report(Diagnostic::new(count.span, "too many references to count", "write a small number"));
            }
            Err(diagnostic) => report(diagnostic),
        }
    }
    let most = refs.iter().chain(&mapcounts).copied().max().unwrap_or(0);
    for (id, frame) in (0..).map(names::FrameId).zip(&scenario.frames) {
        let content = contents.binary_search(&frame.content).unwrap_or(0);
        values.insert(Key::Content(id), state::number(content));
        values.insert(Key::Refs(id), refs[id.0]);
        values.insert(Key::Mapcount(id), mapcounts[id.0]);
    }
    for (index, variable) in scenario.variables.iter().enumerate() {
        values.insert(Key::User(index), variable.initial - variable.least);
    }
    let ghosts = scenario.properties.iter().filter_map(|property| match &property.node {
        Question::Never { after: Some(after), .. } => Some(after.span),
        _ => None,
    });
    let domains = Domains {
        pages: scenario.pages.iter().map(|page| page.node.clone()).collect(),
        frames: scenario.frames.iter().map(|frame| frame.name.node.clone()).collect(),
        users: scenario.users.iter().map(|user| user.name.node.clone()).collect(),
        agents: scenario.agents.iter().map(|agent| agent.name.node.clone()).collect(),
        contents,
        most_refs: survey.most_refs(most),
        most_ranges: survey.most_ranges(),
        variables: scenario.variables.iter().map(|v| (v.name.node.clone(), v.least, v.most)).collect(),
        ghosts: ghosts.count(),
    };
    State::new(domains, values)
}

struct Lowering<'a> {
    scenario: &'a Scenario,
    source: &'a str,
    names: &'a Names,
    survey: &'a Survey,
    state: State,
    options: Options,
    properties: Vec<Property>,
    watches: Vec<Watch>,
    diagnostics: Vec<Diagnostic>,
}

impl Lowering<'_> {
    fn run(mut self) -> Result<Lowered, Vec<Diagnostic>> {
        let built_in = self.built_in();
        for index in 0..self.scenario.properties.len() {
            if let Err(diagnostic) = self.property(index) {
                self.diagnostics.push(diagnostic);
            }
        }
        let mut agents = Vec::new();
        for (index, column) in self.scenario.agents.iter().enumerate() {
            match self.agent(index, column, built_in) {
                Ok(agent) => agents.push(agent),
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            }
        }
        // What a program in error would have done may be what a property waits for.
        if self.diagnostics.is_empty() {
            self.never_seen();
        }
        let longest =
            agents.iter().map(|agent| agent.program.len()).chain([self.state.variables.len()]).max();
        if longest >= Some(usize::from(u16::MAX)) {
            let help = "use fewer pages, frames and repeats";
            self.diagnostics.push(Diagnostic::new(
                self.scenario.name.span,
                "the scenario is too large",
                help,
            ));
        }
        if !self.diagnostics.is_empty() {
            return Err(self.diagnostics);
        }
        let model = Model {
            variables: self.state.variables,
            agents,
            properties: self.properties,
            symmetries: Vec::new(),
        };
        replay::replay(&model, &self.scenario.trace, self.source).map_err(|diagnostic| vec![diagnostic])?;
        let expect = self.scenario.expect.as_ref().map(|expect: &Spanned<Expect>| expect.node);
        Ok(Lowered { name: self.scenario.name.node.clone(), model, expect })
    }

    fn add(&mut self, text: String, check: Check) -> PropertyId {
        self.properties.push(Property { text, check });
        // At most as many as MOST_THINGS and the built-in ones.
        PropertyId(u16::try_from(self.properties.len() - 1).unwrap_or(u16::MAX))
    }

    fn built_in(&mut self) -> Properties {
        let mut found = Properties::default();
        for (name, property) in BUILT_IN {
            if !self.options.is_on(property) {
                continue;
            }
            let deadlock = property == BuiltIn::Deadlock;
            let check = if deadlock { Check::Deadlock } else { Check::Step };
            let id = Some(self.add(format!("never {name}"), check));
            match property {
                BuiltIn::FreedFrame => found.freed = id,
                BuiltIn::Unlock => found.unlock = id,
                BuiltIn::Range => found.range = id,
                BuiltIn::Deadlock => {}
            }
        }
        found
    }

    fn property(&mut self, index: usize) -> Result<(), Diagnostic> {
        let property = &self.scenario.properties[index];
        let text = property.text.clone();
        match &property.node {
            Question::BuiltIn(built_in) => {
                if !self.options.is_on(*built_in) {
                    let help = "leave the property out, or the option that switches it off";
                    return Err(Diagnostic::new(property.span, "an option switches this property off", help));
                }
            }
            Question::Always(condition) | Question::Finally(condition) => {
                let (names, state) = (self.names, &mut self.state);
                let ways = Conditions { state, names, agent: None, handles: &[] }.ways(condition, true)?;
                if ways.iter().any(Vec::is_empty) {
                    let help = "compare with a value that it can have";
                    return Err(Diagnostic::new(property.span, "this always holds: it can never fail", help));
                }
                let always = matches!(property.node, Question::Always(_));
                self.add(text, if always { Check::Always(ways) } else { Check::Finally(ways) });
            }
            Question::Never { event, after, until } => {
                for event in [Some(event), after.as_ref(), until.as_ref()].into_iter().flatten() {
                    self.known(event)?;
                }
                let ghost = after.as_ref().map(|_| self.state.var(&Key::Ghost(self.watches.len())));
                let property = self.add(text, Check::Step);
                let (event, after, until) = (event.clone(), after.clone(), until.clone());
                self.watches.push(Watch { property, event, after, until, ghost, seen: [false; 2] });
            }
        }
        Ok(())
    }

    /// The names in an event must be declared.
    fn known(&self, event: &crate::language::syntax::Event) -> Result<(), Diagnostic> {
        use crate::language::syntax::Action;
        if let Some(agent) = &event.agent
            && !self.scenario.agents.iter().any(|known| known.name.node == agent.node)
        {
            let known: Vec<_> = self.scenario.agents.iter().map(|agent| agent.name.node.as_str()).collect();
            let help = did_you_mean(&agent.node, &known, &format!("the agents are {}", known.join(", ")));
            return Err(Diagnostic::new(agent.span, format!("there is no agent `{}`", agent.node), help));
        }
        if let Action::Reads(place, _) | Action::Writes(place, _) = &event.action
            && !matches!(self.names.meaning(&place.node), Some(Meaning::Page(_) | Meaning::Frame(_)))
        {
            return self.names.frame(place).map(drop);
        }
        Ok(())
    }

    fn never_seen(&mut self) {
        for watch in &self.watches {
            let unseen = [(Some(&watch.event), watch.seen[0]), (watch.after.as_ref(), watch.seen[1])];
            for event in unseen.into_iter().filter_map(|(event, seen)| event.filter(|_| !seen)) {
                let message = "this property can never fail: no step of any program is this";
                let help = "name an agent, a step and a value that occur in the programs";
                let diagnostic = Diagnostic::new(event.span, message, help);
                self.diagnostics.push(diagnostic.with_label(NEVER_HAPPENS));
            }
        }
    }

    fn agent(&mut self, index: usize, column: &Column, built_in: Properties) -> Result<Agent, Diagnostic> {
        let named = column.on.as_ref().unwrap_or(&column.name);
        let user = match self.names.meaning(&named.node) {
            Some(Meaning::User(id)) => Some(id),
            _ if column.in_table || column.on.is_some() => Some(self.declared(column)?),
            _ => None,
        };
        let device = user.is_some_and(|user| self.names.kinds[user.0] == UserKind::Device);
        let spontaneous = column.spontaneous || device;
        let mut handles = Vec::new();
        handles_of(&column.body, self.names, &mut handles);
        let mut emitter = Emitter {
            scenario: self.scenario,
            source: self.source,
            names: self.names,
            state: &mut self.state,
            options: self.options,
            properties: built_in,
            watches: &mut self.watches,
            diagnostics: &mut self.diagnostics,
            locks: &self.survey.locks,
            frees: self.survey.frees,
            agent: index,
            name: column.name.node.clone(),
            user,
            handles,
            builder: Builder::default(),
            too_long: false,
            ways: 0,
        };
        emitter.block(&column.body);
        let program = emitter.builder.finish(spontaneous);
        Ok(Agent { name: column.name.node.clone(), program, spontaneous })
    }

    fn declared(&self, column: &Column) -> Result<UserId, Diagnostic> {
        self.names.user(column.on.as_ref().unwrap_or(&column.name))
    }
}

/// The handles that a program takes, with the pages behind them.
fn handles_of(body: &[Statement], names: &Names, found: &mut Vec<(String, Option<names::PageId>)>) {
    for statement in body {
        match &statement.node {
            Node::Step(step) => {
                let page = step.page.as_ref().and_then(|page| names.page(page).ok());
                found.extend(step.handle.as_ref().map(|handle| (handle.node.clone(), page)));
            }
            Node::Repeat(_, _, body) | Node::When(_, body) | Node::Atomic(body) => {
                handles_of(body, names, found);
            }
            Node::Choice(ways) => ways.iter().for_each(|way| handles_of(way, names, found)),
            Node::If(_, then, otherwise) => {
                handles_of(then, names, found);
                handles_of(otherwise, names, found);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
