//! GUP-fast: a reference taken without the page-table lock.
//!
//! Invariant: three steps (read the entry, take a reference, look again), each of which can fail and then leaves the
//! handle empty and no reference behind; `try_get` is the second of them. Under an upper entry that is read first, and
//! looked at again last, unless the step says `leaf`; if it maps a frame itself, it is the entry. Source: mm/gup.c
//! gup_fast_pte_range; gup_hugepte until 6.11, which looked again at the entry of the huge page alone.

use steps::entry::Bit;

use crate::language::Diagnostic;
use crate::language::span::Name;
use crate::model::{Guard, Update, Var};

use super::super::deed::{Found, Part};
use super::super::emitter::Emitter;
use super::super::entry::Need;
use super::super::names::{FrameId, PageId};
use super::super::program::{Goal, Way};
use super::super::state::{Key, number};
use super::At;

/// What a step asks for.
pub(super) struct Asked<'s> {
    pub(super) page: &'s Name,
    pub(super) handle: &'s Name,
    pub(super) write: bool,
    pub(super) pin: bool,
    pub(super) leaf: bool,
}

/// What one call works on.
#[derive(Clone)]
struct Gup {
    page: PageId,
    /// The upper entry, and as it was read.
    upper: Option<(Var, Var)>,
    pte: Var,
    /// The entry as it was read.
    orig: Var,
    handle: Var,
    /// What the entry must allow.
    need: Need,
    /// Whether the reference pins.
    pin: bool,
    /// Whether the upper entry is left out when it looks again.
    leaf: bool,
    /// Where to go on with an empty handle.
    out: Goal,
}

impl Gup {
    fn empty(&self) -> Update {
        Update::Set(self.handle, 0)
    }

    /// The same call on the upper entry, if there is one.
    fn of_upper(&self) -> Option<Self> {
        self.upper.map(|(pte, orig)| Self { pte, orig, upper: None, ..self.clone() })
    }
}

impl Emitter<'_> {
    pub(super) fn gup_fast(&mut self, asked: &Asked<'_>, at: &At<'_>) -> Result<(), Diagnostic> {
        let (start, out) = (self.out.builder.nodes.len(), self.out.builder.label());
        let gup = self.gup(asked, Goal::Label(out))?;
        let huge = self.out.builder.label();
        let upper = gup.of_upper();
        if let Some(upper) = &upper {
            let read = self.gup_read_upper(upper, Goal::Label(huge), at);
            self.step(read, at.line);
        }
        let read = self.gup_read(&gup, at);
        let read = self.in_table(gup.page, read, at);
        let in_freed = |way: Way| match way.violates {
            Some(_) => way.part(Part::ReadPte(Found::Nothing)),
            None => way,
        };
        let read = read.into_iter().map(in_freed).collect();
        self.step(read, at.line);
        self.gup_take(&gup, at);
        self.out.builder.bind(huge);
        if let Some(upper) = &upper {
            self.gup_take(upper, at);
        }
        self.out.builder.bind(out);
        self.masked(start);
        Ok(())
    }

    /// The two steps behind the one that reads the entry.
    fn gup_take(&mut self, gup: &Gup, at: &At<'_>) {
        let grab = self.gup_grab(gup, at);
        self.step(grab, at.line);
        let again = self.gup_again(gup, at);
        self.step(again, at.line);
    }

    pub(super) fn try_get(&mut self, asked: &Asked<'_>, at: &At<'_>) -> Result<(), Diagnostic> {
        let gup = self.gup(asked, Goal::Next)?;
        let mut ways: Vec<Way> = self
            .gup_unusable(gup.orig, &gup)
            .into_iter()
            .map(|guard| {
                Way::new(vec![guard], vec![gup.empty()], format!("{}: no frame", at.text)).part(Part::Nothing)
            })
            .collect();
        ways.extend(self.gup_grab(&gup, at));
        let ways = ways.into_iter().map(|way| way.happening(at.happening())).collect();
        self.step(ways, at.line);
        Ok(())
    }

    fn gup(&mut self, asked: &Asked<'_>, out: Goal) -> Result<Gup, Diagnostic> {
        let page = self.scope.names.page(asked.page)?;
        let name = &asked.handle.node;
        let above = self.scope.hardware.uppers.above(page);
        let upper = above.map(|above| {
            (self.state.var(&Key::Pmd(above)), self.state.var(&Key::PmdOrig(self.own.agent, above)))
        });
        Ok(Gup {
            page,
            upper,
            pte: self.state.var(&Key::Pte(page)),
            orig: self.state.var(&Key::Orig(self.own.agent, page)),
            handle: self.state.var(&Key::Handle(self.own.agent, name.clone())),
            need: if asked.write { Need::Store } else { Need::Load },
            pin: asked.pin,
            leaf: asked.leaf,
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

    /// Reads the upper entry: on to the page's own, or to `huge`.
    fn gup_read_upper(&mut self, gup: &Gup, huge: Goal, at: &At<'_>) -> Vec<Way> {
        let text = format!("{}: read pmd", at.text);
        let way = |guard: Vec<Guard>, updates: Vec<Update>, found: Found| {
            let seen = Update::Copy { to: gup.orig, from: gup.pte };
            let updates = std::iter::once(seen).chain(updates).collect();
            Way::new(guard, updates, text.as_str()).part(Part::ReadPmd(found))
        };
        let table = self.scope.hardware.uppers.table(gup.page);
        let table = table.map(|table| self.state.domains.entries.table(table));
        let mut ways: Vec<Way> = table
            .map(|table| way(vec![Guard::Is(gup.pte, table)], Vec::new(), Found::Next))
            .into_iter()
            .collect();
        for (value, _) in self.gup_usable(gup) {
            ways.push(way(vec![Guard::Is(gup.pte, value)], Vec::new(), Found::Huge).to(huge));
        }
        for unusable in self.gup_unusable(gup.pte, gup) {
            let guard = std::iter::once(unusable).chain(table.map(|table| Guard::IsNot(gup.pte, table)));
            ways.push(way(guard.collect(), vec![gup.empty()], Found::Nothing).to(gup.out));
        }
        ways
    }

    fn gup_read(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let text = format!("{}: read pte", at.text);
        let seen = Update::Copy { to: gup.orig, from: gup.pte };
        let way =
            |guard, updates, found| Way::new(vec![guard], updates, text.as_str()).part(Part::ReadPte(found));
        let fails = |guard| way(guard, vec![seen, gup.empty()], Found::Nothing).to(gup.out);
        let mut ways: Vec<_> = self.gup_unusable(gup.pte, gup).into_iter().map(fails).collect();
        for (value, _) in self.gup_usable(gup) {
            ways.push(way(Guard::Is(gup.pte, value), vec![seen], Found::Next));
        }
        ways
    }

    fn gup_grab(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let mut ways = Vec::new();
        for (value, frame) in self.gup_usable(gup) {
            let refs = self.state.var(&Key::Refs(frame));
            let most = self.state.domains.most_refs;
            let is = Guard::Is(gup.orig, value);
            let text = format!("{}: get {}", at.text, self.state.domains.frames[frame.0]);
            let way = |guard, updates, found| Way::new(guard, updates, text.as_str()).part(Part::Get(found));
            let free = way(vec![is, Guard::Is(refs, 0)], vec![gup.empty()], Found::Nothing);
            ways.push(free.to(gup.out));
            let mut live = vec![is, Guard::IsNot(refs, 0), Guard::Below(refs, most)];
            let mut taken = vec![Update::Increment(refs), Update::Set(gup.handle, number(frame.0) + 1)];
            live.extend(self.drained());
            let full = way(vec![is, Guard::Is(refs, most)], Vec::new(), Found::Next);
            if gup.pin {
                let pins = self.state.var(&Key::Pins(frame));
                live.push(Guard::Below(pins, most));
                taken.push(Update::Increment(pins));
                let room = vec![is, Guard::IsNot(refs, 0), Guard::Below(refs, most), Guard::Is(pins, most)];
                ways.extend(self.out_of_range(way(room, Vec::new(), Found::Next)));
            }
            ways.extend(self.or_out_of_range(way(live, taken, Found::Next), full));
        }
        ways
    }

    /// Looks at the upper entry, unless that is left out, and if that is the same, at the entry.
    fn gup_again(&mut self, gup: &Gup, at: &At<'_>) -> Vec<Way> {
        let text = at.text;
        let refs = gup.upper.and_then(|_| self.table_refs(gup.page));
        let upper = gup.upper.filter(|_| !gup.leaf);
        let above = upper.map(|(pmd, seen)| Guard::Same(pmd, seen));
        let freed: Vec<Guard> = above.into_iter().chain(refs.map(|refs| Guard::Is(refs, 0))).collect();
        let below: Vec<Guard> = above.into_iter().chain(refs.map(|refs| Guard::IsNot(refs, 0))).collect();
        let same = [below.as_slice(), &[Guard::Same(gup.pte, gup.orig)]].concat();
        let same = Way::new(same, Vec::new(), format!("{text}: re-check")).to(gup.out).part(Part::Again);
        let mut ways = vec![same.happening(at.happening())];
        let in_freed = |_| self.in_freed_table(freed, gup.page, &format!("{text}: re-check"));
        ways.extend(refs.map(in_freed).map(|way| way.part(Part::Again)));
        let other = [below.as_slice(), &[Guard::Differ(gup.pte, gup.orig)]].concat();
        let differ = upper.map(|(pmd, seen)| vec![Guard::Differ(pmd, seen)]);
        for differ in differ.into_iter().chain([other]) {
            ways.extend(self.gup_drop(gup, &differ, &format!("{text}: re-check fails")));
        }
        ways
    }

    /// The ways to drop what was taken.
    fn gup_drop(&mut self, gup: &Gup, differ: &[Guard], text: &str) -> Vec<Way> {
        let mut ways = Vec::new();
        for frame in self.state.frames() {
            let refs = self.state.var(&Key::Refs(frame));
            let mut guard = [&[Guard::Is(gup.handle, number(frame.0) + 1)], differ].concat();
            guard.extend(self.drained());
            let way = |guards: &[Guard], updates| {
                Way::new([guard.as_slice(), guards].concat(), updates, text).to(gup.out).part(Part::Drop)
            };
            // Somebody has freed it, whoever held it.
            let freed = way(&[Guard::Is(refs, 0)], vec![gup.empty()]);
            ways.push(freed.violating(self.scope.properties.freed));
            let (mut live, mut dropped) =
                (vec![Guard::IsNot(refs, 0)], vec![Update::Decrement(refs), gup.empty()]);
            if gup.pin {
                let pins = self.state.var(&Key::Pins(frame));
                let none = way(&[live[0], Guard::Is(pins, 0)], Vec::new());
                ways.extend(self.out_of_range(none));
                live.push(Guard::IsNot(pins, 0));
                dropped.push(Update::Decrement(pins));
            }
            ways.push(way(&live, dropped));
        }
        ways
    }
}
