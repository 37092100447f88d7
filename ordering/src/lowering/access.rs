//! Walks, loads, stores and DMA: everything that goes through a translation.
//!
//! Invariant: translating and using are two steps. Who has a usable entry in his cache uses it, however old it is; who
//! has none walks, and waits while the page table (for a vCPU: the open range) has none for him.

use crate::language::Diagnostic;
use crate::language::syntax::{Permission, UserKind};
use crate::language::vocabulary::Verb;
use crate::model::{Guard, Update, Var};

use super::agent::Emitter;
use super::event::Happening;
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

impl Emitter<'_> {
    fn cache(&mut self, user: UserId, page: PageId) -> Var {
        match self.names.kinds[user.0] {
            UserKind::Vcpu => self.state.var(&Key::Spte(page)),
            UserKind::Cpu | UserKind::Device => self.state.var(&Key::Tlb(user, page)),
        }
    }

    /// `walk A`: goes on at once if something is cached.
    pub(super) fn walk(&mut self, user: UserId, page: PageId, text: &str, line: u32) {
        let cache = self.cache(user, page);
        let happens = Happening::Step(Verb::Walk, text.to_owned());
        let hit = Way::new(vec![Guard::IsNot(cache, NONE)], Vec::new(), text).happening(happens.clone());
        let mut ways = vec![hit];
        for mut way in self.fills(user, page, text, false) {
            // Only the last step of a split walk goes on.
            if !self.options.split_walk || way.text.ends_with("fill") {
                way.goal = Goal::Next;
                way.happens.push(happens.clone());
            }
            ways.push(way);
        }
        self.step(ways, line);
    }

    /// The ways to get an entry into the cache.
    fn fills(&mut self, user: UserId, page: PageId, text: &str, for_write: bool) -> Vec<Way> {
        let cache = self.cache(user, page);
        let pte = self.state.var(&Key::Pte(page));
        let mut blocked = Vec::new();
        if self.names.kinds[user.0] == UserKind::Vcpu {
            blocked.push(Guard::Is(self.state.var(&Key::InProgress(page)), 0));
        }
        let lacking = self.lacking(cache, pte, for_write);
        let mut ways = Vec::new();
        let in_flight = self.options.split_walk.then(|| self.state.var(&Key::InFlight(user, page)));
        for lack in lacking {
            for value in 1..self.state.size(pte) {
                let writable =
                    mapped(value).is_some_and(|(_, permission)| permission == Permission::ReadWrite);
                if for_write && !writable {
                    continue;
                }
                let mut guard = vec![lack, Guard::Is(pte, value)];
                let (to, shown) = match in_flight {
                    Some(var) => {
                        guard.push(Guard::Is(var, NONE));
                        (var, format!("{text}: read"))
                    }
                    None => {
                        guard.extend(&blocked);
                        (cache, text.to_owned())
                    }
                };
                ways.push(Way::new(guard, vec![Update::Set(to, value)], shown).to(Goal::Stay));
            }
            if let Some(var) = in_flight {
                let mut guard = vec![Guard::IsNot(var, NONE)];
                guard.extend(&blocked);
                if !self.options.evict {
                    guard.insert(0, lack);
                }
                let install = Update::Copy { to: cache, from: var };
                let shown = format!("{text}: fill");
                ways.push(Way::new(guard, vec![install, Update::Set(var, NONE)], shown).to(Goal::Stay));
            }
        }
        ways
    }

    /// The guards under each of which the cache has no entry for the access.
    fn lacking(&mut self, cache: Var, pte: Var, for_write: bool) -> Vec<Guard> {
        if self.options.evict {
            // Losing what is cached and walking again shows only if the page table says something else.
            return vec![Guard::Differ(cache, pte)];
        }
        let read_only = self.state.frames().map(|frame| Guard::Is(cache, entry(frame, Permission::ReadOnly)));
        let none = std::iter::once(Guard::Is(cache, NONE));
        if for_write { none.chain(read_only).collect() } else { none.collect() }
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
        let cache = self.cache(user, page);
        let for_write = access != Access::Read;
        let name = self.scenario.pages[page.0].node.clone();
        let mut ways = self.fills(user, page, &format!("walk {name}"), for_write);
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
