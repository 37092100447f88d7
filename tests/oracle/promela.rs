//! A scenario in Promela: one process, whose loop has a branch for every step that somebody can take.
//!
//! Invariant: a branch is a `d_step`, so one transition of Spin is one step of the scenario. What is broken is noticed in
//! the state behind the step, always by one more transition and an assertion; the depth of the first error in a
//! breadth-first search therefore says how many steps the shortest violation has.
//! Source: docs/language.md; the files below say which part each.

mod access;
mod buffer;
mod command;
mod condition;
mod count;
mod event;
mod invalidate;
mod kernel;
mod section;
mod tag;
mod text;

pub(super) use text::translate;

use super::flow::{Act, Flow, Place};
use super::program::{Change, Statement};
use super::random::Theme;
use super::setting::{Place as Where, Scenario};
use super::step::{Access, Invalidation, Page, Step};
use buffer::Cell;
use command::Command;

/// A deliberate mistake of the translation, with which a test shows that the comparison notices one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mistake {
    None,
    FlushForgets,
    StoreSkipsTlb,
    LockIsFree,
    PutKeeps,
    NotifyForgets,
    EventNeverArms,
    DeadlockUnseen,
    UnlinkedUnseen,
    PasidUnread,
    SwitchForgets,
    TagIgnored,
}

impl Mistake {
    /// All that is a mistake.
    pub(super) const ALL: [Self; 11] = [
        Self::FlushForgets,
        Self::StoreSkipsTlb,
        Self::LockIsFree,
        Self::PutKeeps,
        Self::NotifyForgets,
        Self::EventNeverArms,
        Self::DeadlockUnseen,
        Self::UnlinkedUnseen,
        Self::PasidUnread,
        Self::SwitchForgets,
        Self::TagIgnored,
    ];

    /// What scenarios must be about that can show it; none: any.
    pub(super) const fn theme(self) -> Option<Theme> {
        match self {
            Self::SwitchForgets | Self::TagIgnored => Some(Theme::Tags),
            Self::None
            | Self::FlushForgets
            | Self::StoreSkipsTlb
            | Self::LockIsFree
            | Self::PutKeeps
            | Self::NotifyForgets
            | Self::EventNeverArms
            | Self::DeadlockUnseen
            | Self::UnlinkedUnseen
            | Self::PasidUnread => None,
        }
    }
}

/// The translation of one scenario.
pub(super) struct Promela<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) mistake: Mistake,
    pub(super) text: String,
    flows: Vec<Flow<'s>>,
    /// How many places each agent's program has by now.
    pcs: Vec<usize>,
    commands: Vec<Command>,
    /// What is posted somewhere: the agent, the invalidation, whether with `leaf`.
    posts: Vec<(usize, Invalidation, bool)>,
    /// The rounds of interrupts that flush: the agent, and what it flushes.
    rounds: Vec<(usize, Option<(Invalidation, bool)>)>,
    /// Who stores plainly to what.
    stores: Vec<(usize, Cell)>,
}

impl<'s> Promela<'s> {
    fn new(scenario: &'s Scenario, mistake: Mistake) -> Self {
        let flows: Vec<_> = scenario.agents.iter().map(|agent| Flow::of(&agent.body)).collect();
        let pcs = flows.iter().map(Flow::len).collect();
        let text = scenario.to_string();
        Self {
            scenario,
            mistake,
            text,
            flows,
            pcs,
            commands: Vec::new(),
            posts: Vec::new(),
            rounds: Vec::new(),
            stores: Vec::new(),
        }
    }

    fn option(&self, name: &str, value: &str) -> bool {
        self.scenario.option(name, value)
    }

    /// Whether the scenario says this word somewhere: a bit exists only then, and so do some ways of the hardware.
    fn says(&self, word: &str) -> bool {
        self.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|said| said == word)
    }

    fn is_explicit_vcpu(&self) -> bool {
        ["zap_spte", "set_spte", "flush_vcpus"].iter().any(|word| self.says(word))
    }

    fn is_apart(&self, device: usize) -> bool {
        let words = ["iotlb_inv", "devtlb_inv", "iotlb_inv_pasid", "devtlb_inv_pasid"];
        self.scenario.devices[device].ats && words.iter().any(|word| self.says(word))
    }

    fn place(&self, agent: usize) -> Where {
        self.scenario.agents[agent].place
    }

    /// Whether its end is waited for: it is not spontaneous.
    fn is_awaited(&self, agent: usize) -> bool {
        let agent = &self.scenario.agents[agent];
        !agent.spontaneous && !matches!(agent.place, Where::Device(_))
    }

    fn pages(&self) -> impl Iterator<Item = Page> + use<> {
        (0..self.scenario.pages.len()).map(Page)
    }

    /// A new place of an agent's program.
    fn fresh(&mut self, agent: usize) -> usize {
        self.pcs[agent] += 1;
        self.pcs[agent] - 1
    }

    fn agents(&mut self) {
        for agent in 0..self.scenario.agents.len() {
            for place in self.flows[agent].places() {
                let before = self.commands.len();
                if let Some(command) = self.plain_store(agent, &place) {
                    self.commands.push(command);
                    self.locked_unlock(agent, &place);
                    continue;
                }
                self.act(agent, &place);
                if self.is_tso() && self.waits_for_buffer(&place.act) {
                    let empty = Self::is_empty(agent);
                    self.commands[before..].iter_mut().for_each(|command| command.guards.push(empty.clone()));
                }
            }
        }
    }

    /// A command of this agent in this place, still without guard and effects.
    fn command(agent: usize, place: &Place<'_>, to: usize) -> Command {
        Command { agent: Some(agent), from: place.from.clone(), to: Some(to), ..Command::default() }
    }

    fn act(&mut self, agent: usize, place: &Place<'s>) {
        match &place.act {
            Act::Step(step) => self.step(agent, place, step),
            Act::Trylock(lock, shared) => {
                let free = self.lock_is_free(agent, *lock, *shared);
                let taken = Self::command(agent, place, place.then)
                    .when(&free)
                    .effect(&self.take_lock(agent, *lock, *shared))
                    .named(&format!("trylock {lock}"));
                let refused = Self::command(agent, place, place.other).when(&format!("!({free})"));
                self.commands.extend([taken, refused]);
            }
            Act::Assign(var, change) => {
                let command = self.assign(Self::command(agent, place, place.then), agent, *var, change);
                self.commands.push(command);
            }
            Act::Test(condition) => {
                let holds = self.condition(agent, condition);
                let yes = Self::command(agent, place, place.then).when(&holds);
                let no = Self::command(agent, place, place.other).when(&format!("!({holds})"));
                self.commands.extend([yes, no]);
            }
            Act::When(condition) => {
                let holds = self.condition(agent, condition);
                self.commands.push(Self::command(agent, place, place.then).when(&holds));
            }
            Act::Atomic(body) => self.atomic(agent, place, body),
        }
    }

    fn assign(&self, command: Command, agent: usize, var: usize, change: &Change) -> Command {
        let value = self.assigned(agent, var, change);
        let inside = self.inside(var, &value);
        self.in_range(command, &inside)
            .effect(&format!("x[{var}] = ({inside} -> {value} : x[{var}])"))
            .named(&Statement::Assign(var, change.clone()).line())
    }

    fn assigned(&self, agent: usize, var: usize, change: &Change) -> String {
        match change {
            Change::Set(value) => value.to_string(),
            Change::Copy(look) => self.look(agent, look),
            Change::Add(by) => format!("(x[{var}] + {by})"),
            Change::Subtract(by) => format!("(x[{var}] - {by})"),
        }
    }

    fn inside(&self, var: usize, value: &str) -> String {
        let range = self.scenario.vars[var];
        format!("({value} >= {} && {value} <= {})", range.least, range.greatest)
    }

    /// The command happens in range only, or breaks the built-in property.
    fn in_range(&self, command: Command, inside: &str) -> Command {
        if self.option("range", "off") { command.when(inside) } else { command.bad(&format!("!({inside})")) }
    }

    fn atomic(&mut self, agent: usize, place: &Place<'s>, body: &'s [Statement]) {
        let mut command = Self::command(agent, place, place.then);
        for statement in body {
            command = command.begin();
            command = match statement {
                Statement::Step(step) => self.simple(command, agent, step),
                Statement::Assign(var, change) => self.assign(command, agent, *var, change),
                Statement::When(condition) => {
                    let holds = self.condition(agent, condition);
                    command.when(&holds)
                }
                Statement::Trylock(..)
                | Statement::Repeat(..)
                | Statement::If(..)
                | Statement::Check(..)
                | Statement::Goto(_)
                | Statement::Label(_)
                | Statement::End
                | Statement::Atomic(_)
                | Statement::Choice(_) => panic!("no such statement is drawn inside of atomic"),
            };
        }
        self.commands.push(command);
    }

    fn step(&mut self, agent: usize, place: &Place<'s>, step: &'s Step) {
        match step {
            Step::Access { how: Access::Walk, page, .. } => self.walk_statement(agent, place, *page),
            Step::Access { how: Access::Read | Access::Write(_), page, .. } => {
                self.access(agent, place, step, *page);
            }
            Step::GupFast { .. } => self.gup_fast(agent, place, step),
            Step::TryGet { .. } => self.try_get_statement(agent, place, step),
            Step::IpiSync => self.ipi_sync(agent, place),
            Step::SynchronizeRcu => self.synchronize_rcu(agent, place),
            Step::Invalidate { what, leaf, post: true } => self.post(agent, place, step, *what, *leaf),
            Step::Invalidate { what, leaf, post: false } => self.invalidate(agent, place, step, *what, *leaf),
            Step::PageRequest(page) => self.page_request(agent, place, *page),
            Step::ClearFlush(page) => self.clear_flush(agent, place, *page, false),
            Step::ClearFlushNotify(page) => self.clear_flush(agent, place, *page, true),
            Step::Lock(..)
            | Step::Unlock(_)
            | Step::Fence
            | Step::IrqOff
            | Step::IrqOn
            | Step::RcuReadLock
            | Step::RcuReadUnlock
            | Step::PteRead(_)
            | Step::PteClear(_)
            | Step::SetPte(..)
            | Step::PteModify(..)
            | Step::PmdRead(_)
            | Step::PmdClear(_)
            | Step::SetPmd(..)
            | Step::Switch(..)
            | Step::SetPasid(_)
            | Step::InvWait
            | Step::PageResponse(_)
            | Step::DrainRequests
            | Step::NotifyStart(_)
            | Step::NotifyEnd(_)
            | Step::ChangePte(_)
            | Step::ZapSpte(_)
            | Step::SetSpte(..)
            | Step::Write(..)
            | Step::Read(_)
            | Step::Copy(..)
            | Step::Count(..)
            | Step::MarkStable(_) => {
                let command = self.simple(Self::command(agent, place, place.then), agent, step);
                self.commands.push(command);
            }
        }
    }

    /// An operation is its steps, one after the other.
    fn clear_flush(&mut self, agent: usize, place: &Place<'s>, page: Page, notify: bool) {
        let (middle, last) = (self.fresh(agent), self.fresh(agent));
        let clear = self.simple(Self::command(agent, place, middle), agent, &Step::PteClear(page));
        self.commands.push(clear);
        let at = |here: usize, then: usize| Place {
            here,
            from: vec![here],
            act: place.act.clone(),
            then,
            other: then,
        };
        let end = if notify { last } else { place.then };
        let flush = Step::Invalidate { what: Invalidation::FlushTlb(page), leaf: false, post: false };
        self.invalidate(agent, &at(middle, end), &flush, Invalidation::FlushTlb(page), false);
        if notify {
            let told = Step::Invalidate { what: Invalidation::Notify(page), leaf: false, post: false };
            self.invalidate(agent, &at(last, place.then), &told, Invalidation::Notify(page), false);
        }
    }
}
