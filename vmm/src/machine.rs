//! The machine around a guest that somebody else wrote: processors, a PCI bus with devices, serial port, debug exit.
//!
//! Invariant: the guest runs from [`Machine::run`]'s beginning to its end and not beyond it: when it returns, every
//! thread of the machine has ended. Whatever the guest does is an access for the [`board`] or an [`Ending`].
//!
//! Read in this order: [`options`] (what a machine can have), [`board`] (who answers which access), [`remapping`],
//! [`interrupts`], [`acpi`] (what the guest is told of all this), [`ending`], [`console`].

pub mod acpi;
pub mod board;
pub mod console;
pub mod ending;
pub mod interrupts;
pub mod options;
pub mod remapping;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iommu::vtd::Vtd;
use mmu::memory::{MemoryError, PhysicalMemory};
use thiserror::Error;

use crate::boot::{self, BootError, Payload};
use crate::kvm::vm::IoApicPins;
use crate::kvm::{Count, Processor, ProcessorError, System, SystemError, VcpuId, Vm, VmError};
use crate::sandbox::{Role, Sandbox, SandboxError};
use board::{Board, BoardError};
use console::{Console, Round};
use ending::{End, Ending};
use options::MachineOptions;

/// Why a machine could not be built.
#[derive(Debug, Error)]
pub enum MachineError {
    /// No KVM.
    #[error(transparent)]
    System(#[from] SystemError),
    /// No memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// No virtual machine.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The image does not boot.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The devices do not fit.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// No processor.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// It cannot be fenced in.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The host has no thread, descriptor or the like left.
    #[error("the host refuses {what}: {source}")]
    Host {
        /// What was asked for.
        what: &'static str,
        /// The host's answer.
        source: io::Error,
    },
}

/// A machine that is ready to run.
pub struct Machine {
    processors: Vec<Processor>,
    board: Arc<Board>,
    end: Arc<End>,
    sandbox: Sandbox,
}

impl Machine {
    /// Builds the machine and loads `payload`; its serial port writes to `output`.
    ///
    /// # Errors
    /// [`MachineError`] in one line.
    pub fn new(
        options: &MachineOptions,
        payload: &Payload,
        output: devices::serial::Output,
    ) -> Result<Self, MachineError> {
        let system = System::open()?;
        // The last path was opened, and nothing of the image was looked at.
        options.sandbox.confine()?;
        let memory = Arc::new(PhysicalMemory::new(options.memory_bytes)?);
        let entry = boot::load(&memory, payload)?;
        acpi::write(&memory, options);
        let vm = Arc::new(Vm::with_io_apic(&system, Arc::clone(&memory), IO_APIC_PINS)?);
        let end = End::new().map_err(|source| MachineError::Host { what: "an event", source })?;
        let board = Arc::new(Board::new(&vm, options, Arc::clone(&end), output)?);
        let count = Count(options.processors);
        let processor = |id| Processor::new(&system, &vm, id, count, &entry);
        let processors: Vec<_> =
            VcpuId::first(options.processors.into()).map(processor).collect::<Result<_, _>>()?;
        end.stops(processors.iter().map(Processor::handle).collect(), board.unit().cloned());
        Ok(Self { processors, board, end, sandbox: options.sandbox })
    }

    /// The remapping unit, if there is one.
    #[must_use]
    pub fn unit(&self) -> Option<Arc<Vtd>> {
        self.board.unit().map(Arc::clone)
    }

    /// Runs the guest to its end, or for as long as `console` and the rounds let it.
    ///
    /// # Errors
    /// [`MachineError::Host`] if there is no thread or no event left for it.
    pub fn run(self, console: Console, round: Option<Round<'_>>) -> Result<Ending, MachineError> {
        let Self { processors, board, end, sandbox } = self;
        let mut threads = Vec::new();
        let late = board.lateness().into_iter();
        let late = late.map(|every| look_after_late(every, Arc::clone(&board), Arc::clone(&end), sandbox));
        let starts =
            processors.into_iter().map(|it| start(it, Arc::clone(&board), Arc::clone(&end), sandbox));
        for started in starts.chain(late) {
            match started {
                Ok(thread) => threads.push(thread),
                Err(source) => {
                    end.finish(Ending::Left);
                    join(threads);
                    return Err(MachineError::Host { what: "a thread", source });
                }
            }
        }
        sandbox.enter(Role::Console);
        let watched = console.watch(&board, &end, round);
        end.finish(Ending::Left);
        join(threads);
        watched.map_err(|source| MachineError::Host { what: "events", source })?;
        Ok(end.take())
    }
}

/// As many as the I/O APIC of the devices has.
const IO_APIC_PINS: IoApicPins = IoApicPins(devices::io_apic::PINS);

fn start(
    mut processor: Processor,
    board: Arc<Board>,
    end: Arc<End>,
    sandbox: Sandbox,
) -> io::Result<JoinHandle<()>> {
    let name = processor.handle().id().to_string();
    thread::Builder::new().name(name).spawn(move || {
        sandbox.enter(Role::Vcpu);
        if let Err(error) = processor.run(|access| board.serve(access)) {
            end.finish(Ending::Broken(error));
        }
    })
}

/// Lets the devices that are late answer, and the unit give up those that never do, on a thread of its own: a whole queue may wait for them, and the console must
/// see meanwhile that the guest's time is over.
fn look_after_late(
    every: Duration,
    board: Arc<Board>,
    end: Arc<End>,
    sandbox: Sandbox,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("late devices".to_owned()).spawn(move || {
        sandbox.enter(Role::LateDevices);
        while !end.is_over() {
            board.look_after_late();
            thread::sleep(every);
        }
    })
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // Its panic, if any, has been printed by its own thread.
        let _ended = thread.join();
    }
}

#[cfg(test)]
mod tests;
