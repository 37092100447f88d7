//! Random properties, of what the programs do.

use super::Draw;
use super::look::Looker;
use crate::oracle::entry::{Entry, Target};
use crate::oracle::program::{Condition, Look, Statement};
use crate::oracle::setting::{Event, Property, Touched};
use crate::oracle::step::{Access, Held, Page, Step};

/// What an event may name: a step, or an assignment in whole.
#[derive(Clone)]
enum Named {
    Step(Step),
    Assignment(String),
}

fn steps(body: &[Statement], found: &mut Vec<Named>) {
    for statement in body {
        match statement {
            Statement::Step(step) => found.push(Named::Step(step.clone())),
            Statement::Assign(..) => found.push(Named::Assignment(statement.line())),
            Statement::Repeat(_, _, body) | Statement::Atomic(body) => steps(body, found),
            Statement::If(_, then, other) => {
                steps(then, found);
                steps(other, found);
            }
            Statement::Choice(branches) => branches.iter().for_each(|branch| steps(branch, found)),
            Statement::Trylock(..)
            | Statement::When(_)
            | Statement::Check(..)
            | Statement::Goto(_)
            | Statement::Label(_)
            | Statement::End => {}
        }
    }
}

impl Draw {
    /// Every step and assignment of the programs, with its agent.
    fn all_steps(&self) -> Vec<(usize, Named)> {
        let mut all = Vec::new();
        for (agent, program) in self.scenario.agents.iter().enumerate() {
            let mut found = Vec::new();
            steps(&program.body, &mut found);
            all.extend(found.into_iter().map(|step| (agent, step)));
        }
        all
    }

    /// An event that some step is; by its agent, or by anybody.
    fn event(&mut self) -> Option<Event> {
        let all = self.all_steps();
        let (agent, step) = all[self.rng.usize(0..all.len())].clone();
        let who = if self.once_in(4) { None } else { Some(agent) };
        let step = match step {
            Named::Step(step) => step,
            Named::Assignment(text) => return Some(Event::Step(who, text)),
        };
        let value = |draw: &mut Self| draw.rng.bool().then(|| (draw.one(&["==", "!="]), draw.rng.u8(0..4)));
        let near = |draw: &mut Self, page: Page| match draw.once_in(3) {
            true => Touched::Frame(draw.frame()),
            false => Touched::Page(page),
        };
        if let Step::Access { how: Access::Read, page, .. } = step {
            return Some(Event::Reads(who, near(self, page), value(self)));
        }
        if let Step::Access { how: Access::Write(written), page, .. } = step
            && self.rng.u32(0..3) > 0
        {
            return Some(Event::Writes(who, near(self, page), self.once_in(3).then_some(("==", written))));
        }
        if let Step::Read(Held::Frame(frame)) = step {
            return Some(Event::Reads(who, Touched::Frame(frame), value(self)));
        }
        if let Step::Write(held, _) = step {
            let frame = if let Held::Frame(frame) = held { frame } else { self.frame() };
            return Some(Event::Writes(who, Touched::Frame(frame), None));
        }
        self.is_one_step(&step).then(|| Event::Step(who, step.to_string()))
    }

    fn is_one_step(&self, step: &Step) -> bool {
        let several = self.scenario.options.iter().any(|(name, _)| *name == "flush");
        let never = matches!(
            step,
            Step::Access { how: Access::Walk, .. }
                | Step::GupFast { .. }
                | Step::PageRequest(_)
                | Step::ClearFlush(_)
                | Step::ClearFlushNotify(_)
                | Step::IpiSync
                | Step::SynchronizeRcu
        );
        !(never || several && matches!(step, Step::Invalidate { .. }))
    }

    fn never(&mut self) -> Option<Property> {
        let what = self.event()?;
        let after = if self.rng.u32(0..3) > 0 { Some(self.event()?) } else { None };
        let until = match &after {
            Some(after) if self.once_in(3) => {
                let until = self.event()?;
                (until != *after && until != what).then_some(until)
            }
            Some(_) | None => None,
        };
        Some(Property::Never { what, after, until })
    }

    pub(super) fn properties(&mut self) {
        for _ in 0..self.rng.usize(1..3) {
            let property = match self.rng.u32(0..6) {
                0 => Some(Property::Always(self.condition(Looker::Property))),
                1 => Some(Property::Finally(self.condition(Looker::Property))),
                _ => (0..4).find_map(|_| self.never()),
            };
            self.scenario.properties.extend(property);
        }
        if let Some((_, tag)) = self.scenario.context(0).filter(|_| self.rng.bool()) {
            let look = Look::Tagged(0, self.page(), tag);
            let empty = Condition::Entry(look, true, Entry::of(Target::Nothing));
            self.scenario.properties.push(Property::Finally(empty));
        }
    }
}
