//! A vCPU of a guest that somebody else wrote: it comes back for every access to what is not memory.
//!
//! Invariant: a processor runs until it is told to stop or cannot go on. Whatever the guest does ends as an [`Access`]
//! for the machine around it or as a [`ProcessorError`] with its registers.

pub mod asked;
pub mod cpuid;
pub mod debug;
mod entry;
mod error;
mod hold;
mod string;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kvm_bindings::kvm_debug_exit_arch;
use kvm_ioctls::{VcpuExit, VcpuFd};
use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;

use super::vcpu::{VcpuHandle, signal};
use super::{System, VcpuId, Vm};
pub use cpuid::Count;
use cpuid::flags::CpuFlags;
use debug::{Bell, Pace, Plan, Stop};
pub use entry::{CODE_SELECTOR, DATA_SELECTOR, Entry};
use error::When;
pub use error::{ProcessorError, Report};
use hold::Hold;
pub use hold::Holder;
use string::Strings;

/// An access of the guest that the machine around it is to answer.
#[derive(PartialEq, Eq, Debug)]
pub enum Access<'a> {
    /// An `in` from a port; the bytes are for the answer.
    In {
        /// The first port.
        port: u16,
        /// One access, or several of a string instruction one after the other.
        bytes: &'a mut [u8],
    },
    /// An `out` to a port.
    Out {
        /// The first port.
        port: u16,
        /// As for `In`.
        bytes: &'a [u8],
    },
    /// The next bytes of a `rep outsb` to a port, one access each.
    OutString {
        /// The port.
        port: u16,
        /// 4,095 at most.
        bytes: &'a [u8],
        /// How many of the first were taken, for the answer, which is 0 until then; the others come again, one by one.
        taken: &'a mut usize,
    },
    /// A load from what is not memory; the bytes, 8 at most, are for the answer.
    Load {
        /// Where.
        address: u64,
        /// How much.
        bytes: &'a mut [u8],
    },
    /// A store to what is not memory.
    Store {
        /// Where.
        address: u64,
        /// What, 8 bytes at most.
        bytes: &'a [u8],
    },
    /// The local APIC has ended an interrupt that [`Vm::route`] named.
    EndOfInterrupt {
        /// Its vector.
        vector: u8,
    },
}

/// One processor.
#[derive(Debug)]
pub struct Processor {
    fd: VcpuFd,
    id: VcpuId,
    handle: ProcessorHandle,
    memory: Arc<PhysicalMemory>,
    strings: Strings,
    /// What a debugger has told it.
    plan: Plan,
    /// KVM completes what the last exit began when it is entered again: until then registers are not the guest's.
    is_unfinished: bool,
    bell: Option<Arc<Bell>>,
}

/// A share of a processor's public state, by which other threads stop it for ever, hold it for a while, or ask it; cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessorHandle {
    vcpu: VcpuHandle,
    hold: Arc<Hold<Work>>,
    stop: Arc<Mutex<Option<Stop>>>,
}

/// What a processor does at rest, on its own thread.
type Work = Box<dyn FnOnce(&mut Processor) + Send>;

/// How KVM_RUN ended, if not by an access.
enum Left {
    Served,
    Interrupted,
    /// KVM has no room or no thread at the moment.
    Refused,
    TripleFault,
    Unexpected(String),
    Debug(kvm_debug_exit_arch),
    Failed(kvm_ioctls::Error),
}

impl ProcessorHandle {
    fn new(id: VcpuId) -> Self {
        Self { vcpu: VcpuHandle::new(id), hold: Arc::default(), stop: Arc::default() }
    }

    /// Whose handle it is.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.vcpu.id()
    }

    /// Makes [`Processor::run`] return, now and for ever.
    pub fn request_stop(&self) {
        self.vcpu.request_stop();
        self.hold.wake();
    }

    /// Brings it to rest outside the guest, soon.
    pub fn hold(&self, holder: Holder) {
        self.hold.hold(holder);
        self.vcpu.kick();
    }

    /// Lets it go on, unless another holds it.
    pub fn release(&self, holder: Holder) {
        self.hold.release(holder);
    }

    /// Whether it is outside the guest because it is held.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.hold.is_at_rest()
    }
}

impl Processor {
    /// Adds processor `id` of `count` to `vm`, which is not told of the flags `masked`. The first starts at `entry`, the
    /// others wait for it to start them.
    ///
    /// # Errors
    /// [`ProcessorError::Setup`] names the ioctl that failed.
    pub fn new(
        system: &System,
        vm: &Vm,
        id: VcpuId,
        count: Count,
        masked: &CpuFlags,
        entry: &Entry,
    ) -> Result<Self, ProcessorError> {
        signal::install_handler().map_err(|source| ProcessorError::setup(id, "sigaction", source))?;
        let fd = vm.create_vcpu(id).map_err(|source| ProcessorError::Create { vcpu: id, source })?;
        entry::identify(system, &fd, id, count, masked)
            .and_then(|()| if id == VcpuId::FIRST { entry.apply(&fd) } else { Ok(()) })
            .map_err(|(operation, source)| ProcessorError::setup(id, operation, source))?;
        let memory = Arc::clone(vm.memory());
        Ok(Self {
            fd,
            id,
            handle: ProcessorHandle::new(id),
            memory,
            strings: Strings::default(),
            plan: Plan::default(),
            is_unfinished: false,
            bell: None,
        })
    }

    /// For other threads: to stop it, or to hold it for a while.
    #[must_use]
    pub fn handle(&self) -> ProcessorHandle {
        self.handle.clone()
    }

    /// Runs the guest, and lets `serve` answer its accesses, until [`ProcessorHandle::request_stop`].
    ///
    /// # Errors
    /// [`ProcessorError::Guest`] if the guest cannot go on, [`ProcessorError::Run`] if KVM_RUN itself fails.
    pub fn run(&mut self, mut serve: impl FnMut(Access<'_>)) -> Result<(), ProcessorError> {
        let mut refusals = Refusals::default();
        while !self.handle.vcpu.is_stopping() {
            let left = if self.has_to_finish() {
                self.finish(&mut serve)
            } else {
                self.rest();
                self.enter(&mut serve)
            };
            if !matches!(left, Left::Refused) {
                refusals = Refusals::default();
            }
            match left {
                Left::Served | Left::Interrupted => {}
                Left::Refused => refusals.rest(self.id),
                Left::TripleFault => {
                    return Err(self.broken("shutdown (triple fault)".to_owned(), When::TripleFault));
                }
                Left::Debug(exit) => self.meet(&exit),
                Left::Unexpected(what) => match self.plan.stop_at(&self.fd) {
                    Some(stop) => self.stop(stop),
                    None => return Err(self.broken(what, When::Guest)),
                },
                Left::Failed(source) => return Err(ProcessorError::Run { vcpu: self.id, source }),
            }
        }
        Ok(())
    }

    fn enter(&mut self, serve: &mut impl FnMut(Access<'_>)) -> Left {
        let exit_flag = &raw mut self.fd.get_kvm_run().immediate_exit;
        let armed = signal::arm(exit_flag);
        let entered = self.handle.vcpu.enter();
        // After arming: a stop requested before is seen here, one requested from now on makes KVM_RUN return.
        if self.handle.vcpu.is_stopping() || self.handle.hold.is_held() {
            return Left::Interrupted;
        }
        let exit = self.fd.run();
        drop(entered);
        let byte_for = byte_for(&exit);
        let left = Left::of(exit, serve);
        drop(armed);
        self.fd.set_kvm_immediate_exit(0);
        self.is_unfinished = matches!(left, Left::Served);
        if self.plan.pace == Pace::Continue {
            self.strings.follow(byte_for, &self.fd, &self.memory, serve);
        }
        left
    }

    /// Where it is, outside the guest, and that it `is` so.
    #[must_use]
    pub fn report(&self, is: String) -> Report {
        Report::collect(&self.fd, &self.memory, is, When::Guest)
    }

    fn broken(&self, what: String, when: When) -> ProcessorError {
        let report = Report::collect(&self.fd, &self.memory, what, when);
        ProcessorError::Guest { vcpu: self.id, report: Box::new(report) }
    }
}

/// EAGAIN in a row.
#[derive(Default)]
struct Refusals(u32);

impl Refusals {
    /// As many as a processor may meet without anything being wrong.
    const FEW: u32 = 100;
    const REST: Duration = Duration::from_millis(10);

    /// One more. From many on, the host gets time, and its user a line.
    fn rest(&mut self, vcpu: VcpuId) {
        self.0 = self.0.saturating_add(1);
        if self.0 == Self::FEW {
            log::warn!(
                "{vcpu}: KVM_RUN answers EAGAIN again and again: the host lacks something that KVM needs, perhaps a \
                 thread or memory; look at `ulimit -u`, the limits of the control group, and the kernel's log"
            );
        }
        if self.0 >= Self::FEW {
            thread::sleep(Self::REST);
        }
    }
}

/// The port of an `out` of one byte.
const fn byte_for(exit: &Result<VcpuExit<'_>, kvm_ioctls::Error>) -> Option<u16> {
    match exit {
        Ok(VcpuExit::IoOut(port, [_])) => Some(*port),
        _ => None,
    }
}

impl Left {
    fn of(exit: Result<VcpuExit<'_>, kvm_ioctls::Error>, serve: &mut impl FnMut(Access<'_>)) -> Self {
        let access = match exit {
            Ok(VcpuExit::IoIn(port, bytes)) => Access::In { port, bytes },
            Ok(VcpuExit::IoOut(port, bytes)) => Access::Out { port, bytes },
            Ok(VcpuExit::MmioRead(address, bytes)) => Access::Load { address, bytes },
            Ok(VcpuExit::MmioWrite(address, bytes)) => Access::Store { address, bytes },
            Ok(VcpuExit::IoapicEoi(vector)) => {
                serve(Access::EndOfInterrupt { vector });
                // It came between two instructions: there is nothing to complete.
                return Self::Interrupted;
            }
            Ok(VcpuExit::Debug(exit)) => return Self::Debug(exit),
            Ok(VcpuExit::Intr | VcpuExit::IrqWindowOpen) => return Self::Interrupted,
            Ok(VcpuExit::Shutdown) => return Self::TripleFault,
            Ok(VcpuExit::InternalError) => {
                return Self::Unexpected("KVM cannot emulate an instruction".to_owned());
            }
            Ok(other) => return Self::Unexpected(format!("unhandled exit: {other:?}")),
            Err(error) if error.errno() == libc::EINTR => return Self::Interrupted,
            // A processor that waits for its start, once for each signal; or a host that cannot.
            Err(error) if error.errno() == libc::EAGAIN => return Self::Refused,
            Err(error) => return Self::Failed(error),
        };
        serve(access);
        Self::Served
    }
}
