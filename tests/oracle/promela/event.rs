//! Events: which steps are one, and when.
//!
//! Invariant: an event is seen in the state before its step. Source: docs/language.md, "Properties".

use super::command::{Command, Line, Touch};
use super::{Mistake, Promela};
use crate::oracle::entry::Things;
use crate::oracle::setting::{Event, Property, Touched};

impl Promela<'_> {
    /// When this line of this command is the event; None if it never is.
    fn happens(agent: Option<usize>, line: &Line, event: &Event) -> Option<String> {
        match (line, event) {
            (Line::Named(step, happens), Event::Step(who, text)) => {
                let named = step == text || step.starts_with(&format!("{text} "));
                (named && is_by(agent, *who)).then(|| happens.clone())
            }
            (Line::Touch(touch), Event::Reads(who, what, value)) => {
                (!touch.is_write && is_by(agent, *who)).then(|| touches(touch, *what, *value))?
            }
            (Line::Touch(touch), Event::Writes(who, what, value)) => {
                (touch.is_write && is_by(agent, *who)).then(|| touches(touch, *what, *value))?
            }
            (Line::Named(..), Event::Reads(..) | Event::Writes(..))
            | (Line::Touch(_), Event::Step(..))
            | (Line::Effect(_) | Line::Begin, _) => None,
        }
    }

    /// What the lines of a command do, events included. A step that is both the event and what it comes after breaks
    /// nothing by itself; the steps of an `atomic` come one after the other.
    pub(super) fn effects(&self, command: &Command) -> Vec<String> {
        let mut text = Vec::new();
        let mut behind = Vec::new();
        for line in &command.lines {
            match line {
                Line::Begin => text.append(&mut behind),
                Line::Effect(effect) => text.push(effect.clone()),
                Line::Named(..) | Line::Touch(_) => self.see(command.agent, line, &mut text, &mut behind),
            }
        }
        text.append(&mut behind);
        text
    }

    fn see(&self, agent: Option<usize>, line: &Line, text: &mut Vec<String>, behind: &mut Vec<String>) {
        for (number, property) in self.scenario.properties.iter().enumerate() {
            let Property::Never { what, after, until } = property else { continue };
            if let Some(when) = Self::happens(agent, line, what) {
                let armed = if after.is_some() { format!("arm{number} && ") } else { String::new() };
                text.push(format!("bad = (bad || ({armed}{when}))"));
            }
            let noted = |event: &Option<Event>| Self::happens(agent, line, event.as_ref()?);
            for (flag, value, when) in [("off", 0, noted(until)), ("on", 1, noted(after))] {
                let Some(when) = when else { continue };
                text.push(format!("{flag}{number} = ({flag}{number} || {when})"));
                if self.mistake != Mistake::EventNeverArms {
                    behind.push(format!("arm{number} = ({flag}{number} -> {value} : arm{number})"));
                }
                behind.push(format!("{flag}{number} = 0"));
            }
        }
    }
}

fn is_by(agent: Option<usize>, who: Option<usize>) -> bool {
    who.is_none() || who == agent
}

fn touches(touch: &Touch, what: Touched, value: Option<(&'static str, u8)>) -> Option<String> {
    let mut all = vec![touch.happens.clone()];
    match what {
        Touched::Page(page) => all.push(format!("({} == {})", touch.page.as_ref()?, page.0 + 1)),
        Touched::Frame(frame) => all.push(format!("({} == {})", touch.frame, Things::frame(frame))),
    }
    if let Some((sign, value)) = value {
        all.push(format!("({} {sign} {value})", touch.value));
    }
    Some(format!("({})", all.join(" && ")))
}
