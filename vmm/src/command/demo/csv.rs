//! What was seen of each order as comma-separated values.
//!
//! Invariant: a line a run below one line of names; names of operations and orders have no commas. Source: RFC 4180.

use crate::demo::RunReport;
use crate::demo::window::Widening;

const NAMES: &str = "operation,order,window_us,seed,seconds,operations,cpu_accesses,vcpu_accesses,device_accesses,\
                     cpu_stale,vcpu_stale,device_stale,lost_writes,freed_uses,expected,verdict";

/// All runs of a demonstration whose choices came from `seed`.
pub(super) fn table(reports: &[RunReport], seed: u64) -> String {
    let lines = reports.iter().map(|run| line(run, seed));
    std::iter::once(NAMES.to_owned()).chain(lines).map(|line| line + "\r\n").collect()
}

fn line(run: &RunReport, seed: u64) -> String {
    let window = match run.widening {
        Widening::AsFound => String::new(),
        Widening::Fixed { width_us } => width_us.to_string(),
    };
    let users = [run.cpu, run.vcpu, run.device];
    let accesses = users.iter().map(|user| user.accesses);
    let stale = users.iter().map(|user| user.stale);
    let counts = [run.operations].into_iter().chain(accesses).chain(stale);
    let counts: Vec<String> =
        counts.chain([run.lost_writes, run.freed_uses()]).map(|count| count.to_string()).collect();
    format!(
        "{},{},{window},{seed},{:.6},{},{},{}",
        run.trial.operation.name(),
        run.trial.order.name,
        run.time.as_secs_f64(),
        counts.join(","),
        run.trial.order.expected.name(),
        run.verdict().name()
    )
}
