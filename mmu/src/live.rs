//! The live machine: executes an operation's program on a real page table, while everybody uses it.
//!
//! Invariant: one line is one call into one other module, so that what a program says is what happens. Locks,
//! open ranges and references that a program left behind are released when the [`Execution`] is dropped: first the
//! page-table lock, then the range, then the frames.

use std::time::Instant;

use parking_lot::MutexGuard;

use crate::address::{Pfn, VirtAddr, VirtRange};
use crate::address_space::AddressSpace;
use crate::frame::{FrameRef, FrameState, OutOfFrames, Owner};
use crate::notifier::{Blocking, Invalidation, InvalidationKind, OpenRange};
use crate::program::{Line, Program};
use crate::pte::Pte;
use crate::step::{Condition, Permission, Role, Step};
use crate::table::Slot;
use crate::trace::{Action, Agent, Event};

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every check held.
    Completed,
    /// This check failed, and the program went on behind its label.
    Abandoned(Condition),
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
    /// [`OutOfFrames`] if a frame is needed and none is left. Programs allocate before they change anything.
    pub fn run(mut self, program: &Program) -> Result<Outcome, OutOfFrames> {
        let mut outcome = Outcome::Completed;
        let mut next = 0;
        while let Some(line) = program.lines().get(next) {
            next += 1;
            self.space.observer().before(self.page, line);
            let begun = Instant::now();
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
            self.report(*line, begun, held);
        }
        Ok(outcome)
    }

    fn report(&self, line: Line, begun: Instant, held: bool) {
        let at = if Action::begins(&line) { begun } else { Instant::now() };
        self.space.observer().record(Event {
            at,
            agent: Agent::Mm,
            action: Action::Line { line, held },
            page: self.page,
            frame: self.old.pfn,
            new_frame: self.new.pfn,
        });
    }

    /// Executes one step by itself: for who decides on each step what comes next, instead of running a program.
    ///
    /// # Errors
    /// [`OutOfFrames`] as [`run`](Self::run).
    ///
    /// # Panics
    /// If the step names a frame that the operation does not have, or drops what nobody holds. A lock that somebody
    /// holds is waited for, also if that is the caller.
    pub fn step(&mut self, step: Step) -> Result<(), OutOfFrames> {
        let (space, page) = (self.space, self.page);
        match step {
            Step::Allocate => self.allocate()?,
            Step::LockPage(role) => self.page_lock = Some(space.frames().lock_page(self.pfn(role))),
            Step::UnlockPage(_) => self.page_lock = None,
            Step::Copy => space.frames().memory().copy_frame(self.pfn(Role::Old), self.pfn(Role::New)),
            Step::RangeStart => self.range = Some(self.open_range()),
            Step::RangeEnd => self.range = None,
            Step::LockTable => self.table_lock = Some(space.table().lock(self.slot)),
            Step::UnlockTable => self.table_lock = None,
            Step::ClearPte => self.entry = space.table().clear(self.slot),
            Step::FlushTlb => space.flush_tlb(VirtRange::page(page)),
            Step::Notify => space.notifiers().invalidate_secondary(VirtRange::page(page)),
            Step::ChangePte => space.notifiers().change_pte(page, self.entry),
            Step::SetPte(role, permission) => self.set_pte(role, permission),
            Step::RestorePte => space.table().store(self.slot, self.entry),
            Step::MarkStable(role) => space.frames().set_state(self.pfn(role), FrameState::Ksm),
            Step::Map(role) => self.map(role),
            Step::Unmap(role) => drop(space.frames().unmap(self.pfn(role))),
            Step::Put(role) => self.named(role).held = None,
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
        let invalidation = Invalidation {
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
    fn set_pte(&mut self, role: Role, permission: Permission) {
        let bits = match permission {
            Permission::ReadOnly => Pte::ACCESSED,
            Permission::ReadWrite => Pte::ACCESSED | Pte::WRITE | Pte::DIRTY,
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
