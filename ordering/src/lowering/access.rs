//! Walks, loads, stores and DMA: everything that goes through a translation.
//!
//! Invariant: translating and using are two steps. Who has a usable entry in his cache uses it, however old it is; who
//! has none walks, and waits while the page table (for a vCPU: the open range) has none for him. If entries have dirty
//! bits, a clean one is made dirty in the page table before it is stored through, which fails if that has changed.

use crate::language::Diagnostic;
use crate::language::entry::Bit;
use crate::language::vocabulary::Verb;
use crate::model::{Guard, Update};

use super::agent::Emitter;
use super::entry::Need;
use super::event::Happening;
use super::hardware::Hop;
use super::names::{FrameId, PageId, UserId};
use super::program::{Goal, Way};
use super::state::{Key, NONE};

/// What an access does at the frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads its content.
    Read,
    /// Writes this value.
    Write(u32),
}

/// A way to bring an entry one hop nearer.
struct Fill {
    way: Way,
    /// Whether it then lies where accesses find it.
    arrives: bool,
}

impl Emitter<'_> {
    /// `walk A`: goes on at once if something is cached.
    pub(super) fn walk(&mut self, user: UserId, page: PageId, text: &str, line: u32) {
        let path = self.path(user, page, text);
        let happens = Happening::Step(Verb::Walk, text.to_owned());
        let mut ways = Vec::new();
        if let Some(front) = path.last() {
            ways.push(
                Way::new(vec![Guard::IsNot(front.to, NONE)], Vec::new(), text).happening(happens.clone()),
            );
        }
        for Fill { mut way, arrives } in self.fills(&path, Need::Load) {
            // Only the hop into the cache that accesses use goes on.
            if arrives {
                way.goal = Goal::Next;
                way.happens.push(happens.clone());
            }
            ways.push(way);
        }
        self.step(ways, line);
    }

    /// The ways in which hardware fills the caches of `user` by itself.
    pub(super) fn speculate(&mut self, user: UserId, pages: &[PageId]) -> Result<(), Diagnostic> {
        let mut ways = Vec::new();
        for page in pages {
            let path = self.path(user, *page, &format!("walk {}", self.scenario.pages[page.0].node));
            ways.extend(self.fills(&path, Need::Load).into_iter().map(|fill| fill.way.to(Goal::Stay)));
        }
        self.step(ways, 0);
        Ok(())
    }

    /// The ways to get an entry one hop further along `path`.
    fn fills(&mut self, path: &[Hop], need: Need) -> Vec<Fill> {
        let mut ways = Vec::new();
        for (index, hop) in path.iter().enumerate() {
            let lacks = self.lacking(&path[index..], need);
            ways.extend(self.pasid_reads(hop, &lacks));
            ways.extend(self.hop(hop, &lacks, need, index + 1 == path.len()));
        }
        ways
    }

    /// The ways of one hop while the guards `lacks` hold; `last`: it leads into the front.
    fn hop(&mut self, hop: &Hop, lacks: &[Guard], need: Need, last: bool) -> Vec<Fill> {
        let entries = &self.state.domains.entries;
        let mut ways = Vec::new();
        for (value, _) in entries.usable(need) {
            let mut guard = [lacks, &[Guard::Is(hop.from, value)]].concat();
            guard.extend(hop.pasid.as_ref().map(|pasid| pasid.names_mm));
            let (to, shown) = match hop.in_flight {
                Some(var) => {
                    guard.push(Guard::Is(var, NONE));
                    (var, format!("{}: read", hop.text))
                }
                None => {
                    guard.extend(&hop.blocked);
                    (hop.to, hop.text.clone())
                }
            };
            // A walk marks what it reads as young; what a cache holds has been walked already.
            let read = entries.with(value, Bit::Young).unwrap_or(value);
            let marked = (read != value).then_some(Update::Set(hop.from, read));
            let updates = std::iter::once(Update::Set(to, read)).chain(marked).collect();
            let way = Way::new(guard, updates, shown).to(Goal::Stay);
            ways.push(Fill { way, arrives: last && hop.in_flight.is_none() });
        }
        if let Some(var) = hop.in_flight {
            let lacks = if self.options.evict { &[] } else { lacks };
            let guard = [lacks, &[Guard::IsNot(var, NONE)], &hop.blocked].concat();
            let install = vec![Update::Copy { to: hop.to, from: var }, Update::Set(var, NONE)];
            let way = Way::new(guard, install, format!("{}: fill", hop.text)).to(Goal::Stay);
            ways.push(Fill { way, arrives: last });
        }
        ways
    }

    /// The ways to cache the PASID entry that the walk goes through.
    fn pasid_reads(&self, hop: &Hop, lacks: &[Guard]) -> Vec<Fill> {
        let Some(pasid) = &hop.pasid else { return Vec::new() };
        let unknown = match self.options.evict {
            true => Guard::Differ(pasid.cache, pasid.entry),
            false => Guard::Is(pasid.cache, 0),
        };
        let read = |mm| {
            let guard = [lacks, &[unknown, Guard::Is(pasid.entry, mm)]].concat();
            let way = Way::new(guard, vec![Update::Set(pasid.cache, mm)], pasid.text.as_str());
            Fill { way: way.to(Goal::Stay), arrives: false }
        };
        (1..self.state.size(pasid.entry)).map(read).collect()
    }

    /// The guards under which no cache from the first hop of `path` to the front has an entry for the access.
    fn lacking(&self, path: &[Hop], need: Need) -> Vec<Guard> {
        if self.options.evict {
            // Losing what is cached and walking again shows only if what is walked says something else.
            return path.iter().take(1).map(|hop| Guard::Differ(hop.to, hop.from)).collect();
        }
        path.iter().map(|hop| self.state.domains.entries.lacks(hop.to, need)).collect()
    }

    /// The ways to make a clean entry dirty before the first store through it: hardware writes the page table, and only
    /// if that still maps the same frame writable. Else the entry is dropped, and the access begins again.
    fn dirties(&self, path: &[Hop], page: PageId) -> Vec<Way> {
        let (Some(first), Some(front)) = (path.first(), path.last()) else { return Vec::new() };
        let pte = first.from;
        let text = format!("set_dirty {}", self.state.domains.pages[page.0]);
        let entries = &self.state.domains.entries;
        let writable = entries.usable(Need::Store);
        let mut ways = Vec::new();
        for (value, frame) in writable.iter().filter(|(value, _)| entries.is_clean(*value)) {
            let mut refused = vec![Guard::Is(front.to, *value)];
            for (seen, _) in writable.iter().filter(|(_, other)| other == frame) {
                let young = entries.with(*seen, Bit::Young).unwrap_or(*seen);
                let dirty = entries.with(young, Bit::Dirty).unwrap_or(young);
                let mut guard = vec![Guard::Is(front.to, *value), Guard::Is(pte, *seen)];
                guard.extend(first.pasid.as_ref().map(|pasid| pasid.names_mm));
                let updates = vec![Update::Set(front.to, dirty), Update::Set(pte, dirty)];
                ways.push(Way::new(guard, updates, text.as_str()).to(Goal::Stay));
                refused.push(Guard::IsNot(pte, *seen));
            }
            let elsewhere = first.pasid.as_ref().map(|pasid| vec![refused[0], pasid.names_other]);
            for guard in std::iter::once(refused).chain(elsewhere) {
                let dropped = path.iter().map(|hop| Update::Set(hop.to, NONE)).collect();
                ways.push(Way::new(guard, dropped, format!("{text}: refused")).to(Goal::Stay));
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
        let path = self.path(user, page, &format!("walk {}", self.scenario.pages[page.0].node));
        let Some(cache) = path.last().map(|hop| hop.to) else { return };
        let mut ways: Vec<Way> = self.fills(&path, need).into_iter().map(|fill| fill.way).collect();
        if need == Need::Store {
            ways.extend(self.dirties(&path, page));
        }
        for (value, frame) in self.state.domains.entries.usable(need) {
            if need == Need::Load || !self.state.domains.entries.is_clean(value) {
                let cached = [Guard::Is(cache, value)];
                ways.extend(self.at_frame(frame, Some(page), access, &cached, (verb, text)));
            }
        }
        self.step(ways, line);
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
        if self.frees && self.properties.freed.is_some() {
            let refs = self.state.var(&Key::Refs(frame));
            live.push(Guard::IsNot(refs, 0));
            let freed = [guard, &[Guard::Is(refs, 0)]].concat();
            let shown = format!("{text} in freed {}", self.state.domains.frames[frame.0]);
            ways.push(
                Way::new(freed, Vec::new(), shown).violating(self.properties.freed).happening(step.clone()),
            );
        }
        let content = self.state.var(&Key::Content(frame));
        match access {
            Access::Write(value) => {
                live.extend(self.drained());
                let index = self.state.content(value).unwrap_or(0);
                let write = Happening::Write(page, frame, value);
                let way = Way::new(live, vec![Update::Set(content, index)], text);
                ways.push(way.happening(step).happening(write));
            }
            Access::Read => {
                let contents = self.state.domains.contents.clone();
                for (index, value) in (0..).zip(contents) {
                    let guard = [live.as_slice(), &[Guard::Is(content, index)]].concat();
                    let read = Happening::Read(page, frame, value);
                    let way = Way::new(guard, Vec::new(), format!("{text} = {value}"));
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
        self.user.ok_or_else(|| {
            let name = &self.name;
            let message = format!("`{}` needs a TLB, and agent `{name}` runs on no CPU", verb.name());
            Diagnostic::new(span, message, format!("declare `cpu {name}`, or write `agent {name} on CPU0`"))
        })
    }
}
