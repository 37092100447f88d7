//! The first violation of an order, as a counterexample of its scenario.

use crate::demo::RunReport;
use crate::demo::options::Operation;
use crate::demo::reading::Reading;

/// What is said of the first violation; nothing if there was none.
#[must_use]
pub fn of(report: &RunReport) -> Option<String> {
    let title = format!("\n{} {}", report.trial.operation.name(), report.trial.order.name);
    let story = report.trial.order.story;
    Some(match (report.trial.operation, report.reading.as_ref()?) {
        (Operation::Cow | Operation::Ksm, Reading::Counterexample(found)) => {
            format!("{title}: {story}\n{}", found.table).trim_end().to_owned()
        }
        (Operation::Control, Reading::Counterexample(found)) => {
            format!("{title}: DIVERGENCE: the right order can do this\n{}", found.table)
        }
        (Operation::Cow | Operation::Ksm, Reading::Divergence(seen)) => {
            format!("{title}: DIVERGENCE: {seen}")
        }
        (Operation::Control, Reading::Divergence(_)) => {
            format!("{title}: {story}\nno run of the right order ends in what was met")
        }
        (_, Reading::BoundHit(places)) => format!(
            "{title}: BOUND HIT: {story}; the search looked at {places} places and found no run of the scenario, which \
             may have one: allow more with --places, or try another --seed"
        ),
        (_, Reading::TooLong) => {
            format!("{title}: BOUND HIT: {story}; what led to it was too long ago to be told")
        }
    })
}
