//! GUP-fast: a reference taken without the page-table lock.
//!
//! Invariant: three steps (read the entry, take a reference, look again), each of which can fail and then leaves the
//! handle empty and no reference behind. `try_get` is the second of them. Source: mm/gup.c gup_fast_pte_range.

use crate::language::Diagnostic;
use crate::language::entry::Bit;
use crate::model::{Guard, Update, Var};

use super::super::agent::Emitter;
use super::super::entry::Need;
use super::super::names::FrameId;
use super::super::program::{Goal, Way};
use super::super::state::{Key, number};
use super::At;

/// What one call works on.
struct Gup {
    pte: Var,
    /// The entry as it was read.
    orig: Var,
    handle: Var,
    /// What the entry must allow.
    need: Need,
    /// Whether the reference pins.
    pin: bool,
    /// Where to go on with an empty handle.
    out: Goal,
}

impl Gup {
    fn empty(&self) -> Update {
        Update::Set(self.handle, 0)
    }
}

impl Emitter<'_> {
    pub(super) fn gup_fast(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let out = self.builder.label();
        let gup = self.gup(at, Goal::Label(out))?;
        let read = self.gup_read(&gup, at);
        self.step(read, at.line);
        let grab = self.gup_grab(&gup, at);
        self.step(grab, at.line);
        let again = self.gup_again(&gup, at);
        self.step(again, at.line);
        self.builder.bind(out);
        Ok(())
    }

    pub(super) fn try_get(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let gup = self.gup(at, Goal::Next)?;
        let mut ways: Vec<Way> = self
            .gup_unusable(gup.orig, &gup)
            .into_iter()
            .map(|guard| Way::new(vec![guard], vec![gup.empty()], format!("{}: no frame", at.step.text)))
            .collect();
        ways.extend(self.gup_grab(&gup, at));
        let ways = ways.into_iter().map(|way| way.happening(at.happening())).collect();
        self.step(ways, at.line);
        Ok(())
    }

    fn gup(&mut self, at: &At<'_>, out: Goal) -> Result<Gup, Diagnostic> {
        let page = self.page(at)?;
        let name = &at.filled(at.step.handle.as_ref())?.node;
        Ok(Gup {
            pte: self.state.var(&Key::Pte(page)),
            orig: self.state.var(&Key::Orig(self.agent, page)),
            handle: self.state.var(&Key::Handle(self.agent, name.clone())),
            need: if at.step.write { Need::Store } else { Need::Load },
            pin: at.step.pin,
            out,
        })
    }

    /// The entries of which a reference can be taken, with what they map.
    fn gup_usable(&self, gup: &Gup) -> Vec<(u32, FrameId)> {
        let entries = &self.state.domains.entries;
        let counted = |value: u32| !entries.get(value).bits.has(Bit::Special);
        entries.usable(gup.need).into_iter().filter(|(value, _)| counted(*value)).collect()
    }

    /// The guards under each of which what `var` holds is not such an entry.
    fn gup_unusable(&self, var: Var, gup: &Gup) -> Vec<Guard> {
        let entries = &self.state.domains.entries;
        let special = |value: u32| entries.get(value).bits.has(Bit::Special);
        let uncounted = entries.usable(gup.need).into_iter().filter(|(value, _)| special(*value));
        let lacks = std::iter::once(entries.lacks(var, gup.need));
        lacks.chain(uncounted.map(|(value, _)| Guard::Is(var, value))).collect()
    }

    fn gup_read(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let text = format!("{}: read pte", at.step.text);
        let seen = Update::Copy { to: gup.orig, from: gup.pte };
        let fails = |guard| Way::new(vec![guard], vec![seen, gup.empty()], text.as_str()).to(gup.out);
        let mut ways: Vec<_> = self.gup_unusable(gup.pte, gup).into_iter().map(fails).collect();
        for (value, _) in self.gup_usable(gup) {
            ways.push(Way::new(vec![Guard::Is(gup.pte, value)], vec![seen], text.as_str()));
        }
        ways
    }

    fn gup_grab(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let mut ways = Vec::new();
        for (value, frame) in self.gup_usable(gup) {
            let refs = self.state.var(&Key::Refs(frame));
            let most = self.state.domains.most_refs;
            let is = Guard::Is(gup.orig, value);
            let text = format!("{}: get {}", at.step.text, self.state.domains.frames[frame.0]);
            let way = |guard, updates| Way::new(guard, updates, text.as_str());
            ways.push(way(vec![is, Guard::Is(refs, 0)], vec![gup.empty()]).to(gup.out));
            let mut live = vec![is, Guard::IsNot(refs, 0), Guard::Below(refs, most)];
            let mut taken = vec![Update::Increment(refs), Update::Set(gup.handle, number(frame.0) + 1)];
            live.extend(self.drained());
            if gup.pin {
                let pins = self.state.var(&Key::Pins(frame));
                live.push(Guard::Below(pins, most));
                taken.push(Update::Increment(pins));
            }
            let full = way(vec![is, Guard::Is(refs, most)], Vec::new());
            ways.extend(self.or_out_of_range(way(live, taken), full));
        }
        ways
    }

    fn gup_again(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let text = &at.step.text;
        let same = Way::new(vec![Guard::Same(gup.pte, gup.orig)], Vec::new(), format!("{text}: re-check"));
        let mut ways = vec![same.happening(at.happening())];
        for frame in self.state.frames() {
            let refs = self.state.var(&Key::Refs(frame));
            let holds = Guard::Is(gup.handle, number(frame.0) + 1);
            let mut guard = vec![holds, Guard::Differ(gup.pte, gup.orig), Guard::IsNot(refs, 0)];
            guard.extend(self.drained());
            let mut dropped = vec![Update::Decrement(refs), gup.empty()];
            if gup.pin {
                dropped.push(Update::Decrement(self.state.var(&Key::Pins(frame))));
            }
            ways.push(Way::new(guard, dropped, format!("{text}: re-check fails")));
        }
        ways
    }
}
