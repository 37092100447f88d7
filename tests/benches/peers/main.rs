//! Ours against the peers, in one process and one run: what, ours, each peer, the ratio, the targets, whether they
//! are met.
//!
//! Invariant: in each round every contestant of a row has a turn right after the others, and all of them find the
//! same. Not told to measure (`cargo test --benches`) each does its work once, as small as it goes, and only that is
//! checked.
//! Source: docs/performance.md.
//!
//! Run: `cargo bench -p afterimage-tests --bench peers [-- PART…] [--rounds N] [--json FILE] [--svg FILE]`.

mod cow_n;
mod guest;
mod ksmd;
mod options;
mod pages;
mod pinned;
mod spawned;
mod unit;
mod parts {
    pub(crate) mod boot;
    pub(crate) mod dma;
    pub(crate) mod explorer;
    pub(crate) mod invalidate;
    pub(crate) mod iotlb;
    pub(crate) mod ksm;
    pub(crate) mod notifier;
    pub(crate) mod start;
    pub(crate) mod virtio;
    pub(crate) mod walk;
}
mod shapes {
    pub(crate) mod cloud_hypervisor;
    pub(crate) mod crosvm;
    pub(crate) mod openvmm;
    pub(crate) mod qemu;
    pub(crate) mod vm_memory;
}

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use tests_support::measure::noise::{Noise, Ticks, others_now};
use tests_support::measure::report::{Line, Report};
use tests_support::measure::round::{Effort, Measured};

use self::options::{Options, Part};

/// What the parts leave behind.
struct Run {
    effort: Effort,
    rows: Vec<Measured>,
    skipped: Vec<String>,
    /// Ticks that the kernel spent for a row.
    by_kernel: u64,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    if env::var_os(spawned::AS_COMMAND).is_some() {
        return vmm::command::main();
    }
    let outcome =
        Options::read(env::args().skip(1)).map_err(Failure::from).and_then(|options| measure(&options));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Failure> {
    let mut run = Run { effort: options.effort, rows: Vec::new(), skipped: Vec::new(), by_kernel: 0 };
    let is_measured = options.effort != Effort::Once;
    let before = if is_measured { others_now() } else { 0.0 };
    let began = Ticks::now();
    for part in &options.parts {
        match part {
            Part::Iotlb => parts::iotlb::run(&mut run),
            Part::Walk => parts::walk::run(&mut run),
            Part::Invalidate => parts::invalidate::run(&mut run),
            Part::Dma => parts::dma::run(&mut run),
            Part::Virtio => parts::virtio::run(&mut run),
            Part::Notifier => parts::notifier::run(&mut run),
            Part::Ksm => parts::ksm::run(&mut run),
            Part::Start => parts::start::run(&mut run),
            Part::Boot => parts::boot::run(&mut run),
            Part::Explorer => parts::explorer::run(&mut run),
        }
    }
    if !is_measured {
        for left_out in &run.skipped {
            writeln!(io::stdout(), "peers: left out: {left_out}")?;
        }
        let rows = run.rows.len();
        return Ok(writeln!(
            io::stdout(),
            "peers: {rows} rows, in each of which everybody finds the same; nothing measured"
        )?);
    }
    let ended = Ticks::now().map(|ended| ended.and_own(run.by_kernel));
    let during = began.and_then(|began| ended?.others_since(began)).unwrap_or(1.0);
    let noise = Noise { before, during, after: others_now() };
    let lines = run.rows.iter().flat_map(|row| Line::of(row, noise.is_too_much())).collect();
    let report = Report { lines, noise, skipped: run.skipped, machine: machine() };
    io::stdout().write_all(report.text().as_bytes())?;
    if let Some(file) = &options.json {
        fs::write(file, format!("{:#}\n", report.json()))?;
    }
    if let Some(file) = &options.svg {
        fs::write(file, report.svg())?;
    }
    Ok(())
}

/// Processor, how many of them, kernel.
fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("a processor without a name", |(_, name)| name.trim());
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let guest = if cpus.contains(" hypervisor ") { ", itself a guest" } else { "" };
    format!("{model}, {count} processors{guest}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
