//! How fast a guest starts: from spawning a process to its guest's first output, and from creating a machine to
//! its first exit inside a process.
//!
//! Invariant: every round measures each row once, `/bin/true` among them, so that ratios hold on a machine whose
//! speed drifts. The first rounds warm up and do not count. With `--child` the program is the process measured.

use std::env;
use std::io::{self, Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guest_images::Program;
use mmu::address::Pfn;
use mmu::memory::PhysicalMemory;
use serde_json::json;
use vmm::kvm::{Exit, GuestSpace, Hypercall, System, Vcpu, VcpuId, Vm};

/// What has to live as long as the guest.
type Machine = (Vcpu, Vm);
type Failure = Box<dyn std::error::Error>;

const MEMORY_BYTES: u64 = 64 << 20;
const WARM_UP_ROUNDS: usize = 5;
const ROUNDS: usize = 50;

/// One thing measured, with its targets.
struct Row {
    name: &'static str,
    measure: fn() -> Result<Duration, Failure>,
    must_ms: Option<f64>,
    stretch_ms: Option<f64>,
}

const ROWS: [Row; 4] = [
    Row { name: "spawn of /bin/true to its end", measure: spawn_true, must_ms: None, stretch_ms: None },
    Row {
        name: "spawn of this program to its end, no guest",
        measure: spawn_idle,
        must_ms: None,
        stretch_ms: None,
    },
    Row {
        name: "spawn to the guest's first output",
        measure: spawn_child,
        must_ms: Some(2.5),
        stretch_ms: Some(1.6),
    },
    Row {
        name: "create VM to first exit, in process",
        measure: start_in_process,
        must_ms: Some(0.7),
        stretch_ms: Some(0.42),
    },
];

fn main() -> ExitCode {
    let outcome = match env::args().nth(1).as_deref() {
        Some("--child") => child(),
        Some("--idle") => Ok(()),
        _ => parent(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Puts out the guest's first byte.
fn child() -> Result<(), Failure> {
    let (byte, _machine) = first_output(&System::open()?)?;
    io::stdout().write_all(&[byte])?;
    Ok(io::stdout().flush()?)
}

fn parent() -> Result<(), Failure> {
    let mut out = io::stdout();
    if let Err(error) = System::open() {
        writeln!(out, "skipped: {error}")?;
        return Ok(());
    }
    let mut samples = vec![Vec::with_capacity(ROUNDS); ROWS.len()];
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        for (row, samples) in ROWS.iter().zip(&mut samples) {
            let took = (row.measure)()?;
            if round >= WARM_UP_ROUNDS {
                samples.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    report(&mut out, samples)
}

fn spawn_true() -> Result<Duration, Failure> {
    spawned(&mut Command::new("/bin/true"), 0)
}

fn spawn_idle() -> Result<Duration, Failure> {
    spawned(Command::new(env::current_exe()?).arg("--idle"), 0)
}

fn spawn_child() -> Result<Duration, Failure> {
    spawned(Command::new(env::current_exe()?).arg("--child"), 1)
}

/// From before the spawn until the process put out its first byte (or, of `bytes` = 0, closed its output).
fn spawned(command: &mut Command, bytes: usize) -> Result<Duration, Failure> {
    let started = Instant::now();
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let mut output = process.stdout.take().ok_or("the process has no output pipe")?;
    let got = output.read(&mut [0])?;
    let took = started.elapsed();
    let status = process.wait()?;
    if got == bytes && status.success() {
        Ok(took)
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}

fn start_in_process() -> Result<Duration, Failure> {
    let system = System::open()?;
    let started = Instant::now();
    let (_byte, _machine) = first_output(&system)?;
    Ok(started.elapsed())
}

/// A machine with one vCPU, from nothing to its first exit; it is handed out, because taking it down counts nowhere.
fn first_output(system: &System) -> Result<(u8, Machine), Failure> {
    let memory = Arc::new(PhysicalMemory::new(MEMORY_BYTES)?);
    let mut next = 0;
    let mut allocate = || {
        next += 1;
        Pfn(next)
    };
    let space = GuestSpace::build(&memory, &mut allocate, Program::FirstOutput, 1);
    let vm = Vm::new(system, memory)?;
    let mut vcpu = Vcpu::new(&vm, &space, VcpuId::FIRST)?;
    match vcpu.run()? {
        Exit::Hypercall(Hypercall::Output(byte)) => Ok((byte, (vcpu, vm))),
        other => Err(format!("the guest's first exit was {other:?}").into()),
    }
}

fn report(out: &mut impl Write, samples: Vec<Vec<f64>>) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<44} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8}",
        "ms", "p10", "median", "p90", "/bin/true", "must", "stretch"
    )?;
    let mut base = None;
    let mut rows = Vec::new();
    for (row, mut samples) in ROWS.iter().zip(samples) {
        samples.sort_by(f64::total_cmp);
        let at = |percent: usize| samples[(samples.len() - 1) * percent / 100];
        let (p10, median, p90) = (at(10), at(50), at(90));
        let ratio = median / *base.get_or_insert(median);
        let target =
            |target: Option<f64>| target.map_or_else(|| "-".to_owned(), |ms| format!("{:.2}x", median / ms));
        let (must, stretch) = (target(row.must_ms), target(row.stretch_ms));
        writeln!(
            out,
            "{:<44} {p10:>8.3} {median:>8.3} {p90:>8.3} {ratio:>8.2}x {must:>8} {stretch:>8}",
            row.name
        )?;
        rows.push(
            json!({ "name": row.name, "p10_ms": p10, "median_ms": median, "p90_ms": p90, "ratio": ratio }),
        );
    }
    writeln!(out, "columns must and stretch: median against the target, 1.00x or less meets it")?;
    writeln!(
        out,
        "{}",
        json!({ "bench": "start", "rounds": ROUNDS, "memory_bytes": MEMORY_BYTES, "rows": rows })
    )?;
    Ok(())
}
