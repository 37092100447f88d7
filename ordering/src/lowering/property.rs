//! Properties: the built-in ones, and those that a scenario asks for.
//!
//! Invariant: a property that no step can ever break is reported.

use crate::language::syntax::{Action, BuiltIn, Event, FrameKind, Question};
use crate::language::{BUILT_IN, Code, Diagnostic, did_you_mean};
use crate::model::{Check, Guard, Property, PropertyId};

use super::condition::Conditions;
use super::emitter::Properties;
use super::event::Watch;
use super::names::Meaning;
use super::queue::QUEUE;
use super::state::Key;
use super::{Lowering, NEVER_HAPPENS};

impl Lowering<'_> {
    fn add(&mut self, text: String, check: Check, line: u32) -> PropertyId {
        self.properties.push(Property { text, check, line });
        let index = u16::try_from(self.properties.len() - 1);
        PropertyId(index.expect("there are at most as many as MOST_THINGS and the built-in ones"))
    }

    pub(super) fn built_in(&mut self) -> Properties {
        let mut found = Properties::default();
        for &(name, property) in BUILT_IN {
            let tables = self.names.frames.contains(&FrameKind::Table);
            let of_tables = matches!(property, BuiltIn::FreedTable | BuiltIn::UnlinkedTable);
            if !self.options.is_on(property) || (of_tables && !tables) {
                continue;
            }
            let check = match property {
                BuiltIn::Deadlock => Check::Deadlock,
                BuiltIn::Livelock => Check::Livelock,
                BuiltIn::FreedFrame
                | BuiltIn::FreedTable
                | BuiltIn::UnlinkedTable
                | BuiltIn::Unlock
                | BuiltIn::Range => Check::Step,
            };
            let id = Some(self.add(format!("never {name}"), check, 0));
            match property {
                BuiltIn::FreedFrame => found.freed = id,
                BuiltIn::FreedTable => found.walked = id,
                BuiltIn::Unlock => found.unlock = id,
                BuiltIn::Range => found.range = id,
                BuiltIn::UnlinkedTable => found.unlinked = id,
                BuiltIn::Deadlock | BuiltIn::Livelock => {}
            }
        }
        found
    }

    pub(super) fn property(&mut self, index: usize) -> Result<(), Diagnostic> {
        let property = &self.scenario.properties[index];
        let (text, line) = (property.text.clone(), property.span.line);
        match &property.node {
            Question::BuiltIn(built_in) => {
                if !self.options.is_on(*built_in) {
                    let help = "leave the property out, or the option that switches it off";
                    return Err(Diagnostic::new(
                        Code::SwitchedOff,
                        property.span,
                        "an option switches this property off",
                        help,
                    ));
                }
                self.properties
                    .iter_mut()
                    .filter(|known| known.text == text)
                    .for_each(|known| known.line = line);
            }
            Question::Always(condition) | Question::Finally(condition) => {
                let (names, hardware, state) = (self.names, self.hardware, &mut self.state);
                let mut ways =
                    Conditions { state, names, hardware, agent: None, handles: &[] }.ways(condition, true)?;
                if ways.iter().any(Vec::is_empty) {
                    let help = "compare with a value that it can have";
                    return Err(Diagnostic::new(
                        Code::AlwaysHolds,
                        property.span,
                        "this always holds: it can never fail",
                        help,
                    ));
                }
                let always = matches!(property.node, Question::Always(_));
                // The end is when all stores have reached memory.
                if !always {
                    let first = |agent| self.state.buffer(agent).0.first().copied();
                    ways.extend(
                        (0..self.survey.habits.len())
                            .filter_map(first)
                            .map(|slot| vec![Guard::IsNot(slot, 0)]),
                    );
                }
                self.add(text, if always { Check::Always(ways) } else { Check::Finally(ways) }, line);
            }
            Question::Never { event, after, until } => {
                for event in [Some(event), after.as_ref(), until.as_ref()].into_iter().flatten() {
                    self.known(event)?;
                }
                let ghost = after.as_ref().map(|_| self.state.var(&Key::Ghost(self.watches.len())));
                let property = self.add(text, Check::Step, line);
                let mark = after.as_ref().map(|_| self.marks.after(property));
                let (event, after, until) = (event.clone(), after.clone(), until.clone());
                self.watches.push(Watch { property, event, after, until, ghost, mark, seen: [false; 2] });
            }
        }
        Ok(())
    }

    /// The names in an event must be declared.
    fn known(&self, event: &Event) -> Result<(), Diagnostic> {
        if let Some(agent) = &event.agent
            && !self.scenario.agents.iter().any(|known| known.name.node == agent.node)
            && (agent.node != QUEUE || self.survey.posted.is_empty())
        {
            let known: Vec<_> = self.scenario.agents.iter().map(|agent| agent.name.node.as_str()).collect();
            let help = did_you_mean(&agent.node, &known, &format!("the agents are {}", known.join(", ")));
            return Err(Diagnostic::new(
                Code::UnknownAgent,
                agent.span,
                format!("there is no agent `{}`", agent.node),
                help,
            ));
        }
        if let Action::Reads(place, _) | Action::Writes(place, _) = &event.action
            && !matches!(self.names.meaning(&place.node), Some(Meaning::Page(_) | Meaning::Frame(_)))
        {
            return self.names.frame(place).map(drop);
        }
        if let Action::Assigns { variable, .. } = &event.action {
            return self.names.variable(variable).map(drop);
        }
        Ok(())
    }

    pub(super) fn never_seen(&mut self) {
        for watch in &self.watches {
            let unseen = [(Some(&watch.event), watch.seen[0]), (watch.after.as_ref(), watch.seen[1])];
            for event in unseen.into_iter().filter_map(|(event, seen)| event.filter(|_| !seen)) {
                let message = "this property can never fail: no step of any program is this";
                let help = "name an agent, a step and a value that occur in the programs";
                let diagnostic = Diagnostic::new(Code::NeverHappens, event.span, message, help);
                self.diagnostics.push(diagnostic.with_label(NEVER_HAPPENS));
            }
        }
    }
}
