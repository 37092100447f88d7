//! The demonstration as a page: counts of each order beside each other, and the first violation of each as a picture.
//!
//! Invariant: a picture is of the run that the text beside it says; a text that cannot be read again is a mistake of this program
//! and said.

use ordering::language::parse;
use picture::chart::{Chart, Column, Counted, Line};
use picture::report::{Report, Tone};
use steps::operation::Verdict;

use crate::command::drawn;
use crate::command::pictures::Pictures;
use crate::demo::RunReport;
use crate::demo::options::Operation;
use crate::demo::reading::Reading;
use crate::demo::scenario::OrderScenario;

/// Draws what was seen of all orders.
///
/// # Errors
/// The order whose scenario cannot be read again, and why.
pub(super) fn draw(reports: &[RunReport], pictures: &mut Pictures) -> Result<(), String> {
    pictures.chart(chart(reports));
    for run in reports {
        let (file, text) = file(run);
        let report = report(run, &file, &text)
            .map_err(|why| format!("{file} cannot be read again, which is a mistake: {why}"))?;
        pictures.add_of(&file, &text, report);
    }
    Ok(())
}

/// The name and the text of an order's scenario, with its counterexample if there is one.
pub(super) fn file(run: &RunReport) -> (String, String) {
    (format!("{}.scn", OrderScenario::new(&run.trial).name()), run.scenario())
}

fn chart(reports: &[RunReport]) -> Chart {
    let column = |counted: Counted| move |name: &str| Column { name: name.to_owned(), counted };
    let work = ["operations", "accesses by CPU", "by vCPU", "by device"].map(column(Counted::Work));
    let harm =
        ["stale loads by CPU", "by vCPU", "by device", "lost", "freed uses"].map(column(Counted::Harm));
    let caption = "What was done with the pages while each order was at work, and what must not happen. Wrong orders and the control \
                   are there to be violated.";
    Chart {
        caption: caption.to_owned(),
        columns: work.into_iter().chain(harm).collect(),
        rows: reports.iter().map(line).collect(),
    }
}

fn line(run: &RunReport) -> Line {
    let users = [run.cpu, run.vcpu, run.device];
    let done = users.iter().map(|user| user.accesses);
    let stale = users.iter().map(|user| user.stale);
    let counts = [run.operations].into_iter().chain(done).chain(stale);
    Line {
        name: OrderScenario::new(&run.trial).name(),
        verdict: run.verdict().name().to_owned(),
        tone: tone(run),
        counts: counts.chain([run.lost_writes, run.freed_uses()]).collect(),
    }
}

/// What a run shows of its order; that the control is violated is as it should be, and is harm all the same.
fn tone(run: &RunReport) -> Tone {
    match run.verdict() {
        Verdict::Coherent => Tone::Good,
        Verdict::Violated => Tone::Bad,
    }
}

fn report(run: &RunReport, file: &str, text: &str) -> Result<Report, String> {
    let parsed = parse(text);
    if let Some(diagnostic) = parsed.diagnostics.first() {
        return Err(diagnostic.message.clone());
    }
    let scenario = parsed.scenarios.first().ok_or("there is no scenario in it")?;
    let (timeline, mut remarks) = match &run.reading {
        Some(Reading::Counterexample(found)) => (Some(found.run.clone()), Vec::new()),
        Some(Reading::Divergence(seen)) => (None, divergence(run, seen)),
        Some(Reading::BoundHit(places)) => {
            let told =
                format!("BOUND HIT: the search looked at {places} places and found no run of the scenario");
            (None, vec![told])
        }
        Some(Reading::TooLong) => {
            (None, vec!["BOUND HIT: what led to the first violation was too long ago to be told".to_owned()])
        }
        None => (None, Vec::new()),
    };
    if !run.is_as_expected() {
        remarks.push(format!("NOT AS EXPECTED: the order is held to be {}", run.trial.order.expected.name()));
    }
    Ok(Report {
        verdict: run.verdict().name().to_owned(),
        tone: tone(run),
        detail: format!("{}watched for {:.2} s", expected(run), run.time.as_secs_f64()),
        remarks,
        title: timeline.as_ref().map_or_else(String::new, |_| "The first violation".to_owned()),
        run: timeline,
        ..drawn::of(file, scenario)
    })
}

/// A wrong order is there to be violated.
fn expected(run: &RunReport) -> &'static str {
    match (run.is_as_expected(), run.trial.operation) {
        (true, Operation::Cow | Operation::Ksm) => "as expected; ",
        (true, Operation::Control) => "as expected, since it shows that what is stale is seen; ",
        (false, _) => "",
    }
}

/// What was met and is no run of the scenario; of the control that is what shows that it is one.
fn divergence(run: &RunReport, seen: &str) -> Vec<String> {
    let rows = seen.lines().map(|line| line.trim().to_owned());
    match run.trial.operation {
        Operation::Control => {
            vec!["no run of the right order ends in what was met, as it must be".to_owned()]
        }
        Operation::Cow | Operation::Ksm => {
            std::iter::once("NOT AS EXPECTED: DIVERGENCE".to_owned()).chain(rows).collect()
        }
    }
}
