//! What a scenario means: its names resolved, its programs and properties as a [`Model`].
//!
//! Invariant: a scenario either becomes a model that [`Model`]'s own rules accept, or yields diagnostics; nothing that
//! it says is left out in silence. Reading order: `initial`, `state`, `entry`, `step` and `access`,
//! `condition`, `property` and `event`, `program`.

mod access;
mod agent;
mod atomic;
mod buffer;
mod condition;
mod deed;
mod dma;
mod doing;
mod emitter;
mod entry;
mod event;
mod expectation;
mod fifo;
mod habits;
mod hardware;
mod hidden;
mod initial;
mod mark;
mod mentioned;
mod names;
mod observed;
mod operation;
mod options;
mod possible;
mod program;
mod property;
mod queue;
mod replay;
mod role;
mod round;
mod scene;
mod sizes;
mod spaces;
mod state;
mod step;
mod stores;
mod survey;
mod symmetry;
mod tags;
mod unanswered;
mod upper;
mod visit;
mod walk;
mod written;

use std::collections::HashSet;

use crate::answer::Unreached;
use crate::engine::TooLarge;
use crate::language::span::{Span, Spanned};
use crate::language::syntax::{Agent as Column, Expect, Scenario, Statement, Step, UserKind};
use crate::language::{Blamed, Code, Diagnostic, File, parse};
use crate::model::{Agent, Model, Property, PropertyId, Var};

pub use deed::{
    Act, Assigned, Deed, Deeds, Found, FramePlace, Hop, MmOrNone, NewEntry, Numbers, Origin, Part, Party,
    Sum, Target,
};
pub use entry::Entry;
pub use hardware::Caches;
pub use names::{FrameId, MmId, PageId, PasidId, PmdId, TagId, UserId};
pub use observed::Observed;
pub(crate) use operation::expand;
pub use options::{Flush, Options, Timeout};
pub(crate) use replay::says;
pub use replay::{Replayed, replay};
pub use role::{Cached, Copied, Gate, Role, Roles, Source};
pub use scene::{Scene, SceneAgent, SceneFrame, ScenePage, SceneUser, SceneVariable};
pub use state::{AgentId, Key};
pub use steps::Directory;

use buffer::Route;
use emitter::{Emitter, Manner, Output, Own, Properties, Scope, Told};
use entry::Entries;
use event::Watch;
use hardware::Hardware;
use initial::initial;
use mark::Marks;
use mentioned::Mentioned;
use names::{Meaning, Names};
use possible::Emitted;
use sizes::{sizes, too_many_entries};
use state::State;
use survey::Survey;
use visit::visit_steps;

/// What stands beside an event that no step is.
const NEVER_HAPPENS: &str = "never happens";
/// Values of a user variable at most.
const MOST_VALUES: u32 = 256;
/// Entries at most that can occur.
const MOST_ENTRIES: usize = 2048;
/// Frames, pages, users and agents at most, each.
const MOST_THINGS: usize = 60;

/// A scenario that can be explored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lowered {
    /// Its name.
    pub name: String,
    /// Line of the source on which it begins, 1-based.
    pub line: u32,
    /// What the explorer explores.
    pub model: Model,
    /// The expected answer.
    pub expect: Option<Expect>,
    /// The property that is expected to break, if it is named.
    pub expected_property: Option<PropertyId>,
    /// Rows that no order is said to take.
    pub unreached: Vec<Unreached>,
    /// The variables that last: page table, frames, locks, what programs declare; no caches, and nobody's memory.
    pub lasting: Vec<Var>,
    /// What each variable is to a reader.
    pub roles: Roles,
    /// What each variable stands for.
    pub keys: Vec<Key>,
    /// What there is.
    pub scene: Scene,
    /// What the rows of each agent do.
    pub deeds: Vec<Deeds>,
    /// What is looked at when a run has ended, if anybody does.
    pub observed: Option<Observed>,
}

/// Lowers a scenario that was read from `source`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn lower(scenario: &Scenario, source: &str) -> Result<Lowered, Vec<Diagnostic>> {
    lower_as(scenario, source, NeverSeen::Reported, None)
}

/// Lowers a scenario with a program that nobody wrote: that a property's event is no step of it is no error of the text.
///
/// # Errors
/// Everything else that is wrong with it.
pub(crate) fn lower_made(scenario: &Scenario, source: &str) -> Result<Lowered, Vec<Diagnostic>> {
    lower_as(scenario, source, NeverSeen::Accepted, None)
}

/// Lowers a scenario with a register for each statement that returns a value, to be looked at when a run has ended.
///
/// # Errors
/// Everything that is wrong with it.
pub fn lower_observed(scenario: &Scenario, source: &str) -> Result<Lowered, Vec<Diagnostic>> {
    lower_as(scenario, source, NeverSeen::Reported, Some(Observed::default()))
}

/// What becomes of an event that no step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NeverSeen {
    /// It is an error.
    Reported,
    /// It is none.
    Accepted,
}

fn lower_as(
    scenario: &Scenario,
    source: &str,
    never_seen: NeverSeen,
    observed: Option<Observed>,
) -> Result<Lowered, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let names = Names::new(scenario, &mut diagnostics);
    sizes(scenario, &mut diagnostics);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let options = Options::new(scenario);
    let survey = Survey::new(scenario, &names, options);
    let entries = Entries::new(&names.frames, Mentioned::by(scenario));
    if let Some(diagnostic) = too_many_entries(scenario, &entries) {
        return Err(vec![diagnostic]);
    }
    let hardware = Hardware::new(scenario, &names, &survey, &mut diagnostics);
    let state = initial(scenario, &names, &survey, &hardware, entries, &mut diagnostics);
    let lowering = Lowering {
        scenario,
        source,
        names: &names,
        survey: &survey,
        state,
        options,
        hardware: &hardware,
        properties: Vec::new(),
        watches: Vec::new(),
        marks: Marks::default(),
        never_seen,
        observed,
        diagnostics,
    };
    lowering.run()
}

/// Reads a file and lowers all of its scenarios.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn load(source: &str) -> Result<Vec<(Scenario, Lowered)>, Vec<Diagnostic>> {
    let File { scenarios, mut diagnostics } = parse(source);
    let mut blamed = Blamed::default();
    let mut told = HashSet::new();
    let mut found = Vec::new();
    for scenario in scenarios {
        // A line that could not be read may be the one that declares what others name.
        if !scenario.whole {
            continue;
        }
        match lower(&scenario, source) {
            Ok(lowered) => found.push((scenario, lowered)),
            Err(wrong) => {
                let own = blamed.own(&scenario, wrong).into_iter();
                // Of what a sweep makes of one line, one is told.
                let new = own.filter(|one| !scenario.unfolded || told.insert((one.span, one.code)));
                diagnostics.extend(new.map(|one| scenario.with_values(one)));
            }
        }
    }
    if diagnostics.is_empty() { Ok(found) } else { Err(diagnostics) }
}

/// The error for a scenario whose model the engine cannot pack.
#[must_use]
pub fn too_large(scenario: &Scenario, error: &TooLarge) -> Diagnostic {
    let name = &scenario.name;
    match error {
        TooLarge::Bits { bits, limit, biggest } => {
            let message = format!("a state of `{}` needs {bits} bits, and {limit} can be packed", name.node);
            let help = format!("leave out what no property needs; the largest are {biggest}");
            Diagnostic::new(Code::StateTooLarge, name.span, message, help)
        }
        TooLarge::Stopped => {
            let message = format!("`{}` was not packed in time", name.node);
            Diagnostic::new(
                Code::StateTooLarge,
                name.span,
                message,
                "allow more time, or use fewer variables and values",
            )
        }
        TooLarge::Malformed(error) => {
            let message = format!("`{}` cannot be explored: {error}", name.node);
            Diagnostic::new(
                Code::StateTooLarge,
                name.span,
                message,
                "use fewer agents, pages, frames and repeats",
            )
        }
    }
}

/// The source of a statement with single blanks.
fn text(source: &str, span: Span) -> String {
    span.text(source).split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Lowering<'a> {
    scenario: &'a Scenario,
    source: &'a str,
    names: &'a Names,
    survey: &'a Survey,
    hardware: &'a Hardware,
    state: State,
    options: Options,
    properties: Vec<Property>,
    watches: Vec<Watch>,
    marks: Marks,
    never_seen: NeverSeen,
    observed: Option<Observed>,
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
        let (agents, users) = self.programs(built_in);
        self.observe_end();
        let (expected_property, unreached) = (self.expected_property(), self.unreached());
        // What a program in error would have done may be what a property waits for.
        if self.diagnostics.is_empty() && self.never_seen == NeverSeen::Reported {
            self.never_seen();
        }
        let (agents, deeds): (Vec<Agent>, Vec<Deeds>) = agents.into_iter().unzip();
        let longest =
            agents.iter().map(|agent| agent.program.len()).chain([self.state.variables.len()]).max();
        if longest >= Some(usize::from(u16::MAX)) {
            let help = "use fewer pages, frames and repeats";
            self.diagnostics.push(Diagnostic::new(
                Code::StateTooLarge,
                self.scenario.name.span,
                "the scenario is too large",
                help,
            ));
        }
        if !self.diagnostics.is_empty() {
            return Err(self.diagnostics);
        }
        let lasting = self.state.lasting();
        let roles = Roles::of(&self.state, self.hardware, &self.survey.habits);
        let scene = self.scene(&users);
        let keys = scene::keys(&self.state);
        let model = Model {
            variables: self.state.variables,
            symmetries: symmetry::of(&agents),
            agents,
            properties: self.properties,
            marks: self.marks.all,
        };
        replay(&model, &self.scenario.trace, self.source).map_err(|diagnostic| vec![diagnostic])?;
        let expect = self.scenario.expect.as_ref().map(|expect: &Spanned<Expect>| expect.node.clone());
        let name = self.scenario.name.node.clone();
        let line = self.scenario.name.span.line;
        let observed = self.observed;
        Ok(Lowered {
            name,
            line,
            model,
            expect,
            expected_property,
            unreached,
            lasting,
            roles,
            keys,
            scene,
            deeds,
            observed,
        })
    }

    /// The programs of all agents, those that no scenario writes behind the others, and what the scenario's run on.
    fn programs(&mut self, built_in: Properties) -> (Vec<(Agent, Deeds)>, Vec<Option<UserId>>) {
        let (mut emitted, mut users) = (Vec::new(), Vec::new());
        for (index, column) in self.scenario.agents.iter().enumerate() {
            match self.agent(index, column, built_in) {
                Ok((agent, user)) => {
                    emitted.push(agent);
                    users.push(user);
                }
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            }
        }
        match self.hidden_agents(built_in) {
            Ok(hidden) => emitted.extend(hidden),
            Err(diagnostic) => self.diagnostics.push(diagnostic),
        }
        possible::leave_out_others(&mut emitted, &self.state.variables);
        (emitted.into_iter().map(Emitted::finish).collect(), users)
    }

    fn agent(
        &mut self,
        index: usize,
        column: &Column,
        built_in: Properties,
    ) -> Result<(Emitted, Option<UserId>), Diagnostic> {
        let user = if let Some(Meaning::User(id)) = self.names.meaning(&column.place().node) {
            Some(id)
        } else if column.in_table || column.on.is_some() {
            Some(self.names.user(column.place())?)
        } else {
            None
        };
        let device = user.is_some_and(|user| self.names.kinds[user.0] == UserKind::Device);
        let spontaneous = column.spontaneous || device;
        let handles = handles_of(&column.body, self.names);
        let mut emitter = self.emitter(index, &column.name.node, built_in);
        (emitter.own.user, emitter.own.handles) = (user, handles);
        emitter.block(&column.body);
        let out = emitter.out;
        Ok((Emitted { name: column.name.node.clone(), spontaneous, out }, user))
    }

    /// A program with nothing in it yet.
    fn emitter(&mut self, agent: usize, name: &str, properties: Properties) -> Emitter<'_> {
        Emitter {
            scope: Scope {
                scenario: self.scenario,
                names: self.names,
                options: self.options,
                hardware: self.hardware,
                properties,
                survey: self.survey,
            },
            state: &mut self.state,
            told: Told {
                watches: &mut self.watches,
                marks: &mut self.marks,
                observed: self.observed.as_mut(),
            },
            diagnostics: &mut self.diagnostics,
            own: Own { agent, name: name.to_owned(), user: None, handles: Vec::new() },
            manner: Manner { route: Route::Memory, indivisible: false, unmarked: false },
            out: Output::default(),
        }
    }
}

/// The handles that a program takes, with the pages behind them.
fn handles_of(body: &[Statement], names: &Names) -> Vec<(String, Option<PageId>)> {
    let mut found = Vec::new();
    visit_steps(body, &mut |spoken, _, _| {
        if let Step::GupFast { page, handle, .. }
        | Step::TryGet { page, handle, .. }
        | Step::Peek { page, handle, .. } = &spoken.step
        {
            found.push((handle.node.clone(), names.page(page).ok()));
        }
    });
    found
}

#[cfg(test)]
mod tests;
