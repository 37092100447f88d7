//! The first violation of an order, as a trace.

use ordering::trace::Trace;

use crate::demo::RunReport;

/// The trace of the first violation; none if there was none.
#[must_use]
pub fn of(report: &RunReport) -> Option<String> {
    let violation = report.first.as_ref()?;
    let title = format!("{} {}", report.trial.operation.name(), report.trial.order.name);
    let trace = Trace::of_violation(&violation.before, &violation.event);
    Some(format!("\n{title}: {}\n{trace}", report.trial.order.story).trim_end().to_owned())
}
