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
            | (Line::Effect(_), _) => None,
        }
    }

    /// What the lines of a command do, events included.
    pub(super) fn effects(&self, command: &Command) -> Vec<String> {
        let mut text = Vec::new();
        let mut behind = Vec::new();
        for line in &command.lines {
            if let Line::Effect(effect) = line {
                text.push(effect.clone());
                continue;
            }
            for (number, property) in self.scenario.properties.iter().enumerate() {
                let Property::Never { what, after, until } = property else { continue };
                if let Some(when) = Self::happens(command.agent, line, what) {
                    let armed = if after.is_some() { format!("arm{number} && ") } else { String::new() };
                    text.push(format!("bad = (bad || ({armed}{when}))"));
                }
                let noted = |event: &Option<Event>, word: &str| {
                    let when = Self::happens(command.agent, line, event.as_ref()?)?;
                    Some(format!("{word}{number} = ({word}{number} || {when})"))
                };
                text.extend(noted(after, "on"));
                text.extend(noted(until, "off"));
                let sets = noted(after, "on").is_some() || noted(until, "off").is_some();
                if sets && !behind.contains(&number) {
                    behind.push(number);
                }
            }
        }
        if self.mistake != Mistake::EventNeverArms {
            for number in &behind {
                text.push(format!("arm{number} = (on{number} -> 1 : (off{number} -> 0 : arm{number}))"));
            }
        }
        text.extend(behind.iter().flat_map(|number| [format!("on{number} = 0"), format!("off{number} = 0")]));
        text
    }
}

fn is_by(agent: Option<usize>, who: Option<usize>) -> bool {
    who.is_none() || who == agent
}

fn touches(touch: &Touch, what: Touched, value: Option<(&'static str, u8)>) -> Option<String> {
    let mut all = vec![touch.happens.clone()];
    match what {
        Touched::Page(page) if touch.page == Some(page.0) => {}
        Touched::Page(_) => return None,
        Touched::Frame(frame) => all.push(format!("({} == {})", touch.frame, Things::frame(frame))),
    }
    if let Some((sign, value)) = value {
        all.push(format!("({} {sign} {value})", touch.value));
    }
    Some(format!("({})", all.join(" && ")))
}
