//! What happens at a step, and whether that is what a property's event names.
//!
//! Invariant: a value in an event is compared with the value that was read or written, never with a frame's later
//! content.

use steps::table::Verb;

use crate::language::syntax::{Action, Comparison, Event};

use crate::model::{Guard, MarkId, PropertyId, Update, Var};

use super::names::{FrameId, Meaning, Names, PageId};
use super::program::Way;

/// Something that a way of a step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Happening {
    /// A read that returns the value.
    Read(Option<PageId>, FrameId, u32),
    /// A write of the value.
    Write(Option<PageId>, FrameId, u32),
    /// A step, with its text in the scenario.
    Step(Verb, String),
    /// An assignment, with one blank between two words.
    Assign(String),
}

/// Whether `event` names what `agent` does.
pub(super) fn matches(event: &Event, who: &str, happening: &Happening, names: &Names) -> bool {
    if event.agent.as_ref().is_some_and(|name| name.node != who) {
        return false;
    }
    match (&event.action, happening) {
        (Action::Reads(place, value), Happening::Read(page, frame, found))
        | (Action::Writes(place, value), Happening::Write(page, frame, found)) => {
            is_at(names.meaning(&place.node), *page, *frame) && is_value(*value, *found)
        }
        (Action::Step(Verb::Write, text), Happening::Write(page, ..)) if page.is_some() => {
            // `write A` of a page is what goes through a handle of that page.
            text.strip_prefix("write ").and_then(|place| names.meaning(place)) == page.map(Meaning::Page)
        }
        (Action::Step(verb, text), Happening::Step(taken, shown)) => verb == taken && begins(shown, text),
        (Action::Assigns { text, .. }, Happening::Assign(shown)) => text == shown,
        (Action::Reads(..) | Action::Writes(..) | Action::Step(..) | Action::Assigns { .. }, _) => false,
    }
}

fn is_at(place: Option<Meaning>, page: Option<PageId>, frame: FrameId) -> bool {
    place == Some(Meaning::Frame(frame)) || (page.is_some() && place == page.map(Meaning::Page))
}

fn is_value(wanted: Option<(Comparison, u32)>, found: u32) -> bool {
    wanted.is_none_or(|(how, value)| how.holds(found.into(), value.into()))
}

/// Whether `text` is the beginning of `shown`, up to the end of a word.
fn begins(shown: &str, text: &str) -> bool {
    shown.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A property's `never`, as far as it is known before the programs.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) property: PropertyId,
    pub(super) event: Event,
    pub(super) after: Option<Event>,
    pub(super) until: Option<Event>,
    /// Remembers that `after` has happened.
    pub(super) ghost: Option<Var>,
    /// What says that `after` happens.
    pub(super) mark: Option<MarkId>,
    /// Whether any step could be the event, and any `after`.
    pub(super) seen: [bool; 2],
}

/// Splits `way` by what the properties remember, and lets it remember.
pub(super) fn watch(way: Way, agent: &str, names: &Names, watches: &mut [Watch]) -> Vec<Way> {
    let happens = way.happens.clone();
    let is = |event: &Event| happens.iter().any(|one| matches(event, agent, one, names));
    let mut rest = Some(way);
    let mut found = Vec::new();
    let (mut remembers, mut marks) = (Vec::new(), Vec::new());
    for watch in watches {
        if watch.after.as_ref().is_some_and(&is) {
            watch.seen[1] = true;
            marks.extend(watch.mark);
            remembers.extend(watch.ghost.map(|ghost| Update::Set(ghost, 1)));
        } else if watch.until.as_ref().is_some_and(&is) {
            remembers.extend(watch.ghost.map(|ghost| Update::Set(ghost, 0)));
        }
        if !is(&watch.event) {
            continue;
        }
        watch.seen[0] = true;
        let Some(mut ok) = rest.take_if(|way| way.violates.is_none()) else { continue };
        let mut bad = ok.clone();
        bad.violates = Some(watch.property);
        if let Some(ghost) = watch.ghost {
            bad.guard.push(Guard::Is(ghost, 1));
            ok.guard.push(Guard::Is(ghost, 0));
            rest = Some(ok);
        }
        found.push(bad);
    }
    found.extend(rest);
    for way in &mut found {
        way.updates.extend(remembers.iter().copied());
        way.marks.extend(&marks);
    }
    found
}
