//! GUP-fast: a reference taken without the page-table lock.
//!
//! Invariant: three steps (read the entry, take a reference, look again), each of which can fail and then leaves the
//! handle empty and no reference behind. Source: mm/gup.c gup_fast_pte_range.

use crate::language::Diagnostic;
use crate::language::syntax::Permission;
use crate::model::{Guard, Update, Var};

use super::super::agent::Emitter;
use super::super::names::FrameId;
use super::super::program::{Goal, Way};
use super::super::state::{Key, mapped, number};
use super::At;

/// What one call works on.
struct Gup {
    pte: Var,
    /// The entry as it was read.
    seen: Var,
    handle: Var,
    /// The label behind all of it.
    out: usize,
}

impl Gup {
    fn empty(&self) -> Update {
        Update::Set(self.handle, 0)
    }

    fn holds(&self, frame: FrameId) -> Guard {
        Guard::Is(self.handle, number(frame.0) + 1)
    }
}

impl Emitter<'_> {
    pub(super) fn gup_fast(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.page(at)?;
        let name = &at.filled(at.step.handle.as_ref())?.node;
        let gup = Gup {
            pte: self.state.var(&Key::Pte(page)),
            seen: self.state.var(&Key::Seen(self.agent, name.clone())),
            handle: self.state.var(&Key::Handle(self.agent, name.clone())),
            out: self.builder.label(),
        };
        let read = self.gup_read(&gup, at);
        self.step(read, at.line);
        let grab = self.gup_grab(&gup, at);
        self.step(grab, at.line);
        let again = self.gup_again(&gup, at);
        self.step(again, at.line);
        self.builder.bind(gup.out);
        Ok(())
    }

    fn gup_read(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let text = format!("{}: read pte", at.step.text);
        let mut ways = Vec::new();
        for value in 0..self.state.size(gup.pte) {
            let guard = vec![Guard::Is(gup.pte, value)];
            let usable =
                mapped(value).filter(|(_, allows)| !at.step.write || *allows == Permission::ReadWrite);
            ways.push(match usable {
                None => Way::new(guard, vec![gup.empty()], text.as_str()).to(Goal::Label(gup.out)),
                Some((frame, _)) => {
                    let updates =
                        vec![Update::Set(gup.seen, value), Update::Set(gup.handle, number(frame.0) + 1)];
                    Way::new(guard, updates, text.as_str())
                }
            });
        }
        ways
    }

    fn gup_grab(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let mut ways = Vec::new();
        for frame in self.state.frames() {
            let refs = self.state.var(&Key::Refs(frame));
            let most = self.state.domains.most_refs;
            let is = gup.holds(frame);
            let text = format!("{}: get {}", at.step.text, self.state.domains.frames[frame.0]);
            let way = |guard, updates| Way::new(guard, updates, text.as_str());
            ways.push(way(vec![is, Guard::Is(refs, 0)], vec![gup.empty()]).to(Goal::Label(gup.out)));
            let live = vec![is, Guard::IsNot(refs, 0), Guard::Below(refs, most)];
            let full = way(vec![is, Guard::Is(refs, most)], Vec::new());
            ways.extend(self.or_out_of_range(way(live, vec![Update::Increment(refs)]), full));
        }
        ways
    }

    fn gup_again(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let text = &at.step.text;
        let same = Way::new(vec![Guard::Same(gup.pte, gup.seen)], Vec::new(), format!("{text}: re-check"));
        let mut ways = vec![same.happening(at.happening())];
        for frame in self.state.frames() {
            let refs = self.state.var(&Key::Refs(frame));
            let guard = vec![gup.holds(frame), Guard::Differ(gup.pte, gup.seen), Guard::IsNot(refs, 0)];
            let dropped = vec![Update::Decrement(refs), gup.empty()];
            ways.push(Way::new(guard, dropped, format!("{text}: re-check fails")));
        }
        ways
    }
}
