//! The machine around a guest that somebody else wrote: processors, a PCI bus with devices, serial port, debug exit.
//!
//! Invariant: the guest runs from [`Machine::run`]'s beginning to its end and not beyond it: when it returns, every
//! thread of the machine has ended, or is named. Whatever the guest does is an access for the [`board`] or an [`Ending`].
//!
//! Read in this order: [`options`] (what a machine can have), [`board`] (who answers which access), `chipset`,
//! `doorbells`, [`remapping`],
//! `unanswered`, [`interrupts`], [`power_button`], [`acpi`] and [`smbios`] (what the guest is told of all this), [`ending`], [`console`],
//! [`control`]; [`tracer`] and `traced` (what is written down for Perfetto).

pub mod acpi;
pub mod board;
mod chipset;
pub mod console;
pub mod control;
mod doorbells;
pub mod ending;
pub mod interrupts;
pub mod options;
pub mod power_button;
pub mod remapping;
pub mod smbios;
mod threads;
mod traced;
pub mod tracer;
mod unanswered;
mod virtio;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use iommu::vtd::Vtd;
use mmu::memory::{MemoryError, PhysicalMemory};
use thiserror::Error;

use crate::boot::{self, BootError, Payload, map};
use crate::kvm::processor::debug::Bell;
use crate::kvm::vm::IoApicPins;
use crate::kvm::{
    Count, Holder, Processor, ProcessorError, ProcessorReport, System, SystemError, VcpuId, Vm, VmError,
};
use crate::remedy::remedy;
use crate::sandbox::{Role, Sandbox, SandboxError};
use board::{Board, BoardError};
use console::{Console, Round};
use control::Control;
use ending::{End, Ending};
use options::{Debugger, MachineOptions};
use threads::Threads;
use tracer::Tracer;

/// Why a machine could not be built.
#[derive(Debug, Error)]
pub enum MachineError {
    /// No KVM.
    #[error(transparent)]
    System(#[from] SystemError),
    /// No memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// More of it than processors can address.
    #[error(
        "{memory_bytes} bytes of memory end at {end:#x}, and this KVM's processors have {bits} bits of address; give less --memory"
    )]
    Width {
        /// Bytes asked for.
        memory_bytes: u64,
        /// Where they end.
        end: u64,
        /// Bits of a physical address.
        bits: u8,
    },
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
    #[error("the host refuses {what}: {source}; {}", remedy(source, "see the kernel log"))]
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
    memory: Arc<PhysicalMemory>,
    debugger: Debugger,
    bell: Option<Arc<Bell>>,
    board: Arc<Board>,
    end: Arc<End>,
    sandbox: Sandbox,
    tracer: Option<Arc<Tracer>>,
}

/// What is done for whoever is outside, by a thread of its own.
pub struct Service {
    /// What the thread is called.
    pub name: &'static str,
    /// Which calls it makes.
    pub role: Role,
    /// Does it, until the machine has ended.
    pub work: Box<dyn FnOnce(&Control) + Send>,
}

/// How a run went.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// Where the processors were, if the ending asks for it.
    pub places: Vec<(VcpuId, ProcessorReport)>,
    /// Threads that did not end with the machine, which is a mistake of ours.
    pub behind: Vec<String>,
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
        // The last path was opened, and of the image nothing but its marks was looked at.
        options.sandbox.confine()?;
        check_width(&system, options.memory_bytes)?;
        let hole = map::HOLE..map::HOLE_BEHIND;
        let memory = Arc::new(PhysicalMemory::around(options.memory_bytes, hole)?);
        let entry = boot::load(&memory, payload)?;
        acpi::write(&memory, options);
        smbios::write(&memory, options);
        let vm = Arc::new(Vm::with_io_apic(&system, Arc::clone(&memory), IO_APIC_PINS)?);
        let refused = |source| MachineError::Host { what: "an event", source };
        let end = End::new().map_err(refused)?;
        let bell = match options.debugger {
            Debugger::None => None,
            Debugger::Welcome | Debugger::Awaited => Some(Arc::new(Bell::new().map_err(refused)?)),
        };
        let board = Arc::new(Board::new(&vm, options, Arc::clone(&end), output)?);
        let count = Count(options.processors);
        let processor = |id| {
            let processor = Processor::new(&system, &vm, id, count, &options.masked_cpu_flags, &entry)?;
            Ok::<_, ProcessorError>(match &bell {
                Some(bell) => processor.with_bell(Arc::clone(bell)),
                None => processor,
            })
        };
        let processors: Vec<_> =
            VcpuId::first(options.processors.into()).map(processor).collect::<Result<_, _>>()?;
        end.stops(processors.iter().map(Processor::handle).collect(), board.unit().cloned());
        Ok(Self {
            processors,
            memory,
            debugger: options.debugger,
            bell,
            board,
            end,
            sandbox: options.sandbox,
            tracer: options.tracer.clone(),
        })
    }

    /// The remapping unit, if there is one.
    #[must_use]
    pub fn unit(&self) -> Option<Arc<Vtd>> {
        self.board.unit().map(Arc::clone)
    }

    /// Runs the guest to its end, or for `limit`, with nobody at its serial port but whoever has standard input.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_for(self, limit: Duration) -> Result<Run, MachineError> {
        let console = Console { timeout: Some(limit), ..Console::default() };
        let mut act = |_: &[String]| ControlFlow::Continue(());
        self.run(console, Round { every: LOOK, act: &mut act }, Vec::new())
    }

    /// Runs the guest to its end, or for as long as `console` and the rounds let it, and `services` beside it.
    ///
    /// # Errors
    /// [`MachineError::Host`] if there is no thread or no event left for it.
    pub fn run(
        self,
        console: Console,
        mut round: Round<'_>,
        services: Vec<Service>,
    ) -> Result<Run, MachineError> {
        let Self { processors, memory, debugger, bell, board, end, sandbox, tracer } = self;
        let mut threads = Threads::new(&end);
        let handles = processors.iter().map(Processor::handle).collect();
        let control = Arc::new(Control::new(handles, memory, Arc::clone(&board), Arc::clone(&end), bell));
        if debugger == Debugger::Awaited {
            control.hold_from_the_beginning(Holder::Debugger);
        }
        let fence = Fence { sandbox, processors: processor_role(debugger) };
        let started = start(&mut threads, processors, &board, &end, fence, tracer.as_ref())
            .and_then(|()| serve(&mut threads, services, &control, sandbox));
        sandbox.enter(Role::Console);
        let watched = started.and_then(|()| {
            console
                .watch(&board, &end, &mut round)
                .map_err(|source| MachineError::Host { what: "events", source })
        });
        end.finish(Ending::Left);
        let left = threads.join();
        watched?;
        let places = left.results.into_iter().flatten().collect();
        Ok(Run { ending: end.take(), places, behind: left.behind })
    }
}

/// How often somebody looks whether the time of a guest is over.
const LOOK: Duration = Duration::from_millis(20);

/// Whether processors reach all of the memory.
fn check_width(system: &System, memory_bytes: u64) -> Result<(), MachineError> {
    let end = map::second_piece(memory_bytes).end;
    match system.address_bits()? {
        bits if is_within(end, bits) => Ok(()),
        bits => Err(MachineError::Width { memory_bytes, end, bits }),
    }
}

/// Whether what ends there has addresses of so many bits.
const fn is_within(end: u64, bits: u8) -> bool {
    bits >= 64 || end.saturating_sub(1) >> bits == 0
}

/// As many as the I/O APIC of the devices has.
const IO_APIC_PINS: IoApicPins = IoApicPins(devices::io_apic::PINS);

/// Where a processor was, of those that were asked.
type Place = Option<(VcpuId, ProcessorReport)>;

/// The fence, and what processors may do inside it.
#[derive(Clone, Copy)]
struct Fence {
    sandbox: Sandbox,
    processors: Role,
}

const fn processor_role(debugger: Debugger) -> Role {
    match debugger {
        Debugger::None => Role::Vcpu,
        Debugger::Welcome | Debugger::Awaited => Role::DebuggedVcpu,
    }
}

fn start(
    threads: &mut Threads<Place>,
    processors: Vec<Processor>,
    board: &Arc<Board>,
    end: &Arc<End>,
    Fence { sandbox, processors: role }: Fence,
    tracer: Option<&Arc<Tracer>>,
) -> Result<(), MachineError> {
    let refused = |source| MachineError::Host { what: "a thread", source };
    for processor in processors {
        let (board, end, tracer) = (Arc::clone(board), Arc::clone(end), tracer.cloned());
        let name = processor.handle().id().to_string();
        let work = move || {
            sandbox.enter(role);
            run_processor(processor, &board, &end, tracer.as_deref())
        };
        threads.start(name, work).map_err(refused)?;
    }
    if let Some(every) = board.lateness() {
        let (board, end) = (Arc::clone(board), Arc::clone(end));
        let work = move || {
            sandbox.enter(Role::LateDevices);
            look_after_late(every, &board, &end)
        };
        threads.start("late devices".to_owned(), work).map_err(refused)?;
    }
    Ok(())
}

fn serve(
    threads: &mut Threads<Place>,
    services: Vec<Service>,
    control: &Arc<Control>,
    sandbox: Sandbox,
) -> Result<(), MachineError> {
    for Service { name, role, work } in services {
        let control = Arc::clone(control);
        let work = move || {
            sandbox.enter(role);
            work(&control);
            None
        };
        let refused = |source| MachineError::Host { what: "a thread", source };
        threads.start(name.to_owned(), work).map_err(refused)?;
    }
    Ok(())
}

fn run_processor(mut processor: Processor, board: &Board, end: &End, tracer: Option<&Tracer>) -> Place {
    let id = processor.handle().id();
    let served = match tracer {
        None => processor.run(|access| board.serve(access)),
        Some(tracer) => processor.run(|access| tracer.served(id, access, |access| board.serve(access))),
    };
    if let Err(error) = served {
        end.finish(Ending::Broken(error));
    }
    end.asks_where().then(|| (processor.handle().id(), processor.report("stopped".to_owned())))
}

/// Lets the devices that are late answer, and the unit give up those that never do, on a thread of its own: a whole queue
/// may wait for them, and the console must see meanwhile that the guest's time is over.
fn look_after_late(every: Duration, board: &Board, end: &End) -> Place {
    while !end.is_over() {
        board.look_after_late();
        thread::sleep(every);
    }
    None
}

#[cfg(test)]
mod tests;
