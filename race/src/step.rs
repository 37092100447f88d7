//! What each step does on the live machine.
//!
//! Invariant: every step and every part of one has its meaning here, or an error with its reason; nothing is passed over.
//! A step that cannot be taken changes nothing.

use std::sync::atomic::{Ordering, fence};

use mmu::address::Access;
use mmu::pte::Pte;
use ordering::language::syntax::BuiltIn;
use ordering::lowering::{
    Act, AgentId, Assigned, Deed, Flush, FrameId, FramePlace, Key, Numbers, PageId, Part, Party, UserId,
};
use steps::{
    CacheKind, EntryAt, EntryOf, Half, Invalidation, LockMode, Scope, Section, Step, Unanswered, Waited,
};

use crate::gup::Wanted;
use crate::machine::Machine;
use crate::stuck::Stuck;
use crate::unit::entries::Named;

type Taken = Result<Part, Stuck>;

impl Machine {
    /// Lets `agent` take that part of a step, and says which part it was: what it returned, or that it came to nothing.
    ///
    /// # Errors
    /// [`Stuck`] if it cannot be taken now, breaks a property that is built in, or has nothing to be taken with.
    pub fn take(&self, agent: AgentId, deed: Deed<'_>) -> Taken {
        if let Some(held) = self.held.get(agent) {
            held.indivisible.store(deed.indivisible, Ordering::Relaxed);
        }
        self.who_acts(agent, deed.part).map_or(Ok(()), |user| self.is_plugged_in(user))?;
        match deed.part {
            Part::Walk(user, page, target, hop) => {
                if let Some(half) = self.half_hop(user, hop)? {
                    return Ok(Part::Walk(user, page, target, half));
                }
                self.hop((user, page), target, hop, needed(deed.act))?;
                return Ok(deed.part);
            }
            Part::Dirty(user, page) | Part::NotDirty(user, page) => {
                let dirty = self.dirty(user, page, matches!(deed.part, Part::Dirty(..)))?;
                return Ok(if dirty { Part::Dirty(user, page) } else { Part::NotDirty(user, page) });
            }
            Part::Perform(number, place) => return self.perform(number, place).map(|()| deed.part),
            Part::TimesOut(number, place) => return self.time_out(number, place).map(|()| deed.part),
            Part::ReachesMemory(agent) => return self.reach_memory(agent as usize).map(|()| deed.part),
            Part::Whole
            | Part::Returns(_)
            | Part::Nothing
            | Part::Flush(_)
            | Part::Send(_)
            | Part::Answer(..)
            | Part::ReadPmd(_)
            | Part::ReadPte(_)
            | Part::Get(_)
            | Part::Again
            | Part::Drop
            | Part::Translated
            | Part::Answered
            | Part::Sent => {}
        }
        match deed.act {
            Act::Step(step) => self.step(agent, step, deed.part),
            Act::Assign(assigned) => self.assign(agent, *assigned).map(|()| Part::Whole),
            // What is looked at is compared with the model's state after each row.
            Act::Decide => Ok(deed.part),
            Act::Hardware => {
                Err(Stuck::Cannot(format!("{:?} is nothing that hardware does by itself", deed.part)))
            }
        }
    }

    fn step(&self, agent: AgentId, step: &Step<Numbers>, part: Part) -> Taken {
        if waits_for_stores(step, part) {
            self.drained(agent)?;
        }
        match step {
            Step::Lock(lock, mode) if self.lock(agent, lock, *mode) => {}
            Step::Lock(..) => return Err(Stuck::Waits("somebody holds the lock")),
            Step::Trylock(lock, mode, _) if self.lock(agent, lock, *mode) => {}
            Step::Trylock(..) => return Ok(Part::Nothing),
            Step::Unlock(lock) => self.unlock(agent, lock)?,
            Step::Fence => fence(Ordering::SeqCst),
            Step::Enter(section) => self.enter_section(agent, *section)?,
            Step::Leave(section) => self.leave_section(agent, *section)?,
            Step::IpiSync => return self.round(agent, part, &[Section::Interrupts], |_| Ok(())),
            Step::SynchronizeRcu => {
                return self.round(agent, part, &[Section::Interrupts, Section::Rcu], |_| Ok(()));
            }
            Step::Entry(EntryAt::Pte(page), what) => return self.page_entry(agent, *page, what),
            Step::Entry(EntryAt::Pmd(pmd), what) => return self.upper_entry(agent, *pmd, what),
            Step::Invalidate(invalidation) => return self.invalidation(agent, invalidation, part),
            Step::Switch(mm, tag, switched) => self.switch(self.own(agent)?, *mm, *tag, *switched)?,
            Step::SetPasid(_, id, mm) => self.layout.entries.set(&self.memory, *id, mm.0),
            Step::InvWait(waited, unanswered) => return self.inv_wait(agent, *waited, unanswered, part),
            Step::Unplug(device) => self.unplug(*device),
            Step::SetPasidHalf(_, half, id, mm) => {
                self.layout.entries.set_half(&self.memory, *id, *half, mm.0);
            }
            Step::ZapSpmd(pmd) => self.memory.store(self.layout.spmd(*pmd), 0),
            Step::SetSpmd(pmd, entry) => return self.set_upper_shadow(agent, *pmd, entry),
            Step::PageRequest(page) => return self.request(agent, *page, part),
            Step::PageResponse(page) => self.respond(*page)?,
            Step::DrainRequests => self.drain_requests()?,
            Step::NotifyStart(pages) => self.start_range(pages)?,
            Step::NotifyEnd(pages) => self.end_range(pages)?,
            Step::ChangePte(page) => self.change_pte(agent, *page)?,
            Step::ZapSpte(page) => self.zap_spte(*page)?,
            Step::SetSpte(page, entry) => return self.set_shadow(agent, *page, entry),
            Step::Walk(page) => self.walk_is_over(self.own(agent)?, *page)?,
            Step::Load(page) => return self.translated(agent, *page, Access::Read, 0),
            Step::Store(page, value) => return self.translated(agent, *page, Access::Write, *value),
            Step::DmaRead(page) => return self.dma(agent, *page, (Access::Read, 0), part),
            Step::DmaWrite(page, value) => return self.dma(agent, *page, (Access::Write, *value), part),
            Step::GupFast { page, write, pin, leaf, handle } => {
                let (page, write, pin, leaf) = (*page, *write, *pin, *leaf);
                return self.gup(&Wanted { agent, page, write, pin, leaf, handle }, part);
            }
            Step::TryGet { page, write, pin, handle } => {
                let (page, write, pin) = (*page, *write, *pin);
                return self.try_get(&Wanted { agent, page, write, pin, leaf: false, handle });
            }
            Step::Peek { page, write, handle } => return self.peek(agent, *page, *write, handle),
            Step::Forget(handle) => drop(self.held[agent].handles.lock().remove(handle)),
            Step::Write(frame, value) => return self.direct(agent, frame, Access::Write, *value),
            Step::Read(frame) => return self.direct(agent, frame, Access::Read, 0),
            Step::Copy(from, to) => return self.copy(agent, from, to),
            Step::Count(count, frame) => return self.count(agent, *count, frame),
        }
        Ok(Part::Whole)
    }

    fn inv_wait(
        &self,
        agent: AgentId,
        waited: Waited,
        unanswered: &Unanswered<Numbers>,
        part: Part,
    ) -> Taken {
        let asks = matches!(unanswered, Unanswered::GoesTo(_));
        if part == Part::Sent { self.send_wait(agent).map(|()| part) } else { self.wait(agent, waited, asks) }
    }

    fn zap_spte(&self, page: PageId) -> Result<(), Stuck> {
        self.shadow_table_is_live(page)?;
        self.set_shadow_entry(page, Pte::NONE)
    }

    pub(crate) fn own(&self, agent: AgentId) -> Result<UserId, Stuck> {
        self.scene.agents[agent].user.ok_or_else(|| Stuck::Cannot("the agent runs on nothing".to_owned()))
    }

    fn walk_is_over(&self, user: UserId, page: PageId) -> Result<(), Stuck> {
        self.runs_in(user, page)?;
        if self.is_cached(user, page) { Ok(()) } else { Err(Stuck::Waits("nothing is cached of the page")) }
    }

    fn translated(&self, agent: AgentId, page: PageId, access: Access, value: u32) -> Taken {
        returned(self.through(self.own(agent)?, page, access, value)?)
    }

    fn dma(&self, agent: AgentId, page: PageId, (access, value): (Access, u32), part: Part) -> Taken {
        match (part, self.scene.options.split_dma) {
            (Part::Translated, _) => self.depart(agent, page, access).map(|()| part),
            (_, true) => returned(self.land(agent, page, access, value)?),
            (_, false) => self.translated(agent, page, access, value),
        }
    }

    fn direct(&self, agent: AgentId, place: &FramePlace, access: Access, value: u32) -> Taken {
        match self.named(agent, place) {
            None => Ok(Part::Nothing),
            Some(frame) => returned(self.access(frame, access, value)?),
        }
    }

    /// The frame that a name stands for; none: the handle is empty.
    pub(crate) fn named(&self, agent: AgentId, place: &FramePlace) -> Option<FrameId> {
        match place {
            FramePlace::Frame(frame) => Some(*frame),
            FramePlace::Handle(name) => self.held[agent].handles.lock().get(name).copied(),
        }
    }

    fn copy(&self, agent: AgentId, from: &FramePlace, to: &FramePlace) -> Taken {
        let (Some(from), Some(to)) = (self.named(agent, from), self.named(agent, to)) else {
            return Ok(Part::Nothing);
        };
        self.live(from)?;
        self.live(to)?;
        self.memory.copy_frame(self.coding.pfn(from), self.coding.pfn(to));
        self.frames[to.0].whole.store(true, Ordering::Release);
        Ok(Part::Whole)
    }

    fn lock(&self, agent: AgentId, lock: &str, mode: LockMode) -> bool {
        self.shared.locks.lock().entry(lock.to_owned()).or_default().take(agent, mode)
    }

    /// A plain store to the lock, if one agent alone holds it; a locked instruction, if it is shared.
    fn unlock(&self, agent: AgentId, lock: &str) -> Result<(), Stuck> {
        let place = Key::Lock(lock.to_owned());
        let mut locks = self.shared.locks.lock();
        let found = locks.entry(lock.to_owned()).or_default();
        if found.holder == Some(agent) && self.newest(agent, &place).is_none() {
            drop(locks);
            return self.store(agent, &place, 0);
        }
        if found.sharers.contains(&agent) {
            self.drained(agent)?;
            found.sharers.remove(&agent);
            return Ok(());
        }
        if self.scene.asks(BuiltIn::Unlock) { Err(Stuck::Breaks(BuiltIn::Unlock)) } else { Ok(()) }
    }

    fn assign(&self, agent: AgentId, assigned: Assigned) -> Result<(), Stuck> {
        let Assigned { variable, to, locked } = assigned;
        if locked {
            self.drained(agent)?;
        }
        let read = to.of.map_or(0, |of| self.variable(agent, of));
        let of = &self.scene.variables[variable];
        let value = read.checked_add_signed(to.plus).and_then(|value| u32::try_from(value).ok());
        let value = value.filter(|value| (of.least..=of.most).contains(value));
        let value = value.ok_or_else(|| self.out_of_range("the variable would leave its range"))?;
        let place = Key::User(variable);
        if locked { self.reach(&place, value.into()) } else { self.store(agent, &place, value.into()) }
    }

    /// What the agent reads of a variable.
    fn variable(&self, agent: AgentId, index: usize) -> u64 {
        let memory = || self.shared.variables[index].load(Ordering::Acquire).into();
        self.newest(agent, &Key::User(index)).unwrap_or_else(memory)
    }

    fn invalidation(&self, agent: AgentId, invalidation: &Invalidation<Numbers>, part: Part) -> Taken {
        if invalidation.posted {
            return self.post(agent, invalidation).map(|()| Part::Whole);
        }
        let others = invalidation.caches() == CacheKind::Cpus && invalidation.scope != Scope::Own;
        let interrupts = others && self.scene.options.flush == Flush::Ipi;
        match part {
            Part::Flush(cpu) => {
                self.invalidate_of(invalidation, agent, cpu)?;
                return Ok(part);
            }
            Part::Send(_) | Part::Answer(..) | Part::Whole if interrupts => {
                return self.round(agent, part, &[Section::Interrupts], |cpu| {
                    self.invalidate_of(invalidation, agent, cpu)
                });
            }
            Part::Whole
            | Part::Send(_)
            | Part::Answer(..)
            | Part::Returns(_)
            | Part::Nothing
            | Part::Walk(..)
            | Part::Dirty(..)
            | Part::NotDirty(..)
            | Part::ReadPmd(_)
            | Part::ReadPte(_)
            | Part::Get(_)
            | Part::Again
            | Part::Drop
            | Part::Translated
            | Part::Answered
            | Part::Sent
            | Part::Perform(..)
            | Part::TimesOut(..)
            | Part::ReachesMemory(_) => {}
        }
        self.invalidate(invalidation, agent)?;
        Ok(Part::Whole)
    }

    fn request(&self, agent: AgentId, page: PageId, part: Part) -> Taken {
        let me = u32::try_from(agent + 1).map_err(|_| Stuck::Cannot("too many agents".to_owned()))?;
        let open = &self.shared.requested[page.0];
        if part == Part::Answered {
            return match open.load(Ordering::Acquire) == me {
                true => Err(Stuck::Waits("nobody has answered the request")),
                false => Ok(part),
            };
        }
        let pasid = self.scene.users[self.own(agent)?.0].pasid;
        // Who asks for a page looks at the word with the present bit.
        let named = pasid.map(|id| self.layout.entries.half(&self.memory, id, Half::Low));
        if named.is_some_and(|named| named != Named::Space(self.layout.page(page).mm)) {
            return Ok(Part::Nothing);
        }
        match open.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(Part::Whole),
            Err(_) => Err(Stuck::Waits("a request for the page is open")),
        }
    }

    fn respond(&self, page: PageId) -> Result<(), Stuck> {
        match self.shared.requested[page.0].swap(0, Ordering::AcqRel) {
            0 => Err(Stuck::Waits("no request for the page is open")),
            _ => Ok(()),
        }
    }

    fn drain_requests(&self) -> Result<(), Stuck> {
        match self.shared.requested.iter().all(|open| open.load(Ordering::Acquire) == 0) {
            true => Ok(()),
            false => Err(Stuck::Waits("a request for a page is open")),
        }
    }

    /// A shadow entry takes over what can be loaded through only, and is dropped for any other.
    fn change_pte(&self, agent: AgentId, page: PageId) -> Result<(), Stuck> {
        self.shadow_table_is_live(page)?;
        if self.load(self.shadow_place(page)) == Pte::NONE {
            return Ok(());
        }
        let word = Pte(self.remembered(agent, page).load(Ordering::Acquire));
        let taken_over = word.is_present() && !word.is_writable();
        self.set_shadow_entry(page, if taken_over { word } else { Pte::NONE })
    }

    /// Those who run on whatever answers.
    pub(crate) fn behind(&self, party: Party) -> Vec<AgentId> {
        match party {
            Party::Cpu(cpu) => {
                let agents = 0..self.scene.agents.len();
                agents.filter(|agent| self.scene.agents[*agent].user == Some(cpu)).collect()
            }
            Party::CpuOf(agent) | Party::Reader(agent) => vec![agent],
        }
    }
}

/// Whether the step waits for the own stores: a locked instruction, a fence, a write past every translation.
const fn waits_for_stores(step: &Step<Numbers>, part: Part) -> bool {
    match step {
        // Who is asked has a buffer of his own; who asks has waited when he sent.
        Step::IpiSync | Step::SynchronizeRcu | Step::Invalidate(_) => !matches!(part, Part::Answer(..)),
        Step::Entry(_, EntryOf::Clear | EntryOf::Modify(_))
        | Step::Lock(..)
        | Step::Trylock(..)
        | Step::Fence
        | Step::Switch(..)
        | Step::SetPasid(..)
        | Step::SetPasidHalf(..)
        | Step::InvWait(..)
        | Step::Unplug(_)
        | Step::PageRequest(_)
        | Step::PageResponse(_)
        | Step::DrainRequests
        | Step::NotifyStart(_)
        | Step::NotifyEnd(_)
        | Step::ChangePte(_)
        | Step::ZapSpte(_)
        | Step::SetSpte(..)
        | Step::ZapSpmd(_)
        | Step::SetSpmd(..)
        | Step::TryGet { .. }
        | Step::Write(..)
        | Step::Copy(..)
        | Step::Store(..)
        | Step::DmaWrite(..)
        | Step::Count(..) => true,
        Step::Entry(_, EntryOf::Read | EntryOf::Set(_))
        | Step::Unlock(_)
        | Step::Enter(_)
        | Step::Leave(_)
        | Step::Walk(_)
        | Step::Load(_)
        | Step::DmaRead(_)
        | Step::Read(_)
        | Step::Peek { .. }
        | Step::Forget(_)
        | Step::GupFast { .. } => false,
    }
}

/// What an access of the step needs of the entries that are walked for it.
fn needed(act: &Act) -> Access {
    let Act::Step(step) = act else { return Access::Read };
    match **step {
        Step::Store(..) | Step::DmaWrite(..) => Access::Write,
        Step::Lock(..)
        | Step::Trylock(..)
        | Step::Unlock(_)
        | Step::Fence
        | Step::Enter(_)
        | Step::Leave(_)
        | Step::IpiSync
        | Step::SynchronizeRcu
        | Step::Entry(..)
        | Step::Invalidate(_)
        | Step::Switch(..)
        | Step::SetPasid(..)
        | Step::SetPasidHalf(..)
        | Step::InvWait(..)
        | Step::Unplug(_)
        | Step::PageRequest(_)
        | Step::PageResponse(_)
        | Step::DrainRequests
        | Step::NotifyStart(_)
        | Step::NotifyEnd(_)
        | Step::ChangePte(_)
        | Step::ZapSpte(_)
        | Step::SetSpte(..)
        | Step::ZapSpmd(_)
        | Step::SetSpmd(..)
        | Step::Walk(_)
        | Step::Load(_)
        | Step::DmaRead(_)
        | Step::GupFast { .. }
        | Step::TryGet { .. }
        | Step::Peek { .. }
        | Step::Forget(_)
        | Step::Write(..)
        | Step::Read(_)
        | Step::Copy(..)
        | Step::Count(..) => Access::Read,
    }
}

/// What was read, if anything was: contents are small numbers, and poison is none.
fn returned(read: Option<u64>) -> Taken {
    let Some(read) = read else { return Ok(Part::Whole) };
    let small =
        u32::try_from(read).map_err(|_| Stuck::Cannot(format!("{read:#x} was read, which nobody wrote")))?;
    Ok(Part::Returns(small))
}
