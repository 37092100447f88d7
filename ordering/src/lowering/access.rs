//! Walks, loads, stores and DMA: everything that goes through a translation.
//!
//! Invariant: translating and using are two steps. Who has a usable entry in his cache uses it, however old it is; who
//! has none walks, and waits while the page table (for a vCPU: the open range) has none for him.

use crate::language::Diagnostic;
use crate::language::syntax::Permission;
use crate::language::vocabulary::Verb;
use crate::model::{Guard, Update};

use super::agent::Emitter;
use super::event::Happening;
use super::hardware::Hop;
use super::names::{FrameId, PageId, UserId};
use super::program::{Goal, Way};
use super::state::{Key, NONE, entry, mapped};

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
        for Fill { mut way, arrives } in self.fills(&path, false) {
            // Only the hop into the cache that accesses use goes on.
            if arrives {
                way.goal = Goal::Next;
                way.happens.push(happens.clone());
            }
            ways.push(way);
        }
        self.step(ways, line);
    }

    /// The ways to get an entry one hop further along `path`.
    fn fills(&mut self, path: &[Hop], for_write: bool) -> Vec<Fill> {
        let mut ways = Vec::new();
        for (index, hop) in path.iter().enumerate() {
            for lacks in self.lacking(&path[index..], for_write) {
                ways.extend(self.pasid_reads(hop, &lacks));
                ways.extend(self.hop(hop, &lacks, for_write, index + 1 == path.len()));
            }
        }
        ways
    }

    /// The ways of one hop while the guards `lacks` hold; `last`: it leads into the front.
    fn hop(&mut self, hop: &Hop, lacks: &[Guard], for_write: bool, last: bool) -> Vec<Fill> {
        let mut ways = Vec::new();
        for value in 1..self.state.size(hop.from) {
            let writable = mapped(value).is_some_and(|(_, permission)| permission == Permission::ReadWrite);
            if for_write && !writable {
                continue;
            }
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
            let way = Way::new(guard, vec![Update::Set(to, value)], shown).to(Goal::Stay);
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

    /// The guards under one of which no cache from the first hop of `path` to the front has an entry for the access.
    fn lacking(&mut self, path: &[Hop], for_write: bool) -> Vec<Vec<Guard>> {
        if self.options.evict {
            // Losing what is cached and walking again shows only if what is walked says something else.
            return path.iter().take(1).map(|hop| vec![Guard::Differ(hop.to, hop.from)]).collect();
        }
        let mut ways = vec![Vec::new()];
        for hop in path {
            let read_only = self.state.frames().map(|frame| entry(frame, Permission::ReadOnly));
            let useless: Vec<u32> =
                std::iter::once(NONE).chain(read_only.take_while(|_| for_write)).collect();
            let with = |way: &Vec<Guard>| {
                let way = way.clone();
                useless
                    .iter()
                    .map(move |value| [way.as_slice(), &[Guard::Is(hop.to, *value)]].concat())
                    .collect::<Vec<_>>()
            };
            ways = ways.iter().flat_map(with).collect();
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
        let for_write = access != Access::Read;
        let path = self.path(user, page, &format!("walk {}", self.scenario.pages[page.0].node));
        let mut ways: Vec<Way> = self.fills(&path, for_write).into_iter().map(|fill| fill.way).collect();
        let Some(cache) = path.last().map(|hop| hop.to) else { return };
        for value in 1..self.state.size(cache) {
            let Some((frame, permission)) = mapped(value) else { continue };
            if !for_write || permission == Permission::ReadWrite {
                ways.extend(self.at_frame(
                    frame,
                    Some(page),
                    access,
                    &[Guard::Is(cache, value)],
                    (verb, text),
                ));
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
