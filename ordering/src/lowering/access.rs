//! Walks, loads, stores and DMA: everything that goes through a translation.
//!
//! Invariant: translating and using are two steps. Who has a usable entry in his cache uses it, however old it is; who
//! has none walks, and waits while the page table (for a vCPU: the open range) has none for him. If entries have dirty
//! bits, a clean one is made dirty in the page table before it is stored through, which fails if that has changed.

use steps::entry::Bit;
use steps::table::Verb;

use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::deed::Part;
use super::emitter::Emitter;
use super::entry::Need;
use super::event::Happening;
use super::hardware::Hop;
use super::names::{FrameId, PageId, UserId};
use super::program::{Goal, Way};
use super::state::{Key, NONE};
use super::tags::View;
use super::walk::Fill;

/// What an access does at the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads its content.
    Read,
    /// Writes this value.
    Write(u32),
}

impl Emitter<'_> {
    /// `walk A`: goes on at once if something is cached.
    pub(super) fn walk(&mut self, user: UserId, page: PageId, text: &str, line: u32) {
        let happens = Happening::Step(Verb::Walk, text.to_owned());
        let mut ways = Vec::new();
        for view in self.views(user, page) {
            let path = self.path(user, page, view.tag, text);
            let cached = places(&path).into_iter().map(|place| {
                Way::new(vec![Guard::IsNot(place, NONE)], Vec::new(), text).happening(happens.clone())
            });
            let mut found: Vec<Way> = cached.collect();
            for Fill { mut way, arrives } in self.fills(&path, page, Need::Load) {
                // Only the hop into the cache that accesses use goes on.
                if arrives {
                    way.goal = Goal::Next;
                    way.happens.push(happens.clone());
                }
                found.push(way);
            }
            ways.extend(in_view(&view, found));
        }
        self.step(ways, line);
    }

    /// The ways in which hardware fills the caches of `user` by itself.
    pub(super) fn speculate(&mut self, user: UserId, pages: &[PageId]) -> Result<(), Diagnostic> {
        let mut ways = Vec::new();
        for page in pages {
            let text = format!("walk {}", self.scope.scenario.pages[page.0].node);
            for view in self.views(user, *page) {
                let path = self.path(user, *page, view.tag, &text);
                let found = self.fills(&path, *page, Need::Load).into_iter();
                ways.extend(in_view(&view, found.map(|fill| fill.way.to(Goal::Stay)).collect()));
            }
        }
        let present = self.is_present(user);
        ways.iter_mut().for_each(|way| way.guard.extend(present));
        self.step(ways, 0);
        Ok(())
    }

    /// The ways to make a clean entry dirty before the first store through it: hardware writes the page table, and only
    /// if that still maps the same frame writable. Else the entry is dropped, and the access begins again.
    fn dirties(&mut self, user: UserId, path: &[Hop], page: PageId) -> Vec<Way> {
        let text = format!("set_dirty {}", self.state.domains.pages[page.0]);
        let pasid = path[0].pasid.as_ref();
        let kept = path.iter().flat_map(|hop| std::iter::once(&hop.to).chain(&hop.others));
        let dropped: Vec<Update> = kept.map(|place| Update::Set(*place, NONE)).collect();
        let writable = self.state.domains.entries.usable(Need::Store);
        let refuse = |guard| {
            let way = Way::new(guard, dropped.clone(), format!("{text}: refused")).to(Goal::Stay);
            way.part(Part::NotDirty(user, page))
        };
        let clean = writable.iter().filter(|(value, _)| self.state.domains.entries.is_clean(*value));
        let clean: Vec<(u32, FrameId)> = clean.copied().collect();
        let mut ways = Vec::new();
        let held = places(path).into_iter().flat_map(|place| clean.iter().map(move |clean| (place, *clean)));
        for (place, (value, frame)) in held.collect::<Vec<_>>() {
            let cached = Guard::Is(place, value);
            ways.extend(pasid.map(|pasid| refuse(vec![cached, pasid.names_other])));
            for case in self.cases(user, page) {
                let mut cached = vec![cached];
                cached.extend(pasid.map(|pasid| pasid.names_mm));
                cached.extend(&case.guard);
                let freed = self.freed(&case, &cached, &text);
                ways.extend(freed.map(|way| way.part(Part::Dirty(user, page))));
                cached.extend(case.table.map(|refs| Guard::IsNot(refs, 0)));
                let mut refused = cached.clone();
                for (seen, _) in writable.iter().filter(|(_, other)| *other == frame) {
                    let entries = &self.state.domains.entries;
                    let young = entries.with(*seen, Bit::Young).unwrap_or(*seen);
                    let dirty = entries.with(young, Bit::Dirty).unwrap_or(young);
                    let guard = [cached.as_slice(), &[Guard::Is(case.from, *seen)]].concat();
                    let mut updates = vec![Update::Set(place, dirty), Update::Set(case.from, dirty)];
                    updates.extend(case.caches);
                    let way = Way::new(guard, updates, text.as_str()).to(Goal::Stay);
                    ways.push(way.part(Part::Dirty(user, page)));
                    refused.push(Guard::IsNot(case.from, *seen));
                }
                ways.push(refuse(refused));
            }
        }
        ways
    }

    /// A load, a store or a DMA through the agent's own cache.
    pub(super) fn access(
        &mut self,
        user: UserId,
        page: PageId,
        access: Access,
        (verb, text): (Verb, &str),
        line: u32,
    ) {
        let need = if access == Access::Read { Need::Load } else { Need::Store };
        let walk = format!("walk {}", self.scope.scenario.pages[page.0].node);
        let (mut ways, mut landing) = (Vec::new(), Vec::new());
        let mut flight = None;
        for view in self.views(user, page) {
            let path = self.path(user, page, view.tag, &walk);
            let mut found: Vec<Way> =
                self.fills(&path, page, need).into_iter().map(|fill| fill.way).collect();
            if need == Need::Store {
                found.extend(self.dirties(user, &path, page));
            }
            flight = self.dma(user, page);
            for place in places(&path) {
                let (used, landed) = self.through((place, flight), page, access, need, (verb, text));
                found.extend(used);
                landing.extend(landed);
            }
            ways.extend(in_view(&view, found));
        }
        self.step(ways, line);
        if flight.is_some() {
            self.step(landing, line);
        }
    }

    /// The ways to use what `place` of a cache holds, and, if that lands in a step of its own, the ways to land.
    fn through(
        &mut self,
        (place, flight): (Var, Option<Var>),
        page: PageId,
        access: Access,
        need: Need,
        (verb, text): (Verb, &str),
    ) -> (Vec<Way>, Vec<Way>) {
        let (mut ways, mut landing) = (Vec::new(), Vec::new());
        for (value, frame) in self.state.domains.entries.usable(need) {
            if need == Need::Store && self.state.domains.entries.is_clean(value) {
                continue;
            }
            let cached = [Guard::Is(place, value)];
            if let Some(flight) = flight {
                let translated = vec![Update::Set(flight, value)];
                let way = Way::new(cached.to_vec(), translated, format!("{text}: translated"));
                ways.push(way.part(Part::Translated));
                landing.extend(self.landing((flight, value), frame, page, access, (verb, text)));
            } else {
                ways.extend(self.at_frame(frame, Some(page), access, &cached, (verb, text)));
            }
        }
        (ways, landing)
    }

    /// What an access does at `frame`, under `guard`: the use of a freed frame is a way of its own.
    pub(super) fn at_frame(
        &mut self,
        frame: FrameId,
        page: Option<PageId>,
        access: Access,
        guard: &[Guard],
        (verb, text): (Verb, &str),
    ) -> Vec<Way> {
        let step = Happening::Step(verb, text.to_owned());
        let mut live = guard.to_vec();
        let mut ways = Vec::new();
        if self.scope.survey.frees && self.scope.properties.freed.is_some() {
            let refs = self.state.var(&Key::Refs(frame));
            live.push(Guard::IsNot(refs, 0));
            let freed = [guard, &[Guard::Is(refs, 0)]].concat();
            let shown = format!("{text} in freed {}", self.state.domains.frames[frame.0]);
            ways.push(
                Way::new(freed, Vec::new(), shown)
                    .violating(self.scope.properties.freed)
                    .happening(step.clone()),
            );
        }
        let content = self.state.var(&Key::Content(frame));
        match access {
            Access::Write(value) => {
                live.extend(self.drained());
                let known = self.state.content(value);
                let index = known.expect("the survey has collected every value that is written");
                let write = Happening::Write(page, frame, value);
                let way = Way::new(live, vec![Update::Set(content, index)], text);
                ways.push(way.happening(step).happening(write));
            }
            Access::Read => {
                let contents = self.state.domains.contents.clone();
                for (index, value) in (0..).zip(contents) {
                    let guard = [live.as_slice(), &[Guard::Is(content, index)]].concat();
                    let read = Happening::Read(page, frame, value);
                    let way =
                        Way::new(guard, Vec::new(), format!("{text} = {value}")).part(Part::Returns(value));
                    ways.push(way.happening(step.clone()).happening(read));
                }
            }
        }
        ways
    }

    /// The agent's own CPU, vCPU or device, if it has one of a kind that can take the step.
    pub(super) fn own_user(
        &self,
        verb: Verb,
        span: crate::language::span::Span,
    ) -> Result<UserId, Diagnostic> {
        self.own.user.ok_or_else(|| {
            let name = &self.own.name;
            let message = format!("`{}` needs a TLB, and agent `{name}` runs on no CPU", verb.name());
            Diagnostic::new(
                Code::NoCpu,
                span,
                message,
                format!("declare `cpu {name}`, or write `agent {name} on CPU0`"),
            )
        })
    }
}

/// Where the cache at the front holds what an access can use.
fn places(path: &[Hop]) -> Vec<Var> {
    path.last()
        .map_or(Vec::new(), |front| std::iter::once(front.to).chain(front.others.iter().copied()).collect())
}

/// `ways` of somebody who runs where he must.
fn in_view(view: &View, mut ways: Vec<Way>) -> Vec<Way> {
    ways.iter_mut().for_each(|way| drop(way.guard.splice(0..0, view.guard.iter().copied())));
    ways
}
