//! The guest as the stub sees it: a thread for each processor, its memory, its breakpoints.
//!
//! Invariant: nothing of a processor or of memory is looked at or changed but while all processors are held. Whatever the
//! debugger asks for is done or refused; none of it is taken for granted.

mod moving;

use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{MultiThreadBase, MultiThreadResumeOps};
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::breakpoints::{
    Breakpoints as BreakpointSupport, BreakpointsOps, HwBreakpoint, HwBreakpointOps, SwBreakpoint,
    SwBreakpointOps,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};

use super::breakpoints::{Breakpoints, Kind};
use super::memory::{self, Unreachable};
use super::registers::{Image, Number, X86_64};
use crate::kvm::Holder;
use crate::kvm::ProcessorHandle;
use crate::kvm::processor::asked::Unasked;
use crate::kvm::processor::debug::{Plan, Reach, Stop};
use crate::machine::control::Control;
use moving::Move;

/// What is answered where something cannot be reached, in gdb's numbers.
const BAD_ADDRESS: u8 = 14;
const BUSY: u8 = 16;

/// Why the stub cannot go on with this guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fatal {
    /// There is no such processor.
    NoProcessor(Tid),
    /// A processor does not do what it is told.
    Processor(Unasked),
}

/// A guest that is debugged.
pub(super) struct Guest<'a> {
    control: &'a Control,
    breakpoints: Breakpoints,
    moves: Vec<Move>,
    is_stopped: bool,
    reach: Reach,
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoProcessor(tid) => write!(f, "there is no thread {tid}"),
            Self::Processor(error) => write!(f, "{error}"),
        }
    }
}

impl<'a> Guest<'a> {
    /// Stops it.
    pub(super) fn attach(control: &'a Control, reach: Reach) -> Self {
        if let Some(bell) = control.bell() {
            bell.listen(true);
        }
        let moves = vec![Move::default(); control.processors().len()];
        let mut guest =
            Self { control, breakpoints: Breakpoints::default(), moves, is_stopped: false, reach };
        guest.pause();
        guest
    }

    /// Leaves it as if nobody had come.
    pub(super) fn detach(mut self) {
        self.pause();
        if let Some(bell) = self.control.bell() {
            bell.listen(false);
            bell.silence();
        }
        self.breakpoints.clear(self.control.memory());
        for processor in self.control.processors() {
            // One that is busy finds out by itself that nobody listens.
            if let Err(error) = processor.follow(Plan::default()) {
                log::debug!("{}: {error}", processor.id());
            }
        }
        self.control.resume(Holder::Debugger);
    }

    /// Whether all processors are held for the debugger.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Stops it, and says why it has stopped, if it has by itself.
    pub(super) fn stop(&mut self) -> Option<MultiThreadStopReason<u64>> {
        if let Some(bell) = self.control.bell() {
            bell.silence();
        }
        self.pause();
        let stopped = |processor: &ProcessorHandle| Some((tid(processor), processor.stop()?));
        let (tid, stop) = self.control.processors().iter().find_map(stopped)?;
        Some(match stop {
            Stop::Breakpoint(at) if self.breakpoints.kind(at) == Kind::Hardware => {
                MultiThreadStopReason::HwBreak(tid)
            }
            Stop::Breakpoint(_) => MultiThreadStopReason::SwBreak(tid),
            Stop::NoStep => MultiThreadStopReason::SignalWithThread { tid, signal: Signal::SIGILL },
            Stop::Step | Stop::Trap => {
                MultiThreadStopReason::SignalWithThread { tid, signal: Signal::SIGTRAP }
            }
        })
    }

    /// Stops it because the debugger's user says so.
    pub(super) fn interrupt(&mut self) -> MultiThreadStopReason<u64> {
        let first = Tid::MIN;
        let asked = MultiThreadStopReason::SignalWithThread { tid: first, signal: Signal::SIGINT };
        self.stop().unwrap_or(asked)
    }

    fn pause(&mut self) {
        // One that is busy with a device answers that it is.
        let _all_rest = self.control.pause(Holder::Debugger);
        self.is_stopped = true;
    }

    /// The processor that is a thread, if it may be looked at.
    fn processor(&self, tid: Tid) -> TargetResult<&'a ProcessorHandle, Self> {
        if !self.is_stopped {
            return Err(TargetError::Errno(BUSY));
        }
        self.control.processors().get(tid.get() - 1).ok_or(TargetError::NonFatal)
    }

    /// The tables by which breakpoints are placed are the first processor's.
    fn first(&self) -> TargetResult<&'a ProcessorHandle, Self> {
        self.processor(Tid::MIN)
    }
}

/// Numbers of threads begin with 1.
fn tid(processor: &ProcessorHandle) -> Tid {
    Tid::MIN.saturating_add(processor.id().index())
}

impl<E> From<Unasked> for TargetError<E> {
    fn from(error: Unasked) -> Self {
        log::debug!("a debugger's request: {error}");
        Self::Errno(BUSY)
    }
}

impl<E> From<Unreachable> for TargetError<E> {
    fn from(_: Unreachable) -> Self {
        Self::Errno(BAD_ADDRESS)
    }
}

impl Target for Guest<'_> {
    type Arch = X86_64;
    type Error = Fatal;

    fn base_ops(&mut self) -> BaseOps<'_, X86_64, Fatal> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Guest<'_> {
    fn read_registers(&mut self, image: &mut Image, tid: Tid) -> TargetResult<(), Self> {
        *image = Image::of(&self.processor(tid)?.registers()?);
        Ok(())
    }

    fn write_registers(&mut self, image: &Image, tid: Tid) -> TargetResult<(), Self> {
        let processor = self.processor(tid)?;
        let before = processor.registers()?;
        Ok(processor.set_registers(image.applied_to(&before), before)?)
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, at: u64, bytes: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let count = memory::read(self.processor(tid)?, self.control, at, bytes)?;
        let read = bytes.get_mut(..count).ok_or(TargetError::NonFatal)?;
        self.breakpoints.hide(at, read);
        Ok(count)
    }

    fn write_addrs(&mut self, at: u64, bytes: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let places = memory::places(self.processor(tid)?, self.control, at, bytes.len())?;
        let written = self.breakpoints.keep(at, bytes);
        Ok(memory::write(self.control, &places, &written)?)
    }

    fn list_active_threads(&mut self, is_active: &mut dyn FnMut(Tid)) -> Result<(), Fatal> {
        self.control.processors().iter().for_each(|processor| is_active(tid(processor)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for Guest<'_> {
    fn read_register(&mut self, tid: Tid, number: Number, into: &mut [u8]) -> TargetResult<usize, Self> {
        let image = Image::of(&self.processor(tid)?.registers()?);
        let bytes = image.bytes(number).ok_or(TargetError::NonFatal)?;
        into.get_mut(..bytes.len()).ok_or(TargetError::NonFatal)?.copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_register(&mut self, tid: Tid, number: Number, bytes: &[u8]) -> TargetResult<(), Self> {
        let processor = self.processor(tid)?;
        let before = processor.registers()?;
        let mut image = Image::of(&before);
        image.set(number, bytes).ok_or(TargetError::NonFatal)?;
        Ok(processor.set_registers(image.applied_to(&before), before)?)
    }
}

impl ThreadExtraInfo for Guest<'_> {
    fn thread_extra_info(&self, tid: Tid, into: &mut [u8]) -> Result<usize, Fatal> {
        let processor = self.control.processors().get(tid.get() - 1).ok_or(Fatal::NoProcessor(tid))?;
        let text = processor.id().to_string();
        let len = text.len().min(into.len());
        into.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
        Ok(len)
    }
}

impl BreakpointSupport for Guest<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Guest<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let processor = self.first()?;
        if self.breakpoints.add_to_registers(address, Kind::Software) {
            return Ok(true);
        }
        let at = memory::place(processor, self.control, address, 1)?;
        Ok(self.breakpoints.add_to_memory(self.control.memory(), address, at))
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.first()?;
        Ok(self.breakpoints.remove(self.control.memory(), address, Kind::Software))
    }
}

impl HwBreakpoint for Guest<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.first()?;
        Ok(self.breakpoints.add_to_registers(address, Kind::Hardware))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        self.first()?;
        Ok(self.breakpoints.remove(self.control.memory(), address, Kind::Hardware))
    }
}
