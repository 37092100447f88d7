//! What others ask of a processor that rests, and how it stops for a debugger.
//!
//! Invariant: a vCPU's file is used by its own thread alone: whoever asks waits for it, and no longer than `MOST_WAIT`. A
//! processor that a debugger holds rests only when KVM has completed what its last exit began: before that, its registers are
//! not the guest's. Source: Documentation/virt/kvm/api.rst, KVM_RUN.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use mmu::address::PhysAddr;

use super::debug::{self, Bell, Pace, Plan, RegisterFile, Stop};
use super::hold::Holder;
use super::{Access, Left, Processor, ProcessorHandle};

/// How long somebody waits for a processor that is to rest: it may be busy with a device.
const MOST_WAIT: Duration = Duration::from_secs(2);

/// Why a processor did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unasked {
    /// It does not rest, or has ended.
    Busy,
    /// KVM refuses, with this error.
    Refused(i32),
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(f, "the processor is busy with a device, or has ended"),
            Self::Refused(errno) => write!(f, "KVM refuses: {}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

impl From<kvm_ioctls::Error> for Unasked {
    fn from(error: kvm_ioctls::Error) -> Self {
        Self::Refused(error.errno())
    }
}

impl ProcessorHandle {
    /// Its registers.
    ///
    /// # Errors
    /// [`Unasked`], as of all of these.
    pub fn registers(&self) -> Result<RegisterFile, Unasked> {
        self.ask(|processor| Ok(RegisterFile::of(&processor.fd)?))
    }

    /// Sets its registers, which were `before`.
    ///
    /// # Errors
    /// [`Unasked`]: KVM refuses what no processor can hold.
    pub fn set_registers(&self, registers: RegisterFile, before: RegisterFile) -> Result<(), Unasked> {
        self.ask(move |processor| Ok(registers.apply(&before, &processor.fd)?))
    }

    /// Where the linear address `at` leads, by the processor's own tables; nowhere if it is not mapped.
    ///
    /// # Errors
    /// [`Unasked`].
    pub fn translate(&self, at: u64) -> Result<Option<PhysAddr>, Unasked> {
        self.ask(move |processor| Ok(debug::translate(&processor.fd, at)?))
    }

    /// Puts `plan` in force, and forgets why it stopped the last time.
    ///
    /// # Errors
    /// [`Unasked`].
    pub fn follow(&self, plan: Plan) -> Result<(), Unasked> {
        *self.stop.lock() = None;
        self.ask(move |processor| {
            plan.apply(&processor.fd)?;
            processor.plan = plan;
            Ok(())
        })
    }

    /// It is to step where it cannot: it stays, which is a stop that it rings for.
    pub fn stay(&self, bell: &Bell) {
        bell.ring(|| *self.stop.lock() = Some(Stop::NoStep));
    }

    /// Why it has stopped, if it has since it was told to go on.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        *self.stop.lock()
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Processor) -> Result<T, Unasked> + Send + 'static,
    ) -> Result<T, Unasked> {
        let (tell, told) = sync_channel(1);
        let work = Box::new(move |processor: &mut Processor| {
            // Whoever asked has perhaps given up.
            let _heard = tell.send(work(processor));
        });
        let given = self.hold.give(work, MOST_WAIT, || self.vcpu.is_stopping());
        given.map_err(|_| Unasked::Busy)?;
        told.recv_timeout(MOST_WAIT).unwrap_or_else(|_| {
            self.hold.take_back();
            Err(Unasked::Busy)
        })
    }
}

impl Processor {
    /// Rings `bell` when it stops for a debugger.
    #[must_use]
    pub fn with_bell(self, bell: Arc<Bell>) -> Self {
        Self { bell: Some(bell), ..self }
    }

    /// Rests for as long as somebody holds it.
    pub(super) fn rest(&mut self) {
        if self.handle.hold.is_held() {
            let handle = self.handle.clone();
            handle.hold.rest(|| handle.vcpu.is_stopping(), |work| work(self));
        }
    }

    /// Whether its next entry is for KVM's own sake: before it rests for a debugger, and behind an access that was its step.
    pub(super) fn has_to_finish(&self) -> bool {
        let asks = self.plan.pace == Pace::Step || self.handle.hold.is_held_by(Holder::Debugger);
        self.is_unfinished && asks
    }

    /// Lets KVM complete what the last exit began, which may be an exit again, and executes no instruction.
    pub(super) fn finish(&mut self, serve: &mut impl FnMut(Access<'_>)) -> Left {
        self.fd.set_kvm_immediate_exit(1);
        let left = Left::of(self.fd.run(), serve);
        self.fd.set_kvm_immediate_exit(0);
        self.is_unfinished = matches!(left, Left::Served);
        // An access ends its instruction, and not every KVM stops behind it.
        if matches!(left, Left::Interrupted) && self.plan.pace == Pace::Step {
            self.stop(Stop::Step);
        }
        left
    }

    /// An exit for debugging; nothing if it was the guest's own, and KVM takes it back.
    pub(super) fn meet(&mut self, exit: &kvm_bindings::kvm_debug_exit_arch) {
        match self.plan.stop(exit) {
            Some(stop) => self.stop(stop),
            None => {
                if let Err(error) = self.plan.give_back(&self.fd) {
                    log::warn!("{}: the guest's int3 at {:#x} is lost: {error}", self.id, exit.pc);
                }
            }
        }
    }

    /// It stands here until the debugger lets it go on. One that has gone while this processor was busy is forgotten.
    pub(super) fn stop(&mut self, stop: Stop) {
        let stops = || {
            self.handle.hold.hold(Holder::Debugger);
            *self.handle.stop.lock() = Some(stop);
        };
        if self.bell.as_ref().is_some_and(|bell| bell.ring(stops)) {
            return;
        }
        self.plan = Plan::default();
        if let Err(error) = self.plan.apply(&self.fd) {
            log::warn!("{}: a debugger's breakpoints stay: {error}", self.id);
        }
    }
}
