//! What lowers one agent: what it reads, what it declares and asks for, and what has come of the program so far.
//!
//! Invariant: the scope is the same for all agents and is never written; all agents share the state, and what they are told
//! of and complain of; the rest is the agent's own.

use crate::language::Diagnostic;
use crate::language::syntax::Scenario;
use crate::model::{Instruction, PropertyId};

use super::buffer::Route;
use super::deed::{Act, Deeds, Party};
use super::event::Watch;
use super::habits::Habits;
use super::hardware::Hardware;
use super::mark::Marks;
use super::names::{Names, PageId, UserId};
use super::observed::Observed;
use super::options::Options;
use super::program::Builder;
use super::state::{AgentId, State};
use super::survey::Survey;

/// The built-in properties that are on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Properties {
    pub(super) freed: Option<PropertyId>,
    pub(super) walked: Option<PropertyId>,
    pub(super) unlinked: Option<PropertyId>,
    pub(super) unlock: Option<PropertyId>,
    pub(super) range: Option<PropertyId>,
}

/// What the scenario says, as far as it matters to all agents.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) names: &'a Names,
    pub(super) options: Options,
    pub(super) hardware: &'a Hardware,
    pub(super) properties: Properties,
    pub(super) survey: &'a Survey,
}

impl<'a> Scope<'a> {
    /// What all agents do.
    pub(super) fn habits(self) -> &'a [Habits] {
        &self.survey.habits
    }
}

/// Who is told of what steps do.
pub(super) struct Told<'a> {
    pub(super) watches: &'a mut [Watch],
    pub(super) marks: &'a mut Marks,
    /// What is looked at when a run has ended, if anybody does.
    pub(super) observed: Option<&'a mut Observed>,
}

/// Whose program it is.
pub(super) struct Own {
    pub(super) agent: AgentId,
    pub(super) name: String,
    /// Whose TLB it uses.
    pub(super) user: Option<UserId>,
    /// Its handles, each with the page it was taken from.
    pub(super) handles: Vec<(String, Option<PageId>)>,
}

/// How the step that is being lowered is taken.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// How it goes to memory.
    pub(super) route: Route,
    /// Whether it is a part of a step that is taken as one.
    pub(super) indivisible: bool,
    /// Whether it is a part of something that is marked as a whole.
    pub(super) unmarked: bool,
}

/// The program so far.
#[derive(Default)]
pub(super) struct Output {
    pub(super) builder: Builder,
    /// What its steps do.
    pub(super) acts: Vec<(Act, bool)>,
    /// Those whom its steps ask at once.
    pub(super) asked: Vec<Vec<Party>>,
    pub(super) too_long: bool,
    /// The ways of all its steps.
    pub(super) ways: usize,
}

impl Output {
    /// The instructions, and what their alternatives do.
    pub(super) fn finish(self, spontaneous: bool) -> (Vec<Instruction>, Deeds) {
        let (program, rows) = self.builder.finish(spontaneous);
        (program, Deeds { acts: self.acts, rows, asked: self.asked })
    }
}

/// Lowers one agent.
pub(super) struct Emitter<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) state: &'a mut State,
    pub(super) told: Told<'a>,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
    pub(super) own: Own,
    pub(super) manner: Manner,
    pub(super) out: Output,
}
