//! The report as a table, a row an order.

use steps::operation::Verdict;

use crate::demo::RunReport;
use crate::demo::guest::CpuKind;

/// How wide a row may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A line an order.
    Wide,
    /// Two lines an order, of 80 columns at most.
    Narrow,
}

impl Layout {
    /// The columns of a row that says `violated`, and of what may stand behind it.
    const WIDE_COLUMNS: u16 = 150;

    /// Of a terminal that is so wide; none: there is no terminal.
    #[must_use]
    pub fn within(columns: Option<u16>) -> Self {
        match columns {
            Some(columns) if columns < Self::WIDE_COLUMNS => Self::Narrow,
            Some(_) | None => Self::Wide,
        }
    }
}

/// What stands above the rows.
#[must_use]
pub fn heading(cpu: CpuKind, layout: Layout) -> String {
    let guest = match cpu {
        CpuKind::Kvm => "vCPUs on KVM, under a shadow page table",
        CpuKind::Software => "vCPUs in software, under a shadow page table",
    };
    let users = ["CPU", "vCPU", "device", "CPU", "vCPU", "device", "lost", "freed"].map(str::to_owned);
    match layout {
        Layout::Wide => format!(
            "{guest}; CPUs through TLBs; devices behind the IOMMU\n\n{}\n{:44} {:>29}   {:>29} {:>5} {:>6}",
            wide(["operation", "order"], "operations", &users, "verdict"),
            "",
            "accesses by",
            "stale loads by",
            "",
            "uses",
        ),
        Layout::Narrow => format!(
            "{guest};\nCPUs through TLBs; devices behind the IOMMU\n\n{}\n  {:>29}   {:>29} {:>5} {:>6}",
            narrow(["operation", "order"], "operations", &users, "verdict"),
            "accesses by",
            "stale loads by",
            "",
            "uses",
        ),
    }
}

/// One order.
#[must_use]
pub fn row(report: &RunReport, layout: Layout) -> String {
    let expected = match (report.is_as_expected(), report.is_undecided()) {
        (false, _) => "   <-- NOT AS EXPECTED",
        (true, true) => "   <-- BOUND HIT",
        (true, false) => "",
    };
    laid_out(report, layout, expected)
}

/// What was seen of one order, without what was expected.
#[must_use]
pub fn counts(report: &RunReport, layout: Layout) -> String {
    laid_out(report, layout, "")
}

fn laid_out(report: &RunReport, layout: Layout, expected: &str) -> String {
    let users = [
        report.cpu.accesses,
        report.vcpu.accesses,
        report.device.accesses,
        report.cpu.stale,
        report.vcpu.stale,
        report.device.stale,
        report.lost_writes,
        report.freed_uses(),
    ];
    let names = [report.trial.operation.name(), report.trial.order.name];
    let verdict = format!("{}{expected}", report.verdict().name());
    let cells = (report.operations.to_string(), users.map(short));
    match layout {
        Layout::Wide => wide(names, &cells.0, &cells.1, &verdict),
        Layout::Narrow => narrow(names, &cells.0, &cells.1, &verdict),
    }
}

fn wide(names: [&str; 2], operations: &str, users: &[String; 8], verdict: &str) -> String {
    format!("{:9} {:23} {operations:>10} {}  {verdict}", names[0], names[1], numbers(users))
}

fn narrow(names: [&str; 2], operations: &str, users: &[String; 8], verdict: &str) -> String {
    format!("{:9} {:23} {operations:>10}  {verdict}\n  {}", names[0], names[1], numbers(users))
}

/// Accesses and stale loads by each user, and what was lost and freed.
fn numbers([cpu, vcpu, device, cpu_stale, vcpu_stale, device_stale, lost, freed]: &[String; 8]) -> String {
    format!(
        "{cpu:>9} {vcpu:>9} {device:>9}   {cpu_stale:>9} {vcpu_stale:>9} {device_stale:>9} {lost:>5} {freed:>6}"
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

#[cfg(test)]
mod tests {
    use super::{CpuKind, Layout, heading, narrow, wide};

    #[test]
    fn a_narrow_row_has_all_of_a_wide_one_in_80_columns() {
        let users: [String; 8] = std::array::from_fn(|user| format!("{user}99.99M"));
        let cells =
            |row: &str| row.split_whitespace().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let names = ["control", "compare-before-protect"];
        let (wide, narrow) =
            (wide(names, "2652", &users, "violated"), narrow(names, "2652", &users, "violated"));
        assert_eq!(cells(&wide), cells(&narrow));
        assert!(narrow.lines().all(|line| line.len() <= 80), "{narrow}");
        assert!(heading(CpuKind::Software, Layout::Narrow).lines().all(|line| line.len() <= 80));
        assert_eq!(wide.lines().count(), 1);
    }

    #[test]
    fn who_is_no_terminal_gets_a_line_an_order() {
        assert_eq!(Layout::within(None), Layout::Wide);
        assert_eq!(Layout::within(Some(200)), Layout::Wide);
        assert_eq!(Layout::within(Some(80)), Layout::Narrow);
    }
}
