//! Steps on frames themselves: contents past every translation, references, map counts.
//!
//! Invariant: a frame is free when its last reference is dropped. Who then reads, writes, takes or drops it breaks the
//! built-in property.

use crate::language::Diagnostic;
use crate::language::vocabulary::Verb;
use crate::model::{Guard, PropertyId, Update};

use super::super::access::Access;
use super::super::agent::Emitter;
use super::super::event::Happening;
use super::super::names::FrameId;
use super::super::program::Way;
use super::super::state::Key;
use super::At;

impl Emitter<'_> {
    /// An access past every translation, to a frame or through a handle.
    pub(super) fn direct(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let access = match &at.step.value {
            Some(value) => Access::Write(value.node),
            None => Access::Read,
        };
        let name = at.filled(at.step.frame.as_ref())?;
        let page = self.page_of(name);
        let mut ways = Vec::new();
        for target in self.targets(name)? {
            match target.frame {
                Some(frame) => {
                    ways.extend(self.at_frame(
                        frame,
                        page,
                        access,
                        &target.guard,
                        (at.step.verb, &at.step.text),
                    ));
                }
                None => ways.push(Way::new(target.guard, Vec::new(), format!("{}: no frame", at.step.text))),
            }
        }
        self.step(ways, at.line);
        Ok(())
    }

    pub(super) fn copy(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let from = self.names.frame(at.filled(at.step.frame.as_ref())?)?;
        let to = self.names.frame(at.filled(at.step.to.as_ref())?)?;
        let (source, target) = (self.state.var(&Key::Content(from)), self.state.var(&Key::Content(to)));
        let mut live = Vec::new();
        let mut ways = Vec::new();
        if self.frees && self.properties.freed.is_some() {
            for frame in [from, to] {
                let refs = self.state.var(&Key::Refs(frame));
                let freed = [live.as_slice(), &[Guard::Is(refs, 0)]].concat();
                ways.push(at.way(freed, Vec::new()).violating(self.properties.freed));
                live.push(Guard::IsNot(refs, 0));
            }
        }
        for (index, value) in (0..).zip(self.state.domains.contents.clone()) {
            let guard = [live.as_slice(), &[Guard::Is(source, index)]].concat();
            let way = at.way(guard, vec![Update::Set(target, index)]);
            let read = Happening::Read(None, from, value);
            ways.push(way.happening(read).happening(Happening::Write(None, to, value)));
        }
        self.step(ways, at.line);
        Ok(())
    }

    /// Steps that change what holds a frame.
    pub(super) fn count(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let mut ways = Vec::new();
        for target in self.targets(at.filled(at.step.frame.as_ref())?)? {
            let Some(frame) = target.frame else {
                ways.push(Way::new(target.guard, Vec::new(), format!("{}: no frame", at.step.text)));
                continue;
            };
            // Through a handle, properties look for the step by the frame's own name too.
            let named = format!("{} {}", at.step.verb.name(), self.state.domains.frames[frame.0]);
            for mut way in self.count_ways(frame, &target.guard, at) {
                if named != at.step.text {
                    way = way.happening(Happening::Step(at.step.verb, named.clone()));
                }
                ways.push(way);
            }
        }
        self.step(ways, at.line);
        Ok(())
    }

    fn count_ways(&mut self, frame: FrameId, guard: &[Guard], at: &At<'_>) -> Vec<Way> {
        let freed: Option<PropertyId> = self.properties.freed;
        let with = |guards: &[Guard], updates: Vec<Update>| at.way([guard, guards].concat(), updates);
        if at.step.verb == Verb::MarkStable && !self.frees {
            return vec![with(&[], self.stable(frame, 1))];
        }
        let refs = self.state.var(&Key::Refs(frame));
        let most = self.state.domains.most_refs;
        let gone = with(&[Guard::Is(refs, 0)], Vec::new()).violating(freed);
        let gone = freed.map(|_| gone);
        let (held, full) = ([Guard::IsNot(refs, 0), Guard::Below(refs, most)], [Guard::Is(refs, most)]);
        let pins = matches!(at.step.verb, Verb::Pin | Verb::Unpin);
        let counted = if pins { Key::Pins(frame) } else { Key::Mapcount(frame) };
        let mut ways = match at.step.verb {
            Verb::Alloc => {
                let fresh = [vec![Update::Set(refs, 1)], self.stable(frame, 0)].concat();
                return vec![with(&[Guard::Is(refs, 0)], fresh)];
            }
            Verb::MarkStable => vec![with(&[Guard::IsNot(refs, 0)], self.stable(frame, 1))],
            Verb::Get => {
                self.or_out_of_range(with(&held, vec![Update::Increment(refs)]), with(&full, Vec::new()))
            }
            Verb::Put => vec![with(&[Guard::IsNot(refs, 0)], vec![Update::Decrement(refs)])],
            Verb::Free => vec![with(&[Guard::IsNot(refs, 0)], vec![Update::Set(refs, 0)])],
            Verb::Map | Verb::Pin => {
                let count = self.state.var(&counted);
                let guards = [held[0], held[1], Guard::Below(count, most)];
                let both = vec![Update::Increment(refs), Update::Increment(count)];
                self.or_out_of_range(with(&guards, both), with(&full, Vec::new()))
            }
            _ => {
                let count = self.state.var(&counted);
                let both = vec![Update::Decrement(refs), Update::Decrement(count)];
                let unmapped = with(&[Guard::IsNot(refs, 0), Guard::Is(count, 0)], Vec::new());
                self.or_out_of_range(with(&[Guard::IsNot(refs, 0), Guard::IsNot(count, 0)], both), unmapped)
            }
        };
        ways.extend(gone);
        ways
    }

    /// Makes the frame a KSM page or an ordinary one; nothing if no frame ever becomes one.
    fn stable(&mut self, frame: FrameId, value: u32) -> Vec<Update> {
        let stable = self.stabilizes.then(|| self.state.var(&Key::Stable(frame)));
        stable.map(|stable| Update::Set(stable, value)).into_iter().collect()
    }
}
