//! The report as one JSON object.

use serde::Serialize;

use crate::demo::RunReport;
use crate::demo::guest::CpuKind;
use crate::demo::reading::Reading;

#[derive(Serialize)]
struct Object {
    cpu: CpuKind,
    runs: Vec<Run>,
}

#[derive(Serialize)]
struct Run {
    operation: &'static str,
    order: &'static str,
    operations: u64,
    guest_accesses: u64,
    dma_accesses: u64,
    cpu_accesses: u64,
    stale: u64,
    stale_by: StaleBy,
    lost_writes: u64,
    freed_uses: u64,
    expected: &'static str,
    verdict: &'static str,
    /// Of the first violation: `counterexample` of the order's scenario, `divergence` from it, `bound hit` if the search was over before, or `untold`.
    first_violation: Option<&'static str>,
}

#[derive(Serialize)]
struct StaleBy {
    cpu: u64,
    vcpu: u64,
    device: u64,
}

/// All runs, and what the vCPUs were.
#[must_use]
pub fn object(cpu: CpuKind, reports: &[RunReport]) -> String {
    let object = Object { cpu, runs: reports.iter().map(run).collect() };
    match serde_json::to_string_pretty(&object) {
        Ok(text) => text,
        Err(error) => unreachable!("numbers and names are always JSON: {error}"),
    }
}

fn run(report: &RunReport) -> Run {
    Run {
        operation: report.trial.operation.name(),
        order: report.trial.order.name,
        operations: report.operations,
        guest_accesses: report.vcpu.accesses,
        dma_accesses: report.device.accesses,
        cpu_accesses: report.cpu.accesses,
        stale: report.stale(),
        stale_by: StaleBy { cpu: report.cpu.stale, vcpu: report.vcpu.stale, device: report.device.stale },
        lost_writes: report.lost_writes,
        freed_uses: report.freed_uses(),
        expected: report.trial.order.expected.name(),
        verdict: report.verdict().name(),
        first_violation: report.reading.as_ref().map(|reading| match reading {
            Reading::Counterexample(_) => "counterexample",
            Reading::Divergence(_) => "divergence",
            Reading::BoundHit(_) => "bound hit",
            Reading::TooLong => "untold",
        }),
    }
}
