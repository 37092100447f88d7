//! The report as a table, a row an order.

use steps::operation::Verdict;

use crate::demo::RunReport;
use crate::demo::guest::CpuKind;

/// What stands above the rows.
#[must_use]
pub fn heading(cpu: CpuKind) -> String {
    let guest = match cpu {
        CpuKind::Kvm => "vCPUs on KVM, under a shadow page table",
        CpuKind::Software => "vCPUs in software, under a shadow page table",
    };
    format!(
        "{guest}; CPUs through TLBs; devices behind the IOMMU\n\n\
         {:9} {:23} {:>10} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9} {:>5} {:>6}  {}\n\
         {:9} {:23} {:>10} {:>29}   {:>29} {:>5} {:>6}",
        "operation",
        "order",
        "operations",
        "CPU",
        "vCPU",
        "device",
        "CPU",
        "vCPU",
        "device",
        "lost",
        "freed",
        "verdict",
        "",
        "",
        "",
        "accesses by",
        "stale loads by",
        "",
        "uses",
    )
}

/// One order.
#[must_use]
pub fn row(report: &RunReport) -> String {
    let expected = match (report.is_as_expected(), report.is_undecided()) {
        (false, _) => "   <-- NOT AS EXPECTED",
        (true, true) => "   <-- BOUND HIT",
        (true, false) => "",
    };
    counts(report) + expected
}

/// What was seen of one order, without what was expected.
#[must_use]
pub fn counts(report: &RunReport) -> String {
    format!(
        "{:9} {:23} {:>10} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9} {:>5} {:>6}  {}",
        report.trial.operation.name(),
        report.trial.order.name,
        report.operations,
        short(report.cpu.accesses),
        short(report.vcpu.accesses),
        short(report.device.accesses),
        short(report.cpu.stale),
        short(report.vcpu.stale),
        short(report.device.stale),
        short(report.lost_writes),
        short(report.freed_uses()),
        report.verdict().name(),
    )
}

/// One sentence about all of it.
#[must_use]
pub fn conclusion(reports: &[RunReport]) -> String {
    let wrong: Vec<_> = reports.iter().filter(|report| !report.is_as_expected()).collect();
    let count = |verdict| reports.iter().filter(|report| report.trial.order.expected == verdict).count();
    let open: Vec<_> = reports.iter().filter(|report| report.is_undecided()).collect();
    if wrong.is_empty() && !open.is_empty() {
        let names: Vec<_> = open.iter().map(|report| report.trial.order.name).collect();
        return format!(
            "BOUND HIT: whether the scenario has what was met is not known of {}.",
            names.join(", ")
        );
    }
    if wrong.is_empty() {
        return format!(
            "{} right and {} wrong orders: each did what it is held to do.",
            count(Verdict::Coherent),
            count(Verdict::Violated)
        );
    }
    let names = wrong.iter().map(|report| {
        if report.diverges() {
            return format!("{} diverges from its scenario", report.trial.order.name);
        }
        let Verdict::Coherent = report.trial.order.expected else {
            return format!("{} was not caught", report.trial.order.name);
        };
        format!("{} was violated", report.trial.order.name)
    });
    format!("NOT AS EXPECTED: {}.", names.collect::<Vec<_>>().join(", "))
}

/// At most seven characters: above a million in millions.
fn short(number: u64) -> String {
    match number {
        0..1_000_000 => number.to_string(),
        _ => format!("{}.{:02}M", number / 1_000_000, number % 1_000_000 / 10_000),
    }
}
