//! What leaving the guest costs: a hypercall, a page fault, a kick of running vCPUs, a string to the serial port.
//!
//! Invariant: each figure is a round trip seen from the host, with nothing done in between; a kick counts until the
//! stub has acknowledged it or the vCPU is outside. With as many vCPUs as CPUs the waiter naps, and that shows.

use std::hint;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use devices::interrupt::{Level, Pin, Pins, Wire};
use devices::serial::{self, Serial};
use guest_images::Program;
use guest_images::bare::{BareImage, ElfWidth, outs_text};
use guest_images::layout::{AREA_VA, probe_stats};
use mmu::address::{Pfn, VirtAddr};
use mmu::memory::PhysicalMemory;
use mmu::pte::Pte;
use vmm::boot::{self, File, Payload};
use vmm::kvm::vm::IoApicPins;
use vmm::kvm::{Access, Count, CpuFlags, Processor};
use vmm::kvm::{Exit, GuestSpace, Install, PageSet, System, Vcpu, VcpuHandle, VcpuId, Vm, ZapPort};

type Failure = Box<dyn std::error::Error>;

const MEMORY_BYTES: u64 = 8 << 20;
/// The frame behind the shadow window's first page, beyond those that a guest is built from.
const FRAME: Pfn = Pfn(1024);
const SAMPLES: usize = 3000;
const STRINGS: usize = 100;
/// Before each sample, so that a kicked vCPU is back at its program.
const PAUSE: Duration = Duration::from_micros(50);

/// A machine whose vCPUs are not running yet.
struct Machine {
    vm: Arc<Vm>,
    space: GuestSpace,
    vcpus: Vec<Vcpu>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "exits: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut out = io::stdout();
    let system = match System::open() {
        Ok(system) => system,
        Err(error) => return Ok(writeln!(out, "skipped: {error}")?),
    };
    writeln!(out, "{:<44} {:>8} {:>8} {:>8}", "µs", "p10", "median", "p90")?;
    row(&mut out, "hypercall", hypercalls(&system)?)?;
    row(&mut out, "page fault without an answer", faults(&system, None)?)?;
    row(&mut out, "page fault with an answer that faults again", faults(&system, Some(0))?)?;
    for (vcpu_count, name) in [(1, "1 vCPU"), (2, "2 vCPUs")] {
        row(&mut out, &format!("kick of {name}, no page"), kicks(&system, vcpu_count, &PageSet::default())?)?;
        let page = PageSet::of(VirtAddr(AREA_VA));
        row(
            &mut out,
            &format!("kick of {name}, one page, refault beside it"),
            kicks(&system, vcpu_count, &page)?,
        )?;
    }
    row(&mut out, &format!("rep outsb of {} bytes", outs_text().len()), strings(&system)?)?;
    Ok(())
}

/// Interrupts that nobody takes.
struct Unheard;

impl Pins for Unheard {
    fn set(&self, _: Pin, _: Level) {}
}

/// How long a guest takes for one string to the serial port, from its first byte to what comes behind the last.
fn strings(system: &System) -> Result<Vec<Duration>, Failure> {
    (0..STRINGS).map(|_| string(system)).collect()
}

fn string(system: &System) -> Result<Duration, Failure> {
    let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES)?);
    let kernel = File { name: "outs".to_owned(), bytes: BareImage::Outs.elf(ElfWidth::Bits32) };
    let payload = Payload {
        kernel,
        initrd: None,
        modules: Vec::new(),
        command_line: String::new(),
        if_linux: Vec::new(),
    };
    let entry = boot::load(&memory, &payload)?;
    let vm = Vm::with_io_apic(system, memory, IoApicPins(24))?;
    let mut processor = Processor::new(system, &vm, VcpuId::FIRST, Count(1), &CpuFlags::default(), &entry)?;
    let line = Wire::new(Arc::new(Unheard), Pin(serial::PIN)).line();
    let (serial, handle) = (Serial::new(line, Box::new(io::sink())), processor.handle());
    let (mut begun, mut took) = (None, Duration::ZERO);
    processor.run(|access| match access {
        Access::Out { port: serial::PORT, bytes } => {
            begun.get_or_insert_with(Instant::now);
            serial.write(0, bytes);
        }
        Access::OutString { bytes, taken, .. } => *taken = serial.write_string(bytes),
        _ => {
            took = begun.map_or(took, |begun| begun.elapsed());
            handle.request_stop();
        }
    })?;
    Ok(took)
}

fn row(out: &mut impl Write, name: &str, mut samples: Vec<Duration>) -> io::Result<()> {
    samples.sort();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    writeln!(out, "{name:<44} {:>8.1} {:>8.1} {:>8.1}", at(10), at(50), at(90))
}

fn machine(system: &System, program: Program, vcpu_count: usize) -> Result<Machine, Failure> {
    let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES)?);
    let mut next = 0;
    let mut allocate = || {
        next += 1;
        Pfn(next)
    };
    let space = GuestSpace::build(&memory, &mut allocate, program, vcpu_count);
    let vm = Arc::new(Vm::new(system, memory)?);
    let vcpus = VcpuId::first(vcpu_count).map(|id| Vcpu::new(&vm, &space, id)).collect::<Result<_, _>>()?;
    Ok(Machine { vm, space, vcpus })
}

/// The times of `work`, with a pause before each.
fn timed(mut work: impl FnMut() -> Result<(), Failure>) -> Result<Vec<Duration>, Failure> {
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let paused = Instant::now();
        while paused.elapsed() < PAUSE {
            hint::spin_loop();
        }
        let started = Instant::now();
        work()?;
        samples.push(started.elapsed());
    }
    Ok(samples)
}

fn hypercalls(system: &System) -> Result<Vec<Duration>, Failure> {
    let mut machine = machine(system, Program::FirstOutput, 1)?;
    timed(|| {
        machine.vcpus[0].run()?;
        Ok(())
    })
}

/// Faults on the same page again and again; `value` is installed each time.
fn faults(system: &System, value: Option<u64>) -> Result<Vec<Duration>, Failure> {
    let mut machine = machine(system, Program::Probe, 1)?;
    let (entry, address) = (machine.space.leaf_table(), VirtAddr(AREA_VA));
    timed(|| {
        machine.vcpus[0].run()?;
        machine.vcpus[0].answer(value.map(|value| Install { entry, value, address }));
        Ok(())
    })
}

/// Kicks vCPUs that run the probe.
fn kicks(system: &System, vcpu_count: usize, pages: &PageSet) -> Result<Vec<Duration>, Failure> {
    let machine = machine(system, Program::Probe, vcpu_count)?;
    let handles: Vec<_> = machine.vcpus.iter().map(Vcpu::handle).collect();
    let port = ZapPort::new(Arc::clone(&machine.vm), &machine.space, handles.iter().cloned());
    let entry = machine.space.leaf_table();
    thread::scope(|scope| {
        for vcpu in machine.vcpus {
            scope.spawn(move || serve(vcpu, entry));
        }
        let stats = VcpuId::first(vcpu_count).map(|id| machine.space.stats(id));
        stats.for_each(|stats| while machine.vm.memory().load(stats.offset(probe_stats::READS)) == 0 {});
        let samples = timed(|| {
            port.wait(&port.request(port.vcpus(), pages)?)?;
            Ok(())
        });
        handles.iter().for_each(VcpuHandle::request_stop);
        samples
    })
}

/// Answers every fault with the same frame until the vCPU is stopped.
fn serve(mut vcpu: Vcpu, entry: mmu::address::PhysAddr) {
    let value = Pte::leaf(FRAME).with(Pte::WRITE).0;
    while let Ok(Exit::PageFault { address, .. }) = vcpu.run() {
        vcpu.answer(Some(Install { entry, value, address }));
    }
}
