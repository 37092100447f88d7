//! The left of a picture: a column for each agent, its steps, the lines of the source, and the arrows between steps.
//!
//! Invariant: an arrow is drawn below all steps, so that none hides a text; one within a column is an arc beside it.

use super::label::short;
use crate::layout::{self, ARCS, HEAD, Layout, ROW, WHO_DOES, remark};
use crate::markup::Markup;
use crate::timeline::{Arrow, End, Timeline};

/// Half the height of a step.
const HALF: usize = 10;
/// How far before its end an arrow between columns lies level.
const BEND: usize = 6;

pub(super) fn names(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    short(markup, Layout::numbers(), 14, "group", "row");
    for (agent, column) in run.agents.iter().zip(0..) {
        let x = layout.step(column);
        short(markup, x, 14, "group", if column == 0 { WHO_DOES } else { "" });
        short(markup, x, 36, "name", &agent.name);
        let on = agent.on.as_ref().map_or_else(String::new, |on| format!("on {on}"));
        short(markup, x, 52, "of", &on);
    }
}

/// Life lines, and a line through each row, the broken one in its colour.
pub(super) fn bands(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    let last = run.breaks();
    for row in 1..=run.rows.len() {
        let (y, right) = (layout.y(row), layout.notes_left - 10);
        let class = if Some(row) == last { "band broken" } else { "band" };
        let top = y - ROW / 2;
        markup.empty(
            "rect",
            &[("class", &class), ("x", &4), ("y", &top), ("width", &(right - 4)), ("height", &ROW)],
        );
        markup.empty("line", &[("class", &"at"), ("x1", &70), ("x2", &right), ("y1", &y), ("y2", &y)]);
    }
    for column in 0..layout.columns.len() {
        let x = layout.step(column) + 6;
        markup.empty("line", &[("class", &"life"), ("x1", &x), ("x2", &x), ("y1", &0), ("y2", &layout.end)]);
    }
}

/// The steps with their numbers and lines.
pub(super) fn steps(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    let breaks = run.breaks();
    for ((row, number), index) in run.rows.iter().zip(1..).zip(0..) {
        let (y, x) = (layout.y(number), layout.step(row.agent));
        if let Some(remark) = remark(&run.rows, index) {
            short(markup, layout.columns[0].left, y - ROW / 2 - 5, "remark", remark);
        }
        let class = match (breaks == Some(number), is_change(run, number)) {
            (true, _) => "row broken",
            (false, true) => "row change",
            (false, false) => "row",
        };
        markup.element("g", &[("class", &class), ("data-row", &number), ("data-y", &y)], |markup| {
            let name = &run.agents[row.agent].name;
            let changes = if row.changes.is_empty() {
                String::new()
            } else {
                format!(" — {}", row.changes.join("; "))
            };
            markup.leaf("title", &[], format_args!("row {number}: {name}: {}{changes}", row.text));
            short(markup, Layout::numbers(), y + 4, "number", &number.to_string());
            let line = row.line.map_or_else(String::new, |line| format!(":{line}"));
            short(markup, Layout::numbers() + 22, y + 4, "source", &line);
            let (top, width) = (y - HALF, layout::width(&row.text) + 12);
            markup.empty(
                "rect",
                &[("x", &x), ("y", &top), ("width", &width), ("height", &(2 * HALF)), ("rx", &4)],
            );
            short(markup, x + 6, y + 4, "step", &row.text);
        });
    }
}

/// Whether the row changes what an arrow begins at.
fn is_change(run: &Timeline, row: usize) -> bool {
    run.arrows.iter().any(|arrow| arrow.from == row)
}

pub(super) fn arrows(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    for arrow in &run.arrows {
        let (class, says) = match arrow.end {
            End::Told => ("arrow told", "tells of"),
            End::Used => ("arrow used", "still relies on what stood there before"),
        };
        let lanes: Vec<&str> = arrow.lanes.iter().map(|lane| run.lanes[*lane].name.as_str()).collect();
        let title = format!("row {} {says} row {}: {}", arrow.to, arrow.from, lanes.join(", "));
        let attributes: [(&str, &dyn std::fmt::Display); 2] = [("class", &class), ("data-row", &arrow.to)];
        markup.element("g", &attributes, |markup| {
            markup.leaf("title", &[], title);
            drawn(markup, run, layout, arrow);
        });
    }
}

fn drawn(markup: &mut Markup, run: &Timeline, layout: &Layout, arrow: &Arrow) {
    let column = |row: usize| run.rows[row - 1].agent;
    let (from, to) = (column(arrow.from), column(arrow.to));
    let (y, end) = (layout.y(arrow.from), layout.y(arrow.to));
    let width = |row: usize| layout::width(&run.rows[row - 1].text) + 12;
    if from == to {
        let x = layout.step(from);
        // Longer arcs go further out.
        let out = x - (10 + 4 * (arrow.to - arrow.from)).min(ARCS - 4);
        let path = format!("M{x} {y}C{out} {y} {out} {end} {} {end}", x - 6);
        markup.empty("path", &[("d", &path)]);
        return head(markup, x, end, Side::Left);
    }
    // The column is left before the arrow goes down, so that it passes behind no step of it.
    let gutter = layout.gutter(from, from > to);
    let (x, near, far, tip, target, side) = if from < to {
        let target = layout.step(to);
        let (x, tip) = (layout.step(from) + width(arrow.from), target - 6);
        (x, gutter - BEND, (gutter + BEND).min(tip), tip, target, Side::Left)
    } else {
        let target = layout.step(to) + width(arrow.to);
        let tip = target + 6;
        (layout.step(from), gutter + BEND, (gutter - BEND).max(tip), tip, target, Side::Right)
    };
    let down = format!("Q{gutter} {y} {gutter} {}V{}Q{gutter} {end} {far} {end}", y + BEND, end - BEND);
    let path = format!("M{x} {y}H{near}{down}H{tip}");
    markup.empty("path", &[("d", &path)]);
    head(markup, target, end, side);
}

/// From where an arrow comes to its end.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn head(markup: &mut Markup, x: usize, y: usize, side: Side) {
    let back = match side {
        Side::Left => x - 8,
        Side::Right => x + 8,
    };
    let points = format!("{x},{y} {back},{} {back},{}", y - 4, y + 4);
    markup.empty("polygon", &[("points", &points)]);
}

/// The names have room.
const _: () = assert!(HEAD > 60);
