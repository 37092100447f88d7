//! The live machine's side: what each act is a call of.
//!
//! Invariant: one thread does everything, so nothing may wait: what would have to is seen beforehand, by looking at the
//! lock, and answered with [`Answer::Waits`]. Nobody resolves a fault: an access that the page table refuses waits too.

mod look;
mod stage;

use iommu::sva::port::DmaPort;
use mmu::address::{Access as Wanted, Pfn, VirtAddr};
use mmu::cpu::Cpu;
use mmu::frame::FrameRef;
use mmu::live::{Execution, Stuck};
use mmu::port::{Accessed, InFlight, Reached};
use mmu::pte::Pte;
use mmu::shadow::SoftwareVcpu;
use steps::one_page::{Condition, LOCK_TABLE, Lock, Role, Step};

use super::act::{Access, Answer};
use super::operation::Operation;
use super::setting::{FRAMES, Frame, Kernel, Page, User};
pub(super) use stage::Stage;

/// A fault of the vCPU installs, and the access is tried again.
const VCPU_ATTEMPTS: usize = 2;

/// The live machine, and what is under way on it.
pub(super) struct Machine<'s> {
    stage: &'s Stage,
    executions: [Option<Execution<'s>>; 2],
    handles: [Option<FrameRef>; 2],
    cpus: [Cpu; 2],
    vcpu: SoftwareVcpu,
    device: DmaPort,
    /// A step that is not done, and called done: what the comparison is to find out.
    omitted: Option<Step>,
}

impl<'s> Machine<'s> {
    pub(super) fn new(stage: &'s Stage, omitted: Option<Step>) -> Self {
        Self {
            executions: [None, None],
            handles: [None, None],
            cpus: [stage.cpu(0), stage.cpu(1)],
            vcpu: stage.vcpu(),
            device: stage.device(),
            omitted,
            stage,
        }
    }

    /// Begins an operation; its frames must be held by somebody.
    pub(super) fn begin(&mut self, kernel: Kernel, page: Page, old: Frame, new: Option<Frame>) {
        let stage = self.stage;
        let slot = stage.slots[page.0];
        let entry = stage.space.table().load(slot);
        let begun = Execution::new(&stage.space, stage.address(page), slot, entry, self.hold(old));
        self.executions[kernel.0] = Some(match new {
            Some(new) => begun.with_new(self.hold(new)),
            None => begun,
        });
    }

    fn hold(&self, frame: Frame) -> FrameRef {
        let held = self.stage.frames.try_reference(self.stage.pfn(frame));
        held.unwrap_or_else(|| panic!("{frame} is to be held, and is free"))
    }

    /// Ends it, and gives back what it holds.
    pub(super) fn end(&mut self, kernel: Kernel) {
        self.executions[kernel.0] = None;
    }

    /// A step of an operation.
    pub(super) fn step(&mut self, operation: &Operation, step: Step) -> Answer {
        if self.would_wait(operation, step) {
            return Answer::Waits;
        }
        if self.omitted == Some(step) {
            return Answer::Done;
        }
        let taken = self.execution(operation.kernel).step(step);
        match taken {
            Ok(()) => Answer::Done,
            Err(Stuck::OutOfFrames(_)) => Answer::Waits,
            Err(stuck @ Stuck::NotLive { .. }) => panic!("{stuck}"),
        }
    }

    fn would_wait(&self, operation: &Operation, step: Step) -> bool {
        let stage = self.stage;
        match step {
            LOCK_TABLE => stage.space.table().is_locked(stage.slots[operation.page.0]),
            Step::Lock(Lock::Page(role), _) => {
                operation.frame(role).is_some_and(|frame| stage.frames.is_page_locked(stage.pfn(frame)))
            }
            _ => false,
        }
    }

    /// A look of an operation.
    pub(super) fn check(&mut self, kernel: Kernel, condition: Condition) -> Answer {
        Answer::Holds(self.execution(kernel).holds(condition))
    }

    fn execution(&mut self, kernel: Kernel) -> &mut Execution<'s> {
        self.executions[kernel.0].as_mut().expect("the operation has begun")
    }

    /// The frame that an operation calls `new`.
    pub(super) fn allocated(&mut self, kernel: Kernel) -> Frame {
        let new = self.execution(kernel).frame(Role::New);
        self.stage.frame(new.expect("it was allocated")).expect("all other frames are taken")
    }

    /// Takes the page's frame without a lock, if it has one.
    pub(super) fn gup_fast(&mut self, kernel: Kernel, page: Page) -> Answer {
        let found = self.stage.space.mapped_page(self.stage.address(page));
        self.handles[kernel.0] = found.map(|found| found.frame);
        Answer::Done
    }

    pub(super) fn has_handle(&self, kernel: Kernel) -> bool {
        self.handles[kernel.0].is_some()
    }

    pub(super) fn put_handle(&mut self, kernel: Kernel) -> Answer {
        self.handles[kernel.0] = None;
        Answer::Done
    }

    pub(super) fn write(&mut self, frame: Frame, value: u64) -> Answer {
        self.stage.frames.memory().store(self.stage.pfn(frame).address(), value);
        Answer::Done
    }

    /// Whether the page's entry maps a frame that nobody holds. Whoever asks the memory manager for such a page asks
    /// for ever: no rule of the machine allows it.
    pub(super) fn maps_a_freed_frame(&self, page: Page) -> bool {
        let entry = self.stage.space.entry(self.stage.address(page));
        entry.is_present() && self.stage.frames.is_free(entry.pfn())
    }

    /// A user's access.
    pub(super) fn access(&mut self, user: User, page: Page, access: Access) -> Answer {
        let address = self.stage.address(page);
        match user {
            User::Cpu(number) => {
                let cpu = &mut self.cpus[number];
                let answer = use_page(cpu.translate(address, wanted(access)).ok(), access, self.stage);
                cpu.pause();
                answer
            }
            User::Device => {
                let translated = self.device.translate(address, wanted(access)).ok();
                let answer = use_page(translated, access, self.stage);
                self.device.pause();
                answer
            }
            User::Vcpu => {
                let answer = self.vcpu_access(address, access);
                self.vcpu.pause();
                answer
            }
        }
    }

    fn vcpu_access(&mut self, address: VirtAddr, access: Access) -> Answer {
        let stage = self.stage;
        let allows =
            |entry: Pte| entry.is_present() && (wanted(access) == Wanted::Read || entry.is_writable());
        let installed = stage.shadow.installed(address);
        if !allows(installed) {
            // The fault would ask the memory manager, and it would resolve what is missing.
            if !allows(stage.space.entry(address)) {
                return Answer::Waits;
            }
        } else if access != Access::Walk && stage.frames.is_free(installed.pfn()) {
            return Answer::Freed;
        }
        for _ in 0..VCPU_ATTEMPTS {
            let done = match access {
                Access::Store(value) => self.vcpu.store(address, value),
                Access::Walk | Access::Load => self.vcpu.load(address),
            };
            if let Some(accessed) = done.expect("the page table allows the access") {
                return answer(accessed, access);
            }
        }
        Answer::Waits
    }
}

fn wanted(access: Access) -> Wanted {
    match access {
        Access::Walk | Access::Load => Wanted::Read,
        Access::Store(_) => Wanted::Write,
    }
}

/// Uses what was translated. A store to a freed frame is not made: the model makes none either.
fn use_page<Held>(translated: Option<InFlight<'_, Held>>, access: Access, stage: &Stage) -> Answer {
    let Some(in_flight) = translated else { return Answer::Waits };
    match access {
        Access::Walk => Answer::Done,
        _ if stage.frames.is_free(in_flight.frame()) => Answer::Freed,
        Access::Load => answer(in_flight.load(), access),
        Access::Store(value) => answer(in_flight.store(value), access),
    }
}

fn answer(accessed: Accessed, access: Access) -> Answer {
    match (access, accessed.reached) {
        (Access::Walk, _) => Answer::Done,
        (_, Reached::Freed) => Answer::Freed,
        (Access::Load, Reached::Owned) => Answer::Value(accessed.value),
        (Access::Store(_), Reached::Owned) => Answer::Done,
    }
}

impl Stage {
    /// The frame of that number, if it is one that programs use.
    fn frame(&self, pfn: Pfn) -> Option<Frame> {
        FRAMES.into_iter().find(|frame| self.pfn(*frame) == pfn)
    }
}
