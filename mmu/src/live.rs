//! The live machine: executes an operation's program on a real page table, while everybody uses it.
//!
//! Invariant: one line is one call into one other module, so that what a program says is what happens. Locks,
//! open ranges and references that a program left behind are released when the [`Execution`] is dropped: first the
//! page-table lock, then the range, then the frames.

use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use parking_lot::MutexGuard;
use steps::one_page::{Condition, Entry, Lock, OnePage, Protection, Role, Step};
use steps::program::{Line, Program};
use steps::{Count, Emptied, EntryAt, EntryOf, Invalidation, LockMode, Pages, Range, Scope};
use thiserror::Error;

use crate::address::{Pfn, VirtAddr, VirtRange};
use crate::address_space::AddressSpace;
use crate::frame::{FrameRef, FrameState, OutOfFrames, Owner};
use crate::notifier::{self, Blocking, InvalidationKind, OpenRange};
use crate::pte::Pte;
use crate::table::Slot;
use crate::trace::{Action, Agent, Event, Run};

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every check held.
    Completed,
    /// This check failed, and the program went on behind its label.
    Abandoned(Condition),
}

/// Why a step was not taken.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// No frame is left.
    #[error(transparent)]
    OutOfFrames(#[from] OutOfFrames),
    /// This machine has no such step.
    #[error("`{step}` is not on the live machine: {reason}")]
    NotLive {
        /// The step.
        step: Step,
        /// Why it has none.
        reason: &'static str,
    },
}

const VCPUS: &str = "the shadow page table flushes its vCPUs itself, with what it zaps";
const ONE_PAGE: &str = "an operation here is on one page";
const ONE_CACHE: &str = "secondary TLBs are invalidated together, by the notifier";

fn not_live(step: Step, reason: &'static str) -> Result<(), Stuck> {
    Err(Stuck::NotLive { step, reason })
}

/// One execution of a program on one page.
pub struct Execution<'space> {
    table_lock: Option<MutexGuard<'space, ()>>,
    range: Option<OpenRange<'space>>,
    page_lock: Option<MutexGuard<'space, ()>>,
    space: &'space AddressSpace,
    page: VirtAddr,
    slot: Slot,
    /// The entry as this execution last saw or wrote it.
    entry: Pte,
    old: Frame,
    new: Frame,
}

/// A frame of the operation: its number, for as long as it is named, and the reference, for as long as it is held.
#[derive(Default)]
struct Frame {
    pfn: Option<Pfn>,
    held: Option<FrameRef>,
}

impl Frame {
    fn hold(reference: FrameRef) -> Self {
        Self { pfn: Some(reference.pfn()), held: Some(reference) }
    }
}

impl<'space> Execution<'space> {
    /// Prepares an operation on `page`, whose entry in `slot` was seen to be `entry` and to map `old`.
    #[must_use]
    pub fn new(space: &'space AddressSpace, page: VirtAddr, slot: Slot, entry: Pte, old: FrameRef) -> Self {
        Self {
            table_lock: None,
            range: None,
            page_lock: None,
            space,
            page,
            slot,
            entry,
            old: Frame::hold(old),
            new: Frame::default(),
        }
    }

    /// Names the frame that is to be put in place, for operations that do not allocate it.
    #[must_use]
    pub fn with_new(mut self, new: FrameRef) -> Self {
        self.new = Frame::hold(new);
        self
    }

    /// Executes `program`.
    ///
    /// # Errors
    /// [`Stuck`] if a frame is needed and none is left (programs allocate before they change anything), or at a step that is
    /// not on this machine.
    pub fn run(mut self, program: &Program) -> Result<Outcome, Stuck> {
        let mut outcome = Outcome::Completed;
        let (mut next, run) = (0, Run::begin(program.name()));
        let watched = self.space.observer().watches();
        while let Some(line) = program.lines().get(next) {
            next += 1;
            self.space.observer().before(self.page, line);
            let began = watched.then(Instant::now);
            let mut held = true;
            match *line {
                Line::Step(step) => self.step(step)?,
                Line::Goto(label) => next = program.target(label, next),
                Line::Label(_) => continue,
                Line::Check(condition, label) => {
                    held = self.holds(condition);
                    if !held {
                        outcome = Outcome::Abandoned(condition);
                        next = program.target(label, next);
                    }
                }
            }
            if let Some(began) = began {
                self.report(began, Action::Line { run, line: *line, held });
            }
        }
        Ok(outcome)
    }

    fn report(&self, began: Instant, action: Action) {
        let event = Event::since(began, Agent::Mm, action, self.page, self.old.pfn);
        self.space.observer().record(Event { new_frame: self.new.pfn, ..event });
    }

    /// Executes one step by itself: for who decides on each step what comes next, instead of running a program.
    ///
    /// # Errors
    /// [`Stuck`] as [`run`](Self::run).
    ///
    /// # Panics
    /// If the step names a frame that the operation does not have, or drops what nobody holds. A lock that somebody
    /// holds is waited for, also if that is the caller.
    pub fn step(&mut self, step: Step) -> Result<(), Stuck> {
        let (space, page) = (self.space, self.page);
        match step {
            Step::Lock(Lock::Table, LockMode::Exclusive) => {
                self.table_lock = Some(space.table().lock(self.slot));
            }
            Step::Lock(Lock::Page(role), LockMode::Exclusive) => {
                self.page_lock = Some(space.frames().lock_page(self.pfn(role)));
            }
            Step::Unlock(Lock::Table) => self.table_lock = None,
            Step::Unlock(Lock::Page(_)) => self.page_lock = None,
            Step::Fence => fence(Ordering::SeqCst),
            Step::Entry(EntryAt::Pte(_), what) => return self.entry_step(step, what),
            Step::Invalidate(Invalidation { emptied, scope: Scope::All, posted: false }) => {
                return self.invalidate(step, emptied);
            }
            Step::NotifyStart(Pages::One(_)) => self.range = Some(self.open_range()),
            Step::NotifyEnd(Pages::One(_)) => self.range = None,
            Step::ChangePte(_) => space.notifiers().change_pte(page, self.entry),
            Step::Copy(from, to) => space.frames().memory().copy_frame(self.pfn(from), self.pfn(to)),
            Step::Count(count, role) => return self.count_step(step, count, role),
            Step::Invalidate(Invalidation { scope: Scope::Own | Scope::Others, posted: false, .. }) => {
                return not_live(step, "an operation here runs on no CPU of its own");
            }
            Step::Invalidate(Invalidation { scope: Scope::On(never), .. }) => match never {},
            Step::Lock(_, LockMode::Shared) => return not_live(step, "its locks have one holder"),
            Step::Enter(_) | Step::Leave(_) | Step::IpiSync | Step::SynchronizeRcu => {
                return not_live(step, "the kernel's threads here have no interrupts and no read sides");
            }
            Step::Invalidate(Invalidation { posted: true, .. }) | Step::InvWait(..) => {
                return not_live(step, "an operation here waits for each invalidation");
            }
            Step::PageRequest(_) | Step::PageResponse(_) | Step::DrainRequests => {
                return not_live(step, "requests for pages are the unit's");
            }
            Step::NotifyStart(Pages::To(..)) | Step::NotifyEnd(Pages::To(..)) => {
                return not_live(step, ONE_PAGE);
            }
            Step::ZapSpte(_) | Step::SetSpte(..) => return not_live(step, VCPUS),
            Step::Walk(_) | Step::Load(_) | Step::DmaRead(_) => {
                return not_live(step, "an operation has no TLB of its own");
            }
            Step::Read(_) => return not_live(step, "an operation does not look at what a frame holds"),
            Step::Entry(EntryAt::Pmd(never), _)
            | Step::Trylock(_, _, never)
            | Step::Switch(never, ..)
            | Step::SetPasid(_, never, _)
            | Step::SetPasidHalf(_, _, never, _)
            | Step::Store(_, never)
            | Step::DmaWrite(_, never)
            | Step::Write(_, never)
            | Step::GupFast { handle: never, .. }
            | Step::TryGet { handle: never, .. }
            | Step::Peek { handle: never, .. }
            | Step::Forget(never)
            | Step::ZapSpmd(never)
            | Step::SetSpmd(never, _)
            | Step::Unplug(never) => match never {},
        }
        Ok(())
    }

    fn invalidate(&self, step: Step, emptied: Emptied<OnePage>) -> Result<(), Stuck> {
        let (space, page) = (self.space, self.page);
        match emptied {
            Emptied::Cpus(Range::Page(..)) => space.flush_tlb(VirtRange::page(page)),
            Emptied::Devices(Range::Page(..)) => {
                space.notifiers().invalidate_secondary(VirtRange::page(page));
            }
            Emptied::Cpus(Range::Pages(..)) | Emptied::Devices(Range::Pages(..)) => {
                return not_live(step, ONE_PAGE);
            }
            Emptied::Vcpus(_) => return not_live(step, VCPUS),
            Emptied::Iotlbs(..) | Emptied::DeviceTlbs(_) => return not_live(step, ONE_CACHE),
            Emptied::Cpus(Range::Under(never, _)) | Emptied::Devices(Range::Under(never, _)) => {
                match never {}
            }
            Emptied::CpusUnder(_, _, never) | Emptied::CpusOf(never) => match never {},
            Emptied::Cpus(Range::Mm(never)) | Emptied::Devices(Range::Mm(never)) => match never {},
            Emptied::IotlbsOf(never) | Emptied::DeviceTlbsOf(never) | Emptied::PasidCaches(_, never) => {
                match never {}
            }
        }
        Ok(())
    }

    fn entry_step(&mut self, step: Step, what: EntryOf<OnePage>) -> Result<(), Stuck> {
        let table = self.space.table();
        match what {
            EntryOf::Read => self.entry = table.load(self.slot),
            EntryOf::Clear => self.entry = table.clear(self.slot),
            EntryOf::Set(Entry::Maps(role, permission)) => self.set_pte(role, permission),
            EntryOf::Set(Entry::Orig) => table.store(self.slot, self.entry),
            EntryOf::Modify(_) => {
                return not_live(step, "an entry is cleared and set here, and not modified");
            }
        }
        Ok(())
    }

    fn count_step(&mut self, step: Step, count: Count, role: Role) -> Result<(), Stuck> {
        let frames = self.space.frames();
        match (count, role) {
            (Count::Alloc, Role::New) => self.allocate()?,
            (Count::Put, role) => self.named(role).held = None,
            (Count::Map, role) => self.map(role),
            (Count::Unmap, role) => drop(frames.unmap(self.pfn(role))),
            (Count::MarkStable, role) => frames.set_state(self.pfn(role), FrameState::Ksm),
            (Count::Alloc, Role::Old) => return not_live(step, "the frame that was there is there"),
            (Count::Get | Count::Pin | Count::Unpin | Count::Free, _) => {
                return not_live(step, "an operation here holds each frame once, from its beginning");
            }
        }
        Ok(())
    }

    /// Whether `condition` holds now.
    ///
    /// # Panics
    /// If it names a frame that the operation does not have.
    #[must_use]
    pub fn holds(&self, condition: Condition) -> bool {
        let frames = self.space.frames();
        let old = self.pfn(Role::Old);
        match condition {
            Condition::PteSame => self.space.table().load(self.slot) == self.entry,
            Condition::Unreferenced => frames.refcount(old) == frames.mapcount(old) + 1,
            Condition::SameContent => frames.memory().frames_equal(old, self.pfn(Role::New)),
        }
    }

    /// The entry as this execution last saw or wrote it.
    #[must_use]
    pub fn entry(&self) -> Pte {
        self.entry
    }

    /// The frame that goes by the name of `role`, held or not.
    #[must_use]
    pub fn frame(&self, role: Role) -> Option<Pfn> {
        match role {
            Role::Old => self.old.pfn,
            Role::New => self.new.pfn,
        }
    }

    fn allocate(&mut self) -> Result<(), OutOfFrames> {
        let frame = self.space.frames().allocate(FrameState::Anonymous)?;
        let owner = Owner { space: self.space.id().0, page: self.page };
        self.space.frames().set_owner(frame.pfn(), owner);
        self.new = Frame::hold(frame);
        Ok(())
    }

    fn open_range(&self) -> OpenRange<'space> {
        let invalidation = notifier::Invalidation {
            range: VirtRange::page(self.page),
            kind: InvalidationKind::Clear,
            blocking: Blocking::Allowed,
        };
        match self.space.notifiers().start(invalidation) {
            Ok(range) => range,
            Err(refused) => panic!("a start that may block was refused: {refused}"),
        }
    }

    /// Young from the start, and dirty if writable, as the fault that asked for it is about to use it.
    fn set_pte(&mut self, role: Role, permission: Protection) {
        let bits = match permission {
            Protection::ReadOnly => Pte::ACCESSED,
            Protection::ReadWrite => Pte::ACCESSED | Pte::WRITE | Pte::DIRTY,
        };
        self.entry = Pte::leaf(self.pfn(role)).with(bits);
        self.space.table().store(self.slot, self.entry);
    }

    /// The entry's own reference, beside the operation's.
    fn map(&mut self, role: Role) {
        let pfn = self.pfn(role);
        match self.space.frames().try_reference(pfn) {
            Some(reference) => assert_eq!(reference.into_mapping(), pfn),
            None => panic!("{pfn:?} is to be mapped and nobody holds it"),
        }
    }

    fn named(&mut self, role: Role) -> &mut Frame {
        match role {
            Role::Old => &mut self.old,
            Role::New => &mut self.new,
        }
    }

    fn pfn(&self, role: Role) -> Pfn {
        match self.frame(role) {
            Some(pfn) => pfn,
            None => panic!("the program names `{role}` before it has a frame"),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
