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
        let mut behind = Behind::default();
        for line in &command.lines {
            match line {
                Line::Begin => behind.append_to(&mut text),
                Line::Effect(effect) => text.push(effect.clone()),
                Line::Named(..) | Line::Touch(_) => self.see(command.agent, line, &mut text, &mut behind),
            }
        }
        behind.append_to(&mut text);
        text
    }

    fn see(&self, agent: Option<usize>, line: &Line, text: &mut Vec<String>, behind: &mut Behind) {
        for (number, property) in self.scenario.properties.iter().enumerate() {
            let Property::Never { what, after, until } = property else { continue };
            if let Some(when) = Self::happens(agent, line, what) {
                let armed = if after.is_some() { format!("arm{number} && ") } else { String::new() };
                text.push(format!("bad = (bad || ({armed}{when}))"));
            }
            let noted = |event: &Option<Event>| Self::happens(agent, line, event.as_ref()?);
            if let Some(when) = noted(until) {
                text.push(format!("off{number} = (off{number} || {when})"));
                behind.ends.push(format!("arm{number} = (off{number} -> 0 : arm{number}); off{number} = 0"));
            }
            if let Some(when) = noted(after).filter(|_| self.mistake != Mistake::EventNeverArms) {
                text.push(format!("on{number} = (on{number} || {when})"));
                behind.begins.push(format!("arm{number} = (on{number} -> 1 : arm{number}); on{number} = 0"));
            }
        }
    }
}

/// What is remembered of a step's events when it is over. What begins in the step in which it ends has begun.
#[derive(Default)]
struct Behind {
    ends: Vec<String>,
    begins: Vec<String>,
}

impl Behind {
    fn append_to(&mut self, text: &mut Vec<String>) {
        text.append(&mut self.ends);
        text.append(&mut self.begins);
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
