//! How the debugger lets processors go on.
//!
//! Invariant: a processor goes on only when it has its plan; one that is not to move stays held.

use gdbstub::common::{Signal, Tid};
use gdbstub::target::ext::base::multithread::{
    MultiThreadResume, MultiThreadSchedulerLocking, MultiThreadSchedulerLockingOps, MultiThreadSingleStep,
    MultiThreadSingleStepOps,
};

use super::{Fatal, Guest};
use crate::kvm::Holder;
use crate::kvm::processor::debug::Pace;

/// What a processor does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Move {
    /// What those do of which nothing was said.
    #[default]
    Unsaid,
    Continue,
    Step,
    Stay,
}

impl Move {
    /// None if it stays.
    const fn pace(self) -> Option<Pace> {
        match self {
            Self::Unsaid | Self::Continue => Some(Pace::Continue),
            Self::Step => Some(Pace::Step),
            Self::Stay => None,
        }
    }
}

impl Guest<'_> {
    fn set(&mut self, tid: Tid, now: Move) -> Result<(), Fatal> {
        *self.moves.get_mut(tid.get() - 1).ok_or(Fatal::NoProcessor(tid))? = now;
        Ok(())
    }

    /// Whether nothing moves, because a processor is to step where it cannot.
    fn stays(&self) -> Result<bool, Fatal> {
        let steps = self.control.processors().iter().zip(&self.moves).filter(|(_, now)| **now == Move::Step);
        for (processor, _) in steps {
            let registers = processor.registers().map_err(Fatal::Processor)?;
            if let Some(bell) = self.control.bell().filter(|_| !self.reach.steps(&registers)) {
                log::warn!(
                    "{}: this KVM makes no steps at CPL3; the debugger is told SIGILL",
                    processor.id()
                );
                processor.stay(bell);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl MultiThreadResume for Guest<'_> {
    fn resume(&mut self) -> Result<(), Fatal> {
        // It runs already: the debugger has lost count.
        if !self.is_stopped {
            return Ok(());
        }
        if self.stays()? {
            return Ok(());
        }
        for (processor, now) in self.control.processors().iter().zip(&self.moves) {
            if let Some(pace) = now.pace() {
                processor.follow(self.breakpoints.plan(pace)).map_err(Fatal::Processor)?;
            }
        }
        self.is_stopped = false;
        let goes = |index: usize| self.moves.get(index).is_some_and(|now| now.pace().is_some());
        self.control.resume_some(Holder::Debugger, goes);
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Fatal> {
        self.moves.fill(Move::Unsaid);
        Ok(())
    }

    fn set_resume_action_continue(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Fatal> {
        self.set(tid, Move::Continue)
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Guest<'_> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Fatal> {
        self.set(tid, Move::Step)
    }
}

impl MultiThreadSchedulerLocking for Guest<'_> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Fatal> {
        for now in self.moves.iter_mut().filter(|now| **now == Move::Unsaid) {
            *now = Move::Stay;
        }
        Ok(())
    }
}
