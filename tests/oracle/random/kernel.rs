//! Random programs of the kernel: short idioms, some of them with a mistake.

use super::look::Looker;
use super::{Draw, Theme};
use crate::oracle::entry::{Bit, Entry, Target};
use crate::oracle::program::{Change, Look, Statement};
use crate::oracle::setting::Place;
use crate::oracle::step::{Access, Count, Held, Invalidation, Lock, Mm, Scope, Step, Tag};

fn step(step: Step) -> Statement {
    Statement::Step(step)
}

impl Draw {
    fn lock(&mut self) -> Lock {
        match self.once_in(3) {
            true => Lock::Named(0),
            false => Lock::Ptl(self.page()),
        }
    }

    pub(super) fn assignment(&mut self) -> Statement {
        let var = self.rng.usize(0..self.scenario.vars.len());
        let greatest = self.scenario.vars[var].greatest;
        Statement::Assign(
            var,
            match self.rng.u32(0..6) {
                0 => Change::Add(1),
                1 => Change::Subtract(1),
                2 => Change::Copy(Look::Var(self.rng.usize(0..self.scenario.vars.len()))),
                _ => Change::Set(self.rng.u8(0..=greatest)),
            },
        )
    }

    /// What changes an entry.
    fn change(&mut self, agent: usize) -> Statement {
        let page = self.page();
        step(match self.rng.u32(0..6) {
            0 | 1 => Step::PteClear(page),
            2 | 3 => Step::SetPte(page, self.entry(agent)),
            4 => {
                let rw = self.rng.bool();
                Step::PteModify(page, self.with_bits(Entry::of(Target::Orig).with(Bit::Rw, rw)).bits)
            }
            _ => Step::PteRead(page),
        })
    }

    fn invalidation(&mut self) -> Invalidation {
        let page = self.page();
        let mut all = vec![Invalidation::FlushTlb(page), Invalidation::FlushTlb(page)];
        if !self.scenario.devices.is_empty() {
            all.extend([Invalidation::Notify(page), Invalidation::Notify(page)]);
            if self.has(Theme::Apart) || self.once_in(4) {
                all.extend([Invalidation::IotlbInv(page), Invalidation::IotlbInv(page)]);
                all.extend([Invalidation::DevtlbInv(page), Invalidation::DevtlbInv(page)]);
            }
        }
        if self.scenario.mms > 0 {
            let mm = Mm(self.rng.usize(0..self.scenario.mms));
            all.push(Invalidation::FlushTlbMm(mm));
            if !self.scenario.devices.is_empty() {
                all.push(Invalidation::NotifyMm(mm));
            }
        }
        if self.has(Theme::Upper) {
            let pmd = self.pmd();
            all.extend([Invalidation::FlushPmd(pmd), Invalidation::FlushPmd(pmd)]);
            if !self.scenario.devices.is_empty() {
                all.push(Invalidation::NotifyPmd(pmd));
            }
        }
        if self.has(Theme::Pasid) {
            let of_pasid =
                [Invalidation::PasidInv, Invalidation::IotlbInvPasid, Invalidation::DevtlbInvPasid];
            all.extend(of_pasid);
            all.extend(of_pasid);
        }
        if self.has(Theme::Tags) {
            let tag = self.tag();
            all.extend([Invalidation::FlushTag(tag), Invalidation::FlushUnder(page, tag)]);
            all.extend([Invalidation::FlushUnder(page, self.tag()), Invalidation::FlushTag(tag)]);
        }
        if self.has(Theme::Cpu) || self.once_in(8) {
            all.push(Invalidation::FlushScoped(page, Scope::On(self.rng.usize(0..self.scenario.cpus))));
        }
        if self.has(Theme::ExplicitVcpu) {
            all.extend([Invalidation::FlushVcpus(page), Invalidation::FlushVcpus(page)]);
        }
        self.one(&all)
    }

    fn invalidated(&mut self) -> Statement {
        let what = self.invalidation();
        let may_leaf = matches!(
            what,
            Invalidation::FlushTlb(_)
                | Invalidation::Notify(_)
                | Invalidation::IotlbInv(_)
                | Invalidation::FlushPmd(_)
                | Invalidation::NotifyPmd(_)
        );
        let leaf = self.has(Theme::Upper) && may_leaf && self.once_in(2);
        let by_interrupt =
            self.scenario.options.iter().any(|(name, _)| *name == "flush") && what.is_of_cpus();
        let post = self.has(Theme::Posted) && !by_interrupt && self.rng.bool();
        step(Step::Invalidate { what, leaf, post })
    }

    fn held(&mut self, agent: usize) -> Held {
        let handle = self.handles.iter().find(|(owner, _)| *owner == agent).map(|(_, handle)| *handle);
        match handle {
            Some(handle) if self.rng.bool() => Held::Handle(handle),
            Some(_) | None if self.has(Theme::Upper) && self.once_in(2) => Held::Table(0),
            Some(_) | None => Held::Frame(self.frame()),
        }
    }

    fn counted(&mut self, agent: usize) -> Statement {
        let counts = [Count::Alloc, Count::Get, Count::Put, Count::Put, Count::Free];
        let held = self.held(agent);
        let frame = self.frame();
        let more = [Count::Map, Count::Unmap, Count::Pin, Count::Unpin, Count::Put];
        let (count, held) = match held {
            Held::Frame(_) if self.rng.bool() => (self.one(&more), Held::Frame(frame)),
            Held::Handle(_) => (self.one(&[Count::Get, Count::Put, Count::Put, Count::Unpin]), held),
            Held::Frame(_) | Held::Table(_) => (self.one(&counts), held),
        };
        step(Step::Count(count, held))
    }

    fn content(&mut self, agent: usize) -> Statement {
        let handle = self.handles.iter().find(|(owner, _)| *owner == agent).map(|(_, handle)| *handle);
        let held = match handle {
            Some(handle) if self.rng.bool() => Held::Handle(handle),
            Some(_) | None => Held::Frame(self.frame()),
        };
        step(match self.rng.u32(0..5) {
            0 | 1 => Step::Write(held, self.rng.u8(1..4)),
            2 | 3 => Step::Read(held),
            _ => {
                let from = self.frame();
                let to = (from + 1) % self.scenario.frames.len();
                Step::Copy(from, to)
            }
        })
    }

    fn gup(&mut self, agent: usize) -> Vec<Statement> {
        let handle = self.handles.iter().find(|(owner, _)| *owner == agent).map(|(_, handle)| *handle);
        let handle = handle.unwrap_or_else(|| {
            self.handles.push((agent, self.handles.len()));
            self.handles.len() - 1
        });
        let (page, write, pin) = (self.page(), self.rng.bool(), self.once_in(3));
        let leaf = self.scenario.pages[page.0].pmd.is_some() && self.once_in(2);
        let mut body = match self.rng.u32(0..3) {
            0 => vec![step(Step::PteRead(page)), step(Step::TryGet { page, write, pin, handle })],
            _ => vec![step(Step::GupFast { page, write, pin, leaf, handle })],
        };
        let used = match self.rng.u32(0..3) {
            0 => Step::Read(Held::Handle(handle)),
            _ => Step::Write(Held::Handle(handle), 3),
        };
        body.push(step(used));
        if self.rng.bool() {
            body.push(step(Step::Count(if pin { Count::Unpin } else { Count::Put }, Held::Handle(handle))));
        }
        body
    }

    /// What one of the themes brings.
    fn themed(&mut self, agent: usize) -> Vec<Statement> {
        let theme = self.one(&self.themes.clone());
        let page = self.page();
        match theme {
            Theme::Cpu if self.once_in(2) => self.scoped(agent),
            Theme::Tags => self.switched(agent),
            Theme::Cpu | Theme::Device | Theme::Apart | Theme::Bits | Theme::Swap => {
                vec![self.change(agent), self.invalidated()]
            }
            Theme::Tso => self.stored(agent),
            Theme::Posted => vec![self.invalidated(), step(Step::InvWait)],
            Theme::Control if !self.scenario.vars.is_empty() => vec![self.assignment()],
            Theme::Control | Theme::Counts => {
                let more =
                    if self.once_in(4) { step(Step::MarkStable(self.frame())) } else { self.counted(agent) };
                vec![self.counted(agent), more]
            }
            Theme::Vcpu => self.range(agent),
            Theme::ExplicitVcpu => self.shadow(agent),
            Theme::Pasid => {
                let mm = (self.rng.u32(0..3) > 0).then(|| Mm(self.rng.usize(0..self.scenario.mms)));
                vec![step(Step::SetPasid(mm)), self.invalidated()]
            }
            Theme::Requests => match self.rng.u32(0..3) {
                0 => vec![step(Step::DrainRequests)],
                _ => vec![step(Step::PageResponse(page))],
            },
            Theme::Upper => self.upper_step(),
            Theme::Gup => self.gup(agent),
            Theme::Sections => self.section(agent),
        }
    }

    fn tag(&mut self) -> Tag {
        Tag(self.rng.usize(0..self.scenario.tags))
    }

    /// A flush of the own TLB, or of all others: by who runs on a CPU.
    fn scoped(&mut self, agent: usize) -> Vec<Statement> {
        let scope = match self.scenario.agents[agent].place {
            Place::Cpu(_) if self.rng.bool() => Scope::Own,
            Place::Cpu(_) => Scope::Others,
            Place::Nowhere | Place::Vcpu(_) | Place::Device(_) => Scope::On(0),
        };
        let what = Invalidation::FlushScoped(self.page(), scope);
        vec![self.change(agent), step(Step::Invalidate { what, leaf: false, post: false })]
    }

    /// Another address space for the own CPU, or what its tags hold is flushed.
    fn switched(&mut self, agent: usize) -> Vec<Statement> {
        let context = match self.scenario.agents[agent].place {
            Place::Cpu(cpu) => self.scenario.context(cpu),
            Place::Nowhere | Place::Vcpu(_) | Place::Device(_) => None,
        };
        let Some((mm, tag)) = context.filter(|_| !self.once_in(3)) else {
            return vec![self.change(agent), self.invalidated()];
        };
        if self.once_in(3) {
            // What the own tag had before is gone.
            let how = Access::Read;
            let load = step(Step::Access { how, page: self.page(), dma: false });
            let switch = step(Step::Switch(mm, tag, true));
            let order = if self.rng.bool() { [switch, load] } else { [load, switch] };
            return std::iter::once(self.change(agent)).chain(order).collect();
        }
        let to = Step::Switch(Mm(self.rng.usize(0..2)), self.tag(), self.once_in(3));
        let how = if self.rng.bool() { Access::Read } else { Access::Write(self.rng.u8(1..4)) };
        vec![step(to), step(Step::Access { how, page: self.page(), dma: false })]
    }

    /// Plain stores, and what comes behind them.
    fn stored(&mut self, agent: usize) -> Vec<Statement> {
        let page = self.page();
        match self.rng.u32(0..5) {
            0 => vec![step(Step::SetPte(page, self.entry(agent)))],
            1 => vec![step(Step::Fence)],
            _ if self.scenario.vars.is_empty() => vec![step(Step::SetPte(page, self.entry(agent)))],
            _ => vec![self.assignment(), self.assignment()],
        }
    }

    fn range(&mut self, agent: usize) -> Vec<Statement> {
        let page = self.page();
        let mut body = vec![step(Step::NotifyStart(page)), self.change(agent)];
        if self.once_in(3) {
            body.push(step(Step::ChangePte(page)));
        }
        if !self.once_in(6) {
            body.push(step(Step::NotifyEnd(page)));
        }
        body
    }

    fn shadow(&mut self, agent: usize) -> Vec<Statement> {
        let page = self.page();
        match self.rng.u32(0..4) {
            0 => vec![step(Step::ZapSpte(page)), self.invalidated()],
            1 => vec![step(Step::SetSpte(page, self.entry(agent)))],
            2 => vec![self.change(agent), step(Step::ChangePte(page))],
            _ => self.range(agent),
        }
    }

    fn upper_step(&mut self) -> Vec<Statement> {
        let (frame, pmd) = (self.frame(), self.pmd());
        vec![step(match self.rng.u32(0..6) {
            0 | 1 => Step::PmdClear(pmd),
            2 => Step::SetPmd(pmd, Entry::of(Target::Table(0))),
            3 => {
                let huge = Entry::of(Target::Frame(frame)).with(Bit::Rw, self.rng.bool());
                Step::SetPmd(pmd, huge.with(Bit::Huge, true))
            }
            4 => Step::PmdRead(pmd),
            _ => Step::SetPmd(pmd, Entry::of(Target::Orig)),
        })]
    }

    fn section(&mut self, agent: usize) -> Vec<Statement> {
        let inside = if self.rng.bool() { self.change(agent) } else { self.content(agent) };
        match self.rng.u32(0..5) {
            0 | 1 => vec![step(Step::IrqOff), inside, step(Step::IrqOn)],
            2 => vec![step(Step::RcuReadLock), inside, step(Step::RcuReadUnlock)],
            3 => vec![step(Step::IpiSync)],
            _ => vec![step(Step::SynchronizeRcu)],
        }
    }

    pub(super) fn kernel(&mut self, agent: usize) -> Vec<Statement> {
        match self.rng.u32(0..14) {
            0 | 1 => self.locked(agent),
            2 => vec![self.change(agent)],
            3 => vec![self.invalidated()],
            4 => vec![self.counted(agent)],
            5 => vec![self.content(agent)],
            6 if !self.scenario.vars.is_empty() => vec![self.assignment()],
            7 => self.on_cpu(agent),
            8 if self.once_in(2) => {
                let page = self.page();
                let notify = !self.scenario.devices.is_empty();
                vec![step(if notify { Step::ClearFlushNotify(page) } else { Step::ClearFlush(page) })]
            }
            _ => self.themed(agent),
        }
    }

    fn on_cpu(&mut self, agent: usize) -> Vec<Statement> {
        match self.scenario.agents[agent].place {
            Place::Cpu(_) | Place::Vcpu(_) => {
                let how = if self.rng.bool() { Access::Read } else { Access::Write(self.rng.u8(1..4)) };
                vec![step(Step::Access { how, page: self.page(), dma: false })]
            }
            Place::Nowhere | Place::Device(_) => vec![self.change(agent)],
        }
    }

    fn locked(&mut self, agent: usize) -> Vec<Statement> {
        let lock = self.lock();
        let shared = self.once_in(4);
        let mut body = vec![step(Step::Lock(lock, shared))];
        let inner = self.themed(agent);
        body.extend(inner);
        if !self.once_in(12) {
            body.push(step(Step::Unlock(lock)));
        }
        body
    }

    /// Jumps, tests and blocks around and between what there is.
    pub(super) fn controlled(&mut self, agent: usize, mut body: Vec<Statement>) -> Vec<Statement> {
        let place = self.rng.usize(0..body.len());
        let looker = Looker::Agent(agent);
        match self.rng.u32(0..12) {
            0 => body.insert(place, Statement::When(self.condition(looker))),
            1 => {
                body.insert(place, Statement::Check(self.condition(looker), "out"));
                body.push(Statement::Label("out"));
            }
            2 => {
                let inner = body.split_off(place);
                let other = if self.rng.bool() { self.kernel(agent) } else { Vec::new() };
                body.push(Statement::If(self.condition(looker), inner, other));
            }
            3 if body[place..].iter().all(Statement::is_on_one_line) => {
                let inner = body.split_off(place);
                body.push(Statement::Choice(vec![inner, self.kernel(agent)]));
            }
            4 => {
                let inner = body.split_off(place.max(body.len().saturating_sub(2)));
                let least = self.rng.usize(0..2);
                body.push(Statement::Repeat(least, self.rng.usize(least.max(1)..3), inner));
            }
            5 if !body.iter().any(Statement::may_count) => {
                body.insert(0, Statement::Label("again"));
                let back = Statement::If(self.condition(looker), vec![Statement::Goto("again")], Vec::new());
                body.push(back);
            }
            6 => {
                let lock = self.lock();
                body.insert(place, Statement::Trylock(lock, self.once_in(3), "out"));
                if self.rng.bool() {
                    body.push(step(Step::Unlock(lock)));
                }
                body.push(Statement::Label("out"));
            }
            7 => {
                let test = Statement::If(self.condition(looker), vec![Statement::End], Vec::new());
                body.insert(place, test);
            }
            8 | 9 if !self.scenario.option("range", "off") => {
                let atomic = self.atomic(agent);
                body.insert(place, atomic);
            }
            _ => {}
        }
        body
    }

    /// Steps that never wait, perhaps behind one that does.
    fn atomic(&mut self, agent: usize) -> Statement {
        let mut body = Vec::new();
        if self.once_in(3) {
            body.push(Statement::When(self.condition(Looker::Agent(agent))));
        }
        for _ in 0..2 {
            body.push(match self.rng.u32(0..4) {
                0 if !self.scenario.vars.is_empty() => self.assignment(),
                1 => self.content(agent),
                2 => step(Step::Count(self.one(&[Count::Get, Count::Put]), Held::Frame(self.frame()))),
                _ => self.change(agent),
            });
        }
        Statement::Atomic(body)
    }
}
