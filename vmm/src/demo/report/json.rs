//! The report as one object, for JSON.

use serde::Serialize;

use crate::demo::RunReport;
use crate::demo::guest::CpuKind;
use crate::demo::options::DemoOptions;
use crate::demo::reading::Reading;
use crate::demo::window::Widening;

/// What a demonstration was told and what it saw.
#[derive(Serialize)]
pub struct Object {
    cpu: CpuKind,
    parameters: Parameters,
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Parameters {
    seed: u64,
    /// How long each right order is watched.
    seconds: f64,
    /// How wide each window may be made, in microseconds; none: as was found, wider and wider.
    window_us: Option<u64>,
    cpus: u16,
    vcpus: u16,
    devices: u16,
    /// Places that a search for a counterexample looks at, at most.
    places: usize,
}

#[derive(Serialize)]
struct Run {
    operation: &'static str,
    /// How wide the windows were in this run, in microseconds; none: as was found.
    window_us: Option<u64>,
    order: &'static str,
    operations: u64,
    guest_accesses: u64,
    dma_accesses: u64,
    cpu_accesses: u64,
    stale: u64,
    stale_by: StaleBy,
    lost_writes: u64,
    freed_uses: u64,
    seconds: f64,
    expected: &'static str,
    verdict: &'static str,
    /// Of the first violation: `counterexample` of the order's scenario, `divergence` from it, `bound hit` if the search was over before, or `untold`.
    first_violation: Option<&'static str>,
    /// The order's scenario, with the first violation as its trace if that is a counterexample.
    scenario: String,
}

#[derive(Serialize)]
struct StaleBy {
    cpu: u64,
    vcpu: u64,
    device: u64,
}

/// What it was told, and all runs.
#[must_use]
pub fn object(cpu: CpuKind, options: &DemoOptions, reports: &[RunReport]) -> Object {
    let DemoOptions { cast, trials: _, time, widening, watching: _, seed, most_places } = options;
    let parameters = Parameters {
        seed: *seed,
        seconds: time.as_secs_f64(),
        window_us: width_us(*widening),
        cpus: cast.cpus,
        vcpus: cast.vcpus,
        devices: cast.devices,
        places: *most_places,
    };
    Object { cpu, parameters, runs: reports.iter().map(run).collect() }
}

fn width_us(widening: Widening) -> Option<u64> {
    match widening {
        Widening::AsFound => None,
        Widening::Fixed { width_us } => Some(width_us),
    }
}

fn run(report: &RunReport) -> Run {
    Run {
        operation: report.trial.operation.name(),
        window_us: width_us(report.widening),
        order: report.trial.order.name,
        operations: report.operations,
        guest_accesses: report.vcpu.accesses,
        dma_accesses: report.device.accesses,
        cpu_accesses: report.cpu.accesses,
        stale: report.stale(),
        stale_by: StaleBy { cpu: report.cpu.stale, vcpu: report.vcpu.stale, device: report.device.stale },
        lost_writes: report.lost_writes,
        freed_uses: report.freed_uses(),
        seconds: report.time.as_secs_f64(),
        expected: report.trial.order.expected.name(),
        verdict: report.verdict().name(),
        first_violation: report.reading.as_ref().map(|reading| match reading {
            Reading::Counterexample(_) => "counterexample",
            Reading::Divergence(_) => "divergence",
            Reading::BoundHit(_) => "bound hit",
            Reading::TooLong => "untold",
        }),
        scenario: report.scenario(),
    }
}
