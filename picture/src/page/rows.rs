//! The rows of a run as a table, with what is held behind each; and sentences that lead to rows.
//!
//! Invariant: what the picture shows of a row stands here in words.

use crate::markup::Markup;
use crate::report::Report;
use crate::timeline::{Kind, Part, Row, Timeline};

/// The table; `line` knows the address of a line of the source.
pub(super) fn table(markup: &mut Markup, index: usize, run: &Timeline, line: &dyn Fn(u32) -> Option<String>) {
    markup.element("div", &[("class", &"rows")], |markup| {
        markup.element("table", &[], |markup| {
            markup.leaf("caption", &[], "The same rows, one after the other");
            markup.element("thead", &[], |markup| {
                markup.element("tr", &[], |markup| {
                    for name in ["row", "who", "step", "changes", "held behind it", "line"] {
                        markup.leaf("th", &[("scope", &"col")], name);
                    }
                });
            });
            markup.element("tbody", &[], |markup| {
                for (row, number) in run.rows.iter().zip(1..) {
                    remark(markup, run, number);
                    self::row(markup, index, run, row, number, line);
                }
            });
        });
    });
}

/// What stands above a row that begins another part of the run.
fn remark(markup: &mut Markup, run: &Timeline, number: usize) {
    let before = number.checked_sub(2).map_or(Part::Run, |before| run.rows[before].part);
    let part = run.rows[number - 1].part;
    let text = match part {
        Part::Run => return,
        Part::Lead => "From here on, whatever is done, not all can end; a way to go on for ever:",
        Part::Cycle => "Again and again:",
    };
    if part != before {
        markup.element("tr", &[("class", &"part")], |markup| {
            markup.leaf("th", &[("colspan", &6), ("scope", &"colgroup")], text);
        });
    }
}

fn row(
    markup: &mut Markup,
    index: usize,
    run: &Timeline,
    row: &Row,
    number: usize,
    line: &dyn Fn(u32) -> Option<String>,
) {
    let id = id(index, number);
    let class = if run.breaks() == Some(number) { "broken" } else { "" };
    markup.element("tr", &[("id", &id), ("class", &class), ("data-row", &number)], |markup| {
        let own = format!("#{id}");
        markup.element("td", &[], |markup| markup.leaf("a", &[("href", &own)], number));
        markup.leaf("td", &[], &run.agents[row.agent].name);
        markup.leaf("td", &[("class", &"step")], &row.text);
        markup.leaf("td", &[("class", &"changes")], row.changes.join("; "));
        markup.element("td", &[("class", &"held")], |markup| held(markup, run, number));
        markup.element("td", &[], |markup| match row.line.map(|number| (number, line(number))) {
            Some((number, Some(address))) => markup.leaf("a", &[("href", &address)], number),
            Some((number, None)) => markup.text(number),
            None => {}
        });
    });
    markup.line();
}

/// The translations that caches hold behind a row.
fn held(markup: &mut Markup, run: &Timeline, number: usize) {
    let caches = run.held(number).filter(|(lane, _)| lane.kind != Kind::Table);
    for ((lane, segment), index) in caches.zip(0..) {
        markup.text(if index == 0 { "" } else { "; " });
        markup.text(format_args!("{} = {}", lane.name, segment.holds));
        if segment.stale {
            markup.leaf("b", &[], " stale");
        }
    }
}

fn id(index: usize, number: usize) -> String {
    format!("s{index}-r{number}")
}

/// A sentence in which every `row N` leads to that row.
pub(super) fn with_links(markup: &mut Markup, index: usize, text: &str, report: &Report) {
    let rows = report.run.as_ref().map_or(0, |run| run.rows.len());
    let mut rest = text;
    while let Some(at) = rest.find("row ") {
        let behind = &rest[at + 4..];
        let digits = behind.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(behind.len());
        let whole = !rest[..at].ends_with(|letter: char| letter.is_alphanumeric());
        let number = behind[..digits].parse().ok().filter(|number| whole && (1..=rows).contains(number));
        let end = at + 4 + digits;
        match number {
            Some(number) => {
                markup.text(&rest[..at]);
                let address = format!("#{}", id(index, number));
                markup.leaf("a", &[("href", &address)], &rest[at..end]);
            }
            None => markup.text(&rest[..end]),
        }
        rest = &rest[end..];
    }
    markup.text(rest);
}
