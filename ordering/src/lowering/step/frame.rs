//! Steps on frames themselves: contents past every translation, references, map counts.
//!
//! Invariant: a frame is free when its last reference is dropped. Who then reads, writes, takes or drops it breaks the
//! built-in property; with that switched off, whoever takes or drops it goes on, and nothing is counted.

use steps::Count;

use crate::language::Diagnostic;
use crate::language::span::Name;
use crate::language::syntax::FrameKind;
use crate::model::{Guard, Update, Var};

use super::super::access::Access;
use super::super::deed::Part;
use super::super::emitter::Emitter;
use super::super::event::Happening;
use super::super::names::FrameId;
use super::super::program::Way;
use super::super::state::Key;
use super::At;

impl Emitter<'_> {
    /// An access past every translation, to a frame or through a handle.
    pub(super) fn direct(&mut self, name: &Name, access: Access, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.page_of(name);
        let mut ways = Vec::new();
        for target in self.targets(name)? {
            // No handle leads to a page-table page.
            if target.frame.is_some_and(|frame| self.scope.names.frames[frame.0] == FrameKind::Table) {
                self.scope.names.filled(name)?;
            }
            match target.frame {
                Some(frame) => {
                    ways.extend(self.at_frame(frame, page, access, &target.guard, (at.verb, at.text)));
                }
                None => ways.push(no_frame(target.guard, at)),
            }
        }
        self.step(ways, at.line);
        Ok(())
    }

    pub(super) fn copy(&mut self, from: &Name, to: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let (from, to) = (self.scope.names.filled(from)?, self.scope.names.filled(to)?);
        let (source, target) = (self.state.var(&Key::Content(from)), self.state.var(&Key::Content(to)));
        let mut live = Vec::new();
        let mut ways = Vec::new();
        if self.scope.survey.frees && self.scope.properties.freed.is_some() {
            for frame in [from, to] {
                let refs = self.state.var(&Key::Refs(frame));
                let freed = [live.as_slice(), &[Guard::Is(refs, 0)]].concat();
                ways.push(at.way(freed, Vec::new()).violating(self.scope.properties.freed));
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
    pub(super) fn count(&mut self, count: Count, name: &Name, at: &At<'_>) -> Result<(), Diagnostic> {
        let mut ways = Vec::new();
        for target in self.targets(name)? {
            let Some(frame) = target.frame else {
                ways.push(no_frame(target.guard, at));
                continue;
            };
            // Through a handle, properties look for the step by the frame's own name too.
            let named = format!("{} {}", at.verb.name(), self.state.domains.frames[frame.0]);
            for mut way in self.count_ways(count, frame, &target.guard, at) {
                if named != at.text {
                    way = way.happening(Happening::Step(at.verb, named.clone()));
                }
                ways.push(way);
            }
        }
        self.step(ways, at.line);
        Ok(())
    }

    fn count_ways(&mut self, count: Count, frame: FrameId, guard: &[Guard], at: &At<'_>) -> Vec<Way> {
        let with = |guards: &[Guard], updates: Vec<Update>| at.way([guard, guards].concat(), updates);
        if count == Count::MarkStable && !(self.scope.survey.frees && self.scope.properties.freed.is_some()) {
            return vec![with(&[], self.stable(frame, 1))];
        }
        let refs = self.state.var(&Key::Refs(frame));
        let most = self.state.domains.most_refs;
        let (is_free, live) = (Guard::Is(refs, 0), Guard::IsNot(refs, 0));
        let (room, full) = (Guard::Below(refs, most), Guard::Is(refs, most));
        let mut ways = match count {
            Count::Alloc => {
                let fresh = [vec![Update::Set(refs, 1)], self.stable(frame, 0)].concat();
                return vec![with(&[is_free], fresh)];
            }
            Count::MarkStable => vec![with(&[live], self.stable(frame, 1))],
            Count::Get => {
                let way = with(&[live, room], vec![Update::Increment(refs)]);
                self.or_out_of_range(way, with(&[full], Vec::new()))
            }
            Count::Put => vec![with(&[live], vec![Update::Decrement(refs)])],
            Count::Free => vec![with(&[live], vec![Update::Set(refs, 0)])],
            Count::Map | Count::Pin => {
                let counted = self.counted(count, frame);
                let both = vec![Update::Increment(refs), Update::Increment(counted)];
                let way = with(&[live, room, Guard::Below(counted, most)], both);
                let too_often = with(&[live, room, Guard::Is(counted, most)], Vec::new());
                let mut ways = self.or_out_of_range(way, with(&[full], Vec::new()));
                ways.extend(self.out_of_range(too_often));
                ways
            }
            Count::Unmap | Count::Unpin => {
                let counted = self.counted(count, frame);
                let both = vec![Update::Decrement(refs), Update::Decrement(counted)];
                let none = with(&[live, Guard::Is(counted, 0)], Vec::new());
                self.or_out_of_range(with(&[live, Guard::IsNot(counted, 0)], both), none)
            }
        };
        // Where that is no violation, the step goes on and counts nothing: nobody holds the frame that it could count for.
        let freed = self.scope.properties.freed;
        ways.push(with(&[is_free], Vec::new()).violating(freed));
        ways
    }

    /// The count that such a step changes beside the references.
    fn counted(&mut self, count: Count, frame: FrameId) -> Var {
        let pins = matches!(count, Count::Pin | Count::Unpin);
        self.state.var(&if pins { Key::Pins(frame) } else { Key::Mapcount(frame) })
    }

    /// Makes the frame a KSM page or an ordinary one; nothing if no frame ever becomes one.
    fn stable(&mut self, frame: FrameId, value: u32) -> Vec<Update> {
        let stable = self.scope.survey.stabilizes.then(|| self.state.var(&Key::Stable(frame)));
        stable.map(|stable| Update::Set(stable, value)).into_iter().collect()
    }
}

/// The way of a step through an empty handle.
pub(super) fn no_frame(guard: Vec<Guard>, at: &At<'_>) -> Way {
    Way::new(guard, Vec::new(), format!("{}: no frame", at.text)).part(Part::Nothing)
}
