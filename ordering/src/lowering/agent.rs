//! One agent's statements become nodes of its program.
//!
//! Invariant: a statement that cannot be lowered is reported and left out; the ones after it are still looked at.

use steps::table::Actor;

use crate::language::span::{Name, Span};
use crate::language::syntax::{
    Assignment, Condition, FrameKind, Node, Operand, Operation, Spoken, Statement, Step, Term, UserKind,
};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update};

use super::atomic::merged;
use super::buffer::Route;
use super::condition::{Conditions, Ways};
use super::deed::{Act, Assigned, Part, Sum};
use super::emitter::Emitter;
use super::event::{Happening, watch};
use super::names::{ANY, FrameId, Meaning, PageId};
use super::operation::expand;
use super::program::{Goal, MOST_NODES, MOST_WAYS, Place, Way};
use super::state::{Key, number};
use super::step::At;

/// A frame that a name stands for under a guard; none: the handle is empty.
pub(super) struct Target {
    pub(super) guard: Vec<Guard>,
    pub(super) frame: Option<FrameId>,
}

impl Emitter<'_> {
    /// All of `statements`, as a block with labels of its own.
    pub(super) fn block(&mut self, statements: &[Statement]) {
        let labels = statements.iter().filter_map(|statement| statement.node.label());
        self.out.builder.open_block(labels);
        for statement in statements {
            if self.is_too_long(statement.span) {
                break;
            }
            if let Err(diagnostic) = self.statement(statement) {
                self.diagnostics.push(diagnostic);
            }
        }
        self.out.builder.close_block();
    }

    fn is_too_long(&mut self, span: Span) -> bool {
        if (self.out.builder.nodes.len() > MOST_NODES || self.out.ways > MOST_WAYS) && !self.out.too_long {
            self.out.too_long = true;
            let message = format!(
                "the program of `{}` is too large: it has more than {MOST_NODES} steps or {MOST_WAYS} cases",
                self.own.name
            );
            self.diagnostics.push(Diagnostic::new(
                Code::ProgramTooLarge,
                span,
                message,
                "repeat less often, or use fewer frames",
            ));
        }
        self.out.too_long
    }

    /// Adds a step; every way of it is watched by the properties.
    pub(super) fn step(&mut self, ways: Vec<Way>, line: u32) {
        let mut watched = Vec::new();
        let ways = self.routed(ways);
        for way in self.while_present(ways) {
            watched.extend(watch(way, &self.own.name, self.scope.names, self.told.watches));
        }
        self.out.ways += watched.len();
        self.out.builder.nodes.push(Place::Step(watched, line));
    }

    fn silent(&mut self, goals: Vec<Goal>) {
        self.out.builder.nodes.push(Place::Silent(goals));
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Diagnostic> {
        let line = statement.span.line;
        self.manner.route = Route::of(&statement.node);
        match &statement.node {
            Node::Step(spoken) => self.on_pages(spoken, statement.span, line)?,
            Node::Operation(operation) => self.operation(operation, statement)?,
            Node::Assign(name, how, operand) => self.assign(name, *how, operand, statement)?,
            Node::Repeat(least, most, body) => self.repeat(*least, *most, body, statement.span),
            Node::Choice(ways) => self.choice(ways),
            Node::If(condition, then, otherwise) => {
                self.branch(condition, then, otherwise, (statement.span, line))?;
            }
            Node::When(condition, body) => {
                let ways = self.condition(condition, true)?;
                let text = format!("when {condition}");
                let way = |guard: Vec<Guard>| Way::new(guard, Vec::new(), text.as_str());
                let (ways, node) = (ways.into_iter().map(way).collect(), self.out.builder.nodes.len());
                self.step(ways, line);
                self.does(node, Act::Decide);
                self.mark(node, statement.span, text);
                self.block(body);
            }
            Node::Check(condition, label) => {
                let label = self.out.builder.named(label)?;
                let (text, node) = (format!("check {condition}"), self.out.builder.nodes.len());
                self.test(condition, &text, Goal::Label(label), line)?;
                self.mark_test(node, (statement.span, text), &[], &[]);
            }
            Node::Goto(label) => {
                let label = self.out.builder.named(label)?;
                self.silent(vec![Goal::Label(label)]);
            }
            Node::Label(name) => {
                let label = self.out.builder.named(name)?;
                self.out.builder.bind(label);
            }
            Node::Atomic(body) => self.atomic(body, statement.span, line)?,
            Node::End => self.silent(vec![Goal::End]),
        }
        Ok(())
    }

    /// A step; `any` is a choice between all pages.
    fn on_pages(&mut self, spoken: &Spoken, span: Span, line: u32) -> Result<(), Diagnostic> {
        let is_any = |spoken: &mut Spoken| translated(&mut spoken.step).is_some_and(|page| page.node == ANY);
        if !is_any(&mut spoken.clone()) {
            let node = self.out.builder.nodes.len();
            self.checked(spoken, span, line)?;
            self.does_step(node, &spoken.step);
            self.mark(node, span, spoken.text.clone());
            self.keep_returned(node, spoken, span);
            return Ok(());
        }
        let on = |page: &Name| {
            let mut one = spoken.clone();
            one.text = spoken.text.replacen(ANY, &page.node, 1);
            if let Some(any) = translated(&mut one.step) {
                any.node.clone_from(&page.node);
            }
            vec![Statement { node: Node::Step(Box::new(one)), span, row: 0 }]
        };
        let ways: Vec<_> = self.scope.scenario.pages.iter().map(on).collect();
        self.choice(&ways);
        Ok(())
    }

    fn checked(&mut self, spoken: &Spoken, span: Span, line: u32) -> Result<(), Diagnostic> {
        let at = At::of(spoken, span, line);
        let row = at.verb.row();
        let kind = self.own.user.map(|user| self.scope.names.kinds[user.0]);
        let fits = match row.actor {
            Actor::Anybody | Actor::Translating => true,
            Actor::Kernel => kind != Some(UserKind::Device),
            Actor::Cpu => kind != Some(UserKind::Device),
            Actor::Device => kind == Some(UserKind::Device),
        };
        if fits {
            return self.one(&spoken.step, &at);
        }
        let (name, who) = (row.name(), &self.own.name);
        if row.actor == Actor::Device {
            let message = format!("`{name}` is a step of a device, and `{who}` is none");
            let instead = if name == "dma_write" { "store" } else { "load" };
            return Err(Diagnostic::new(
                Code::WrongActor,
                span,
                message,
                format!("write `{instead}`, or declare `device {who}`"),
            ));
        }
        let message = format!("`{name}` is no step of a device, and `{who}` is one");
        let help = "a device can walk, dma_read and dma_write; put the step into another column";
        Err(Diagnostic::new(Code::WrongActor, span, message, help))
    }

    pub(super) fn condition(&mut self, condition: &Condition, wanted: bool) -> Result<Ways, Diagnostic> {
        let handles: Vec<String> = self.own.handles.iter().map(|(name, _)| name.clone()).collect();
        let (names, hardware, agent) = (self.scope.names, self.scope.hardware, Some(self.own.agent));
        Conditions { state: self.state, names, hardware, agent, handles: &handles }.ways(condition, wanted)
    }

    /// A step that looks, and goes on behind it or at `otherwise`.
    fn test(
        &mut self,
        condition: &Condition,
        text: &str,
        otherwise: Goal,
        line: u32,
    ) -> Result<(), Diagnostic> {
        let held = self.condition(condition, true)?;
        let failed = self.condition(condition, false)?;
        let node = self.out.builder.nodes.len();
        let yes = held.into_iter().map(|guard| Way::new(guard, Vec::new(), text));
        let no = |guard| Way::new(guard, Vec::new(), format!("{text}: no")).to(otherwise).part(Part::Nothing);
        let ways = yes.chain(failed.into_iter().map(no)).collect();
        self.step(ways, line);
        self.does(node, Act::Decide);
        Ok(())
    }

    fn branch(
        &mut self,
        condition: &Condition,
        then: &[Statement],
        otherwise: &[Statement],
        (span, line): (Span, u32),
    ) -> Result<(), Diagnostic> {
        let (no, out, node) =
            (self.out.builder.label(), self.out.builder.label(), self.out.builder.nodes.len());
        let text = format!("if {condition}");
        let tested = self.test(condition, &text, Goal::Label(no), line);
        if tested.is_ok() {
            self.mark_test(node, (span, text), then, otherwise);
        }
        self.block(then);
        if !otherwise.is_empty() {
            self.silent(vec![Goal::Label(out)]);
        }
        self.out.builder.bind(no);
        self.block(otherwise);
        self.out.builder.bind(out);
        tested
    }

    fn repeat(&mut self, least: u32, most: u32, body: &[Statement], span: Span) {
        let out = self.out.builder.label();
        for round in 0..most {
            if self.is_too_long(span) {
                break;
            }
            let stop = (round >= least).then_some(Goal::Label(out));
            self.silent(std::iter::once(Goal::Next).chain(stop).collect());
            self.block(body);
        }
        self.out.builder.bind(out);
    }

    fn choice(&mut self, ways: &[Vec<Statement>]) {
        let out = self.out.builder.label();
        let labels: Vec<usize> = ways.iter().map(|_| self.out.builder.label()).collect();
        self.silent(labels.iter().map(|label| Goal::Label(*label)).collect());
        for (way, label) in ways.iter().zip(labels) {
            self.out.builder.bind(label);
            self.block(way);
            self.silent(vec![Goal::Label(out)]);
        }
        self.out.builder.bind(out);
    }

    fn atomic(&mut self, body: &[Statement], span: Span, line: u32) -> Result<(), Diagnostic> {
        let start = self.out.builder.nodes.len();
        let before = self.diagnostics.len();
        let inner = std::mem::replace(&mut self.manner.indivisible, true);
        self.block(body);
        self.manner.indivisible = inner;
        let end = self.out.builder.nodes.len();
        if end == start || self.diagnostics.len() > before {
            return Ok(());
        }
        let mut ways = merged(&self.out.builder, self.state, start, end).map_err(|_| {
            let help = "leave the loop or the second change of a count out of it";
            Diagnostic::new(Code::Indivisible, span, "these steps cannot be taken as one", help)
        })?;
        let drained = self.drained();
        ways.iter_mut().for_each(|way| way.guard.extend(drained));
        self.out.builder.nodes.truncate(start);
        self.out.builder.nodes.push(Place::Step(ways, line));
        for label in self.out.builder.labels.iter_mut().flatten() {
            // Labels at the end of the block now stand behind the one step.
            *label = if *label > start && *label >= end { start + 1 } else { *label };
        }
        Ok(())
    }

    /// A statement of this program as it is written.
    fn said(&self, statement: &Statement) -> String {
        let agent = self.scope.scenario.agents.get(self.own.agent);
        agent.map_or_else(String::new, |agent| agent.said(statement))
    }

    fn operation(&mut self, operation: &Operation, statement: &Statement) -> Result<(), Diagnostic> {
        self.scope.names.page(operation.page())?;
        for frame in operation.frames() {
            self.scope.names.filled(frame)?;
        }
        let node = self.out.builder.nodes.len();
        let part = std::mem::replace(&mut self.manner.unmarked, true);
        self.block(&expand(operation, statement.span));
        self.manner.unmarked = part;
        self.mark(node, statement.span, self.said(statement));
        Ok(())
    }

    fn assign(
        &mut self,
        name: &Name,
        how: Assignment,
        operand: &Operand,
        statement: &Statement,
    ) -> Result<(), Diagnostic> {
        let (span, line) = (statement.span, statement.span.line);
        let index = self.scope.names.variable(name)?;
        let happens = Happening::Assign(format!("{} {how} {operand}", name.node));
        let var = self.state.var(&Key::User(index));
        let text = self.said(statement);
        let mut of = None;
        let (read, values): (Option<_>, Vec<i64>) = match (&operand.term, how) {
            (Term::Number(number), Assignment::Set) => (None, vec![i64::from(*number)]),
            (Term::Number(number), Assignment::Add) => (Some(var), self.range(index, i64::from(*number))),
            (Term::Number(number), Assignment::Subtract) => {
                (Some(var), self.range(index, -i64::from(*number)))
            }
            (Term::Entry(other), Assignment::Set) => {
                let named = other.word().and_then(|name| self.scope.names.meaning(&name.node));
                let Some(Meaning::Variable(from)) = named else { return Err(no_value(operand.span)) };
                of = Some(from);
                (Some(self.state.var(&Key::User(from))), self.range(from, 0))
            }
            (Term::Entry(_), Assignment::Add | Assignment::Subtract) | (Term::Call(..), _) => {
                return Err(no_value(operand.span));
            }
        };
        let mut ways = Vec::new();
        for (seen, value) in (0..).zip(values) {
            let guard: Vec<_> = read.map(|read| Guard::Is(read, seen)).into_iter().collect();
            let (_, least, most) = self.state.domains.variables[index];
            let fits = (i64::from(least)..=i64::from(most)).contains(&(value + operand.plus));
            let way = |updates| Way::new(guard, updates, text.as_str()).happening(happens.clone());
            if fits {
                let new = u32::try_from(value + operand.plus - i64::from(least));
                let new = new.expect("a value that fits is not below the least");
                ways.push(way(vec![Update::Set(var, new)]));
            } else if self.scope.properties.range.is_some() {
                ways.push(way(Vec::new()).violating(self.scope.properties.range));
            }
        }
        let node = self.out.builder.nodes.len();
        self.step(ways, line);
        let number = if let Term::Number(number) = operand.term { i64::from(number) } else { 0 };
        let (of, plus) = match how {
            Assignment::Set => (of, number),
            Assignment::Add => (Some(index), number),
            Assignment::Subtract => (Some(index), -number),
        };
        let to = Sum { of, plus: plus + operand.plus };
        let locked = how != Assignment::Set;
        self.does(node, Act::Assign(Assigned { variable: index, to, locked }));
        self.mark(node, span, text);
        Ok(())
    }

    /// The values of a user variable, each with `plus` added.
    fn range(&self, index: usize, plus: i64) -> Vec<i64> {
        let (_, least, most) = &self.state.domains.variables[index];
        (i64::from(*least)..=i64::from(*most)).map(|value| value + plus).collect()
    }

    /// The frames that `name` may stand for.
    pub(super) fn targets(&mut self, name: &Name) -> Result<Vec<Target>, Diagnostic> {
        if !self.own.handles.iter().any(|(handle, _)| *handle == name.node) {
            return Ok(vec![Target { guard: Vec::new(), frame: Some(self.scope.names.frame(name)?) }]);
        }
        let var = self.state.var(&Key::Handle(self.own.agent, name.node.clone()));
        let target = |value, frame| Target { guard: vec![Guard::Is(var, value)], frame };
        // No entry through which a handle is taken leads to anything else.
        let frames = self.state.frames().filter(|frame| self.scope.names.frames[frame.0] == FrameKind::Frame);
        let frames = frames.map(|frame| target(number(frame.0) + 1, Some(frame)));
        Ok(std::iter::once(target(0, None)).chain(frames).collect())
    }

    /// The page behind a handle.
    pub(super) fn page_of(&self, name: &Name) -> Option<PageId> {
        self.own.handles.iter().find(|(handle, _)| *handle == name.node).and_then(|(_, page)| *page)
    }
}

/// The page that a step goes to through its agent's own cache.
const fn translated(step: &mut Step) -> Option<&mut Name> {
    match step {
        Step::Walk(page)
        | Step::Load(page)
        | Step::Store(page, _)
        | Step::DmaRead(page)
        | Step::DmaWrite(page, _) => Some(page),
        Step::Lock(..)
        | Step::Trylock(..)
        | Step::Unlock(_)
        | Step::Fence
        | Step::Enter(_)
        | Step::Leave(_)
        | Step::IpiSync
        | Step::SynchronizeRcu
        | Step::Entry(..)
        | Step::Invalidate(_)
        | Step::SetPasid(..)
        | Step::Switch(..)
        | Step::SetPasidHalf(..)
        | Step::InvWait(..)
        | Step::ZapSpmd(_)
        | Step::SetSpmd(..)
        | Step::Unplug(_)
        | Step::PageRequest(_)
        | Step::PageResponse(_)
        | Step::DrainRequests
        | Step::NotifyStart(_)
        | Step::NotifyEnd(_)
        | Step::ChangePte(_)
        | Step::ZapSpte(_)
        | Step::SetSpte(..)
        | Step::GupFast { .. }
        | Step::TryGet { .. }
        | Step::Peek { .. }
        | Step::Forget(_)
        | Step::Write(..)
        | Step::Read(_)
        | Step::Copy(..)
        | Step::Count(..) => None,
    }
}

fn no_value(span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::NoValue,
        span,
        "this is no value that a variable can take",
        "write a number or another variable",
    )
}
