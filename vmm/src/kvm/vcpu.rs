//! A vCPU: entered, left for a service, answered, entered again.
//!
//! Invariant: the thread that calls [`Vcpu::run`] is announced as inside the guest before KVM_RUN and as outside
//! right after it, whatever happened; between the two, what the guest asks lies in its mailbox, and the stub takes
//! the answer from there before any CPL3 instruction runs. A guest that breaks its own rules ends in a
//! [`VcpuError`] with its registers, never in a panic.

mod error;
mod handle;
pub(in crate::kvm) mod signal;
mod state;

use std::sync::Arc;

use guest_images::layout::{CODE_VA, frame, hypercall, port};
use kvm_ioctls::{VcpuExit, VcpuFd};
use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;

use super::{GuestSpace, VcpuId, Vm, guest};
pub use error::{GuestReport, VcpuError};
pub use handle::{Activity, VcpuHandle};

/// In a page fault's error code: the access was a store (Intel SDM vol. 3, 4.7).
const FAULT_WRITE: u64 = 1 << 1;

/// Why a vCPU came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// An access to the shadow window found no usable entry. It is repeated after the next [`Vcpu::run`]; without
    /// an answer it faults again.
    PageFault {
        /// What was accessed.
        address: VirtAddr,
        /// How.
        access: Access,
    },
    /// The program asked for a service.
    Hypercall(Hypercall),
    /// Someone called [`VcpuHandle::request_stop`]; so does every later run.
    Interrupted,
}

/// What a program can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hypercall {
    /// It saw the stop word; run it no further.
    Stopped,
    /// Put out this byte.
    Output(u8),
    /// Its statistics hold the first violation.
    FirstViolation {
        /// The page's number in the shadow window.
        page: u64,
    },
    /// Let other threads run.
    Yield,
}

/// An entry for the stub to install.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Install {
    /// Where: an entry of the shadow window's leaf table.
    pub entry: PhysAddr,
    /// The entry's new value.
    pub value: u64,
    /// The address whose translation the vCPU drops after the store.
    pub address: VirtAddr,
}

/// One virtual CPU of a machine.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
    id: VcpuId,
    mailbox: PhysAddr,
    space: GuestSpace,
    handle: VcpuHandle,
    /// The port it came back through the last time, none if otherwise.
    last_port: Option<u8>,
    memory: Arc<PhysicalMemory>,
}

/// How KVM_RUN ended, without the borrow of its result.
enum Left {
    Port(u8),
    Interrupted,
    Unexpected(String),
    Failed(kvm_ioctls::Error),
}

impl Vcpu {
    /// Adds a vCPU to `vm`, ready to enter the program of `space` at its first instruction.
    ///
    /// # Errors
    /// [`VcpuError::Setup`] names the ioctl that failed.
    ///
    /// # Panics
    /// If `space` was built with fewer vCPUs.
    pub fn new(vm: &Vm, space: &GuestSpace, id: VcpuId) -> Result<Self, VcpuError> {
        signal::install_handler().map_err(|source| VcpuError::setup(id, "sigaction", source))?;
        let mut fd = vm.create_vcpu(id).map_err(|source| VcpuError::Create { vcpu: id, source })?;
        state::initialize(&mut fd, space, id, vm.memory().len_bytes())
            .map_err(|(operation, source)| VcpuError::setup(id, operation, source))?;
        Ok(Self {
            fd,
            id,
            mailbox: space.mailbox(id),
            space: space.clone(),
            handle: VcpuHandle::new(id),
            last_port: None,
            memory: Arc::clone(vm.memory()),
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.id
    }

    /// For other threads: to stop it and to see whether it is inside the guest.
    #[must_use]
    pub fn handle(&self) -> VcpuHandle {
        self.handle.clone()
    }

    /// Runs the guest until it needs something.
    ///
    /// # Errors
    /// [`VcpuError::Guest`] if the guest cannot go on (unexpected exception, access outside its windows, shutdown,
    /// unhandled exit),
    /// [`VcpuError::Run`] if KVM_RUN itself fails.
    pub fn run(&mut self) -> Result<Exit, VcpuError> {
        loop {
            let left = self.enter();
            self.last_port = if let Left::Port(port) = left { Some(port) } else { None };
            match left {
                Left::Port(port) => return self.service(port),
                Left::Interrupted if self.handle.is_stopping() => return Ok(Exit::Interrupted),
                Left::Interrupted => {}
                Left::Unexpected(what) => return Err(self.report(what)),
                Left::Failed(source) => return Err(VcpuError::Run { vcpu: self.id, source }),
            }
        }
    }

    /// Answers the page fault that the last [`run`](Self::run) returned: the stub installs the entry and drops the
    /// vCPU's translation before the access is repeated. None: repeat the access as things stand.
    ///
    /// # Panics
    /// If the entry is none of the shadow window's leaf table.
    pub fn answer(&self, install: Option<Install>) {
        let Some(Install { entry, value, address }) = install else {
            self.post(frame::ANSWER_ENTRY, 0);
            return;
        };
        let table = self.space.leaf_table();
        assert!(entry.pfn() == table.pfn(), "{entry} is no entry of the leaf table at {table}");
        self.post(frame::ANSWER_VALUE, value);
        self.post(frame::ANSWER_ADDRESS, address.0);
        self.post(frame::ANSWER_ENTRY, guest::direct(entry).0);
    }

    /// Refuses the access of the page fault that the last [`run`](Self::run) returned: the program goes on at that offset of
    /// its image instead.
    pub fn refuse(&self, offset: u64) {
        self.answer(None);
        self.post(frame::TRAP_RIP, CODE_VA + offset);
    }

    fn enter(&mut self) -> Left {
        let exit_flag = &raw mut self.fd.get_kvm_run().immediate_exit;
        let armed = signal::arm(exit_flag);
        let entered = self.handle.enter();
        // After arming: a stop requested before is seen here, one requested from now on makes KVM_RUN return.
        if self.handle.is_stopping() {
            return Left::Interrupted;
        }
        let left = Left::of(self.fd.run());
        drop(entered);
        drop(armed);
        self.fd.set_kvm_immediate_exit(0);
        left
    }

    fn service(&self, port: u8) -> Result<Exit, VcpuError> {
        let exit = match port {
            port::PAGE_FAULT => self.page_fault()?,
            port::HYPERCALL => Exit::Hypercall(self.hypercall()?),
            port::EXCEPTION => return Err(self.exception()),
            other => return Err(self.report(format!("unhandled exit: out to port {other:#x}"))),
        };
        self.handle.left_with(exit);
        Ok(exit)
    }

    fn page_fault(&self) -> Result<Exit, VcpuError> {
        // Nothing is installed twice because a host forgot to answer.
        self.post(frame::ANSWER_ENTRY, 0);
        let (address, code) = (VirtAddr(self.read(frame::CR2)), self.read(frame::TRAP_ERROR_CODE));
        if guest::area_page(address).is_none() {
            let what =
                format!("page fault at {address}, outside the shadow window, with error code {code:#x}");
            return Err(self.report(what));
        }
        let access = if code & FAULT_WRITE == 0 { Access::Read } else { Access::Write };
        Ok(Exit::PageFault { address, access })
    }

    fn hypercall(&self) -> Result<Hypercall, VcpuError> {
        let argument = self.read(frame::HYPERCALL_ARGUMENT);
        match self.read(frame::HYPERCALL_NUMBER) {
            hypercall::STOPPED => Ok(Hypercall::Stopped),
            hypercall::OUTPUT => Ok(Hypercall::Output(argument.to_le_bytes()[0])),
            hypercall::FIRST_VIOLATION => Ok(Hypercall::FirstViolation { page: argument }),
            hypercall::YIELD => Ok(Hypercall::Yield),
            number => Err(self.report(format!("unknown hypercall {number:#x} with argument {argument:#x}"))),
        }
    }

    fn exception(&self) -> VcpuError {
        let (vector, code) = (self.read(frame::VECTOR), self.read(frame::ERROR_CODE));
        self.report(format!("unexpected exception {vector} with error code {code:#x}"))
    }

    fn report(&self, what: String) -> VcpuError {
        let report = GuestReport::collect(self, what);
        VcpuError::Guest { vcpu: self.id, report: Box::new(report) }
    }

    fn read(&self, offset: u64) -> u64 {
        self.memory.load(self.mailbox.offset(offset))
    }

    fn post(&self, offset: u64, value: u64) {
        self.memory.store(self.mailbox.offset(offset), value);
    }
}

impl Left {
    fn of(result: Result<VcpuExit<'_>, kvm_ioctls::Error>) -> Self {
        match result {
            Ok(VcpuExit::IoOut(port, _)) => match u8::try_from(port) {
                Ok(port) => Self::Port(port),
                Err(_) => Self::Unexpected(format!("unhandled exit: out to port {port:#x}")),
            },
            Ok(VcpuExit::Intr) => Self::Interrupted,
            Ok(VcpuExit::Shutdown) => Self::Unexpected("shutdown (triple fault)".to_owned()),
            Ok(other) => Self::Unexpected(format!("unhandled exit: {other:?}")),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Self::Interrupted,
            Err(error) => Self::Failed(error),
        }
    }
}
