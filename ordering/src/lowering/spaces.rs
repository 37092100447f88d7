//! Address spaces: which pages lie in which, and which of them a device reaches through its PASID.
//!
//! Invariant: a device with a PASID walks only what its cached PASID or context entry names, and caches that entry as its first
//! walk finds it; nobody but `pasid_inv` makes it look again. Source: VT-d 6.2.3 (PASID cache), mm_struct.

use steps::{CacheKind, Directory, Emptied, Half, Invalidation, Pages, Reach, Scope};

use crate::language::span::{Name, Span};
use crate::language::syntax::{Scenario, UserKind, Words};
use crate::language::{Code, Diagnostic};
use crate::model::{Guard, Update, Var};

use super::emitter::Emitter;
use super::names::{MmId, Names, PageId, PasidId, UserId};
use super::state::{Key, State, number};
use super::step::At;

/// What lies and points where at the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Spaces {
    /// By page.
    homes: Vec<Option<MmId>>,
    /// By user.
    bound: Vec<Option<PasidId>>,
    /// What each PASID names.
    named: Vec<Option<MmId>>,
    /// Whether their entries are written and read by halves.
    halves: bool,
}

/// The PASID entry in front of a walk.
pub(super) struct Pasid {
    /// In memory.
    pub(super) entry: Var,
    /// As the device has cached it.
    pub(super) cache: Var,
    /// That it names the page's address space.
    pub(super) names_mm: Guard,
    /// That it does not.
    pub(super) names_other: Guard,
    /// If it is read by halves, the high one, and what has been read of both.
    pub(super) halves: Option<Halves>,
    /// How the step that caches it is shown.
    pub(super) text: String,
}

/// An entry of a PASID that is read by halves.
#[derive(Clone, Copy)]
pub(super) struct Halves {
    pub(super) high: Var,
    pub(super) read: Var,
    pub(super) torn: Var,
}

/// The value of a PASID entry that names `mm`.
fn named(mm: Option<MmId>) -> u32 {
    mm.map_or(0, |mm| number(mm.0) + 1)
}

impl Spaces {
    /// Those of `scenario`; what is not declared is reported.
    pub(super) fn new(
        scenario: &Scenario,
        names: &Names,
        halves: bool,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut spaces = Self { homes: vec![None; scenario.pages.len()], halves, ..Self::default() };
        for (page, mm) in &scenario.homes {
            match (names.page(page), names.mm(mm)) {
                (Ok(page), Ok(mm)) => spaces.homes[page.0] = Some(mm),
                (page, mm) => diagnostics.extend([page.err(), mm.err()].into_iter().flatten()),
            }
        }
        for (_, mm) in &scenario.pasids {
            let found = mm.as_ref().map(|mm| names.mm(mm)).transpose();
            spaces.named.push(found.unwrap_or_else(|wrong| {
                diagnostics.push(wrong);
                None
            }));
        }
        for user in &scenario.users {
            let found = user.pasid.as_ref().map(|pasid| names.pasid(user.directory, pasid)).transpose();
            spaces.bound.push(found.unwrap_or_else(|wrong| {
                diagnostics.push(wrong);
                None
            }));
        }
        spaces
    }

    /// The address space of each page.
    pub(super) fn homes(&self) -> &[Option<MmId>] {
        &self.homes
    }

    /// The address space of a page.
    pub(super) fn home(&self, page: PageId) -> Option<MmId> {
        self.homes[page.0]
    }

    /// The PASID that a user's accesses have.
    pub(super) fn bound(&self, user: UserId) -> Option<PasidId> {
        self.bound.get(user.0).copied().flatten()
    }

    /// The PASID entries at the start.
    pub(super) fn starts(&self) -> impl Iterator<Item = (Key, u32)> {
        let both = |(id, mm): (PasidId, &Option<MmId>)| {
            [Key::Pasid(id), Key::PasidHigh(id)].map(|key| (key, named(*mm)))
        };
        (0..).map(PasidId).zip(&self.named).flat_map(both)
    }

    fn pages(&self, mm: MmId) -> Vec<PageId> {
        (0..self.homes.len()).filter(|page| self.homes[*page] == Some(mm)).map(PageId).collect()
    }

    fn users(&self, pasid: PasidId) -> Vec<UserId> {
        (0..self.bound.len()).filter(|user| self.bound[*user] == Some(pasid)).map(UserId).collect()
    }

    /// The guards that the entry of the user's PASID names the page's address space, and that it does not.
    pub(super) fn named_in_memory(
        &self,
        user: UserId,
        page: PageId,
        state: &mut State,
    ) -> Option<(Guard, Guard)> {
        let (entry, mm) = (state.var(&Key::Pasid(self.bound[user.0]?)), named(self.homes[page.0]));
        Some((Guard::Is(entry, mm), Guard::IsNot(entry, mm)))
    }

    /// The PASID that a user's accesses have, and what its entry must say for them to reach `page`.
    pub(super) fn names(&self, user: UserId, page: PageId) -> Option<(PasidId, u32)> {
        Some((self.bound(user)?, named(self.homes[page.0])))
    }

    /// What `user` needs to walk to `page`, if it has a PASID.
    pub(super) fn pasid(&self, user: UserId, page: PageId, state: &mut State) -> Option<Pasid> {
        let id = self.bound[user.0]?;
        let (entry, cache) = (state.var(&Key::Pasid(id)), state.var(&Key::PasidCache(user)));
        // A page that is in no address space was refused before.
        let mm = named(self.homes[page.0]);
        let (names_mm, names_other) = (Guard::Is(cache, mm), Guard::IsNot(cache, mm));
        let text = format!("read {}", state.domains.pasids[id.0]);
        let halves = self.halves.then(|| {
            let keys = [Key::PasidHigh(id), Key::PasidRead(user), Key::Torn(user)];
            let [high, read, torn] = keys.map(|key| state.var(&key));
            Halves { high, read, torn }
        });
        Some(Pasid { entry, cache, names_mm, names_other, halves, text })
    }

    /// A device with a PASID reaches pages of address spaces only.
    pub(super) fn check(&self, user: UserId, page: PageId, name: &Name) -> Result<(), Diagnostic> {
        if self.bound[user.0].is_none() || self.homes[page.0].is_some() {
            return Ok(());
        }
        let message = format!(
            "`{}` is in no address space, and the device walks the one that its PASID names",
            name.node
        );
        Err(Diagnostic::new(Code::NoSpace, name.span, message, format!("declare `page {} in P`", name.node)))
    }
}

impl Emitter<'_> {
    /// The pages and the users of which an invalidation empties caches.
    pub(super) fn reach(
        &self,
        invalidation: &Invalidation<Words>,
        span: Span,
    ) -> Result<(Vec<PageId>, Vec<UserId>), Diagnostic> {
        let spaces = &self.scope.hardware.spaces;
        let users = || (0..self.scope.names.kinds.len()).map(UserId).collect();
        let (pages, mut reached): (Vec<PageId>, Vec<UserId>) = match invalidation.reach() {
            Reach::Page(page) => (vec![self.scope.names.page(page)?], users()),
            Reach::Pages(first, last) => (self.between(first, last)?, users()),
            Reach::Under(pmd) => (self.scope.hardware.uppers.pages(self.scope.names.pmd(pmd)?), users()),
            Reach::Tag(_) => (self.scope.hardware.tags.pages(), users()),
            Reach::Mm(mm) => (spaces.pages(self.scope.names.mm(mm)?), users()),
            Reach::Pasid(pasid) => {
                let pages = (0..spaces.homes.len()).map(PageId).collect();
                let directory = match &invalidation.emptied {
                    Emptied::PasidCaches(directory, _) => *directory,
                    // Translations are tagged with PASIDs, and with no context entry.
                    Emptied::IotlbsOf(_) | Emptied::DeviceTlbsOf(_) => Directory::Pasids,
                    Emptied::Cpus(_)
                    | Emptied::CpusUnder(..)
                    | Emptied::CpusOf(_)
                    | Emptied::Vcpus(_)
                    | Emptied::Devices(_)
                    | Emptied::Iotlbs(..)
                    | Emptied::DeviceTlbs(_) => {
                        unreachable!("what reaches a PASID empties what is a device's")
                    }
                };
                (pages, spaces.users(self.scope.names.pasid(directory, pasid)?))
            }
        };
        match &invalidation.scope {
            Scope::All => {}
            Scope::Own => {
                let own = self.own_cpu(invalidation, span)?;
                reached.retain(|user| *user == own);
            }
            Scope::Others => {
                let own = self.own_cpu(invalidation, span)?;
                reached.retain(|user| *user != own);
            }
            Scope::On(name) => {
                let one = self.one_of(invalidation.caches(), name)?;
                reached.retain(|user| *user == one);
                if reached.is_empty() {
                    let message = format!("`{name}` does not use this PASID, so nothing of it is emptied");
                    return Err(Diagnostic::new(
                        Code::UnusedPasid,
                        name.span,
                        message,
                        "name a device that was declared with it",
                    ));
                }
            }
        }
        Ok((pages, self.with_tags(invalidation, reached)?))
    }

    /// The pages from `first` to `last`: side by side is what is declared one after the other.
    fn between(&self, first: &Name, last: &Name) -> Result<Vec<PageId>, Diagnostic> {
        let (from, to) = (self.scope.names.page(first)?, self.scope.names.page(last)?);
        let homes = &self.scope.hardware.spaces.homes;
        if from > to {
            let message = format!("`{last}` is declared before `{first}`: no pages are between them");
            let help =
                format!("write `{last} to {first}`; pages lie in the order in which they are declared");
            return Err(Diagnostic::new(Code::BackwardPages, last.span, message, help));
        }
        let pages: Vec<PageId> = (from.0..=to.0).map(PageId).collect();
        if pages.iter().any(|page| homes[page.0] != homes[from.0]) {
            let message = format!("between `{first}` and `{last}` are pages of different address spaces");
            return Err(Diagnostic::new(
                Code::BackwardPages,
                last.span,
                message,
                "declare the pages of each one after the other",
            ));
        }
        Ok(pages)
    }

    /// The pages of a range.
    pub(super) fn pages(&self, pages: &Pages<Words>) -> Result<Vec<PageId>, Diagnostic> {
        match pages {
            Pages::One(page) => Ok(vec![self.scope.names.page(page)?]),
            Pages::To(first, last) => self.between(first, last),
        }
    }

    /// The CPU that flushes its own TLB, or all others.
    fn own_cpu(&self, invalidation: &Invalidation<Words>, span: Span) -> Result<UserId, Diagnostic> {
        let verb = invalidation.verb().name();
        if invalidation.posted {
            let message =
                format!("what is posted is done by hardware, and `{verb}` says whose CPU by who takes it");
            return Err(Diagnostic::new(Code::PostedOwn, span, message, "name the CPU: `on CPU0`"));
        }
        let own = self.own_user(invalidation.verb(), span)?;
        if self.scope.names.kinds[own.0] == UserKind::Cpu {
            return Ok(own);
        }
        let message = format!("`{}` is no CPU, and has no TLB that `{verb}` empties", self.own.name);
        Err(Diagnostic::new(
            Code::NoCpu,
            span,
            message,
            format!("let an agent do it that runs on a CPU: `agent {} on CPU0`", self.own.name),
        ))
    }

    /// Somebody who has such a cache.
    fn one_of(&self, caches: CacheKind, name: &Name) -> Result<UserId, Diagnostic> {
        let user = self.scope.names.user(name)?;
        let (kind, what) = match caches {
            CacheKind::Cpus => (UserKind::Cpu, "CPU"),
            CacheKind::Vcpus => (UserKind::Vcpu, "vCPU"),
            CacheKind::Devices | CacheKind::Iotlbs | CacheKind::DeviceTlbs | CacheKind::PasidCaches => {
                (UserKind::Device, "device")
            }
        };
        if self.scope.names.kinds[user.0] == kind {
            return Ok(user);
        }
        let message = format!("`{name}` is no {what}, and has no such cache");
        Err(Diagnostic::new(
            Code::WrongUser,
            name.span,
            message,
            format!("name a {what}, or leave out `on {name}` for all of them"),
        ))
    }

    /// `set_pasid X -> P` and `set_context E -> P`.
    pub(super) fn set_pasid(
        &mut self,
        directory: Directory,
        pasid: &Name,
        mm: &Name,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let id = self.scope.names.pasid(directory, pasid)?;
        let mm = if mm.node == "none" { None } else { Some(self.scope.names.mm(mm)?) };
        let halves: &[Half] =
            if self.scope.survey.pasid_halves { &[Half::Low, Half::High] } else { &[Half::Low] };
        self.write_pasid(id, halves, mm, at);
        Ok(())
    }

    /// `set_pasid_low X -> P`, `set_pasid_high X -> P`, and the same of a context entry.
    pub(super) fn set_pasid_half(
        &mut self,
        (directory, half): (Directory, Half),
        pasid: &Name,
        mm: &Name,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let id = self.scope.names.pasid(directory, pasid)?;
        let mm = if mm.node == "none" { None } else { Some(self.scope.names.mm(mm)?) };
        self.write_pasid(id, &[half], mm, at);
        Ok(())
    }

    fn write_pasid(&mut self, id: PasidId, halves: &[Half], mm: Option<MmId>, at: &At<'_>) {
        let key = |half: &Half| match half {
            Half::Low => Key::Pasid(id),
            Half::High => Key::PasidHigh(id),
        };
        let updates = halves.iter().map(|half| Update::Set(self.state.var(&key(half)), named(mm))).collect();
        self.step(vec![at.way(Vec::new(), updates)], at.line);
    }

    /// What a PASID cache forgets: the entry, and what has been read of it.
    pub(super) fn forgets_pasid(&mut self, user: UserId) -> Vec<Update> {
        let read = self.scope.survey.pasid_halves.then_some(Key::PasidRead(user));
        let keys = [Key::PasidCache(user)].into_iter().chain(read);
        keys.map(|key| Update::Set(self.state.var(&key), 0)).collect()
    }
}
