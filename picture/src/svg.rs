//! A run as a picture: who does what on the left, who holds what on the right, why it breaks beside it.
//!
//! Invariant: every text has its length told, so that a font can neither widen it over its neighbour nor out of the
//! picture; what had no room stands in a title. Colours are those of the style sheet, light or dark, and no colour says
//! what no word says.

mod label;
mod lanes;
mod steps;

use self::label::{Label, label, label_in};
use crate::layout::{self, ADVANCE, HEAD, Layout, NOTE_ADVANCE, NOTE_LINE};
use crate::markup::Markup;
use crate::report::Report;
use crate::timeline::Timeline;

/// The style of a picture.
pub(crate) const STYLE: &str = concat!(include_str!("colours.css"), include_str!("svg.css"));

/// Room between two pictures, for a name.
const BETWEEN: usize = 40;
/// The narrowest picture: its name must have room.
const NARROWEST: usize = 560;

/// One picture with the runs of all reports, one below the other.
#[must_use]
pub fn svg(reports: &[Report]) -> String {
    let placed: Vec<_> = reports
        .iter()
        .map(|report| (report, report.run.as_ref().map(|run| (run, Layout::new(run)))))
        .collect();
    let widths = placed.iter().filter_map(|(_, run)| Some(run.as_ref()?.1.width));
    let width = widths.fold(NARROWEST, usize::max);
    let tall = |run: &Option<(&Timeline, Layout)>| run.as_ref().map_or(0, |(_, layout)| HEAD + layout.height);
    let height: usize = placed.iter().map(|(_, run)| BETWEEN + tall(run)).sum();
    let mut markup = Markup::default();
    let view = format!("0 0 {width} {height}");
    let attributes: [(&str, &dyn std::fmt::Display); 6] = [
        ("xmlns", &"http://www.w3.org/2000/svg"),
        ("viewBox", &view),
        ("width", &width),
        ("height", &height),
        ("role", &"img"),
        ("aria-labelledby", &"title desc"),
    ];
    markup.element("svg", &attributes, |markup| {
        let names: Vec<String> = reports.iter().map(heading).collect();
        markup.leaf("title", &[("id", &"title")], names.join("; "));
        let told: Vec<String> = reports.iter().map(told).collect();
        markup.leaf("desc", &[("id", &"desc")], told.join("\n\n"));
        markup.element("style", &[], |markup| markup.verbatim(STYLE));
        markup.empty("rect", &[("class", &"paper"), ("width", &width), ("height", &height)]);
        let mut top = 0;
        for (report, run) in &placed {
            let name = heading(report);
            let most = (width - 24) * 10 / ADVANCE;
            label(markup, &Label { x: 12, y: top + 26, class: "name", text: &name, most });
            if let Some((run, layout)) = run {
                moved(markup, top + BETWEEN, |markup| head(markup, run, layout));
                moved(markup, top + BETWEEN + HEAD, |markup| body(markup, run, layout));
            }
            top += BETWEEN + tall(run);
        }
    });
    markup.line();
    markup.into_string()
}

/// A scenario's name with its verdict.
fn heading(report: &Report) -> String {
    let without = if report.run.is_some() { "" } else { " (no run to show)" };
    format!("{}: {} {}", report.name, report.verdict, report.detail).trim_end().to_owned() + without
}

/// A run in words, a line each row, for whoever does not see it.
pub(crate) fn told(report: &Report) -> String {
    let mut lines = vec![heading(report)];
    for (run, number) in report.run.iter().flat_map(|run| run.rows.iter().map(move |row| (run, row))).zip(1..)
    {
        let (run, row) = run;
        let changes =
            if row.changes.is_empty() { String::new() } else { format!(" ({})", row.changes.join("; ")) };
        lines.push(format!("row {number}: {}: {}{changes}", run.agents[row.agent].name, row.text));
    }
    lines.extend(report.run.iter().flat_map(|run| run.why.iter().cloned()));
    lines.join("\n")
}

fn moved(markup: &mut Markup, y: usize, inside: impl FnOnce(&mut Markup)) {
    let transform = format!("translate(0 {y})");
    markup.element("g", &[("transform", &transform)], inside);
}

/// The names of columns and lanes, [`HEAD`] high.
pub(crate) fn head(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    steps::names(markup, run, layout);
    lanes::names(markup, run, layout);
    let line = HEAD - 1;
    markup.empty(
        "line",
        &[("class", &"rule"), ("x1", &0), ("x2", &layout.width), ("y1", &line), ("y2", &line)],
    );
}

/// What stands below the names.
pub(crate) fn body(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    steps::bands(markup, run, layout);
    lanes::lanes(markup, run, layout);
    steps::arrows(markup, run, layout);
    steps::steps(markup, run, layout);
    lanes::marks(markup, run, layout);
    notes(markup, layout);
    markup.empty(
        "line",
        &[("class", &"cursor"), ("x1", &0), ("x2", &layout.notes_left), ("y1", &0), ("y2", &0)],
    );
}

fn notes(markup: &mut Markup, layout: &Layout) {
    for note in &layout.notes {
        let (top, height) = (note.top, note.lines.len() * NOTE_LINE + 2);
        markup.element("g", &[("class", &note.class), ("data-row", &note.row)], |markup| {
            let left = layout.notes_left;
            markup.empty("rect", &[("x", &left), ("y", &top), ("width", &3), ("height", &height)]);
            for (line, number) in note.lines.iter().zip(1..) {
                let y = top + number * NOTE_LINE - 3;
                let label = Label { x: left + 10, y, class: "", text: line, most: layout::NOTE_LETTERS };
                label_in(markup, &label, NOTE_ADVANCE);
            }
        });
    }
}
