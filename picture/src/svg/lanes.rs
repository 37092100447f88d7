//! The right of a picture: what each table says and each cache holds, from the row that filled it to the row that emptied
//! it, and since when it is stale.
//!
//! Invariant: what is stale says so in words.

use super::label::short;
use crate::layout::{ADVANCE, Layout, MARKS, WHO_HOLDS, held, pixels};
use crate::markup::Markup;
use crate::timeline::{Kind, Lane, Segment, Timeline};

pub(super) fn names(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    if let Some(first) = layout.lanes.first() {
        short(markup, first.left, 14, "group", WHO_HOLDS);
    }
    for (lane, span) in run.lanes.iter().zip(&layout.lanes) {
        short(markup, span.left, 36, "name", &lane.what);
        short(markup, span.left, 52, "of", &lane.name);
    }
}

pub(super) fn lanes(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    for (lane, span) in run.lanes.iter().zip(&layout.lanes) {
        let x = span.middle();
        markup.empty("line", &[("class", &"life"), ("x1", &x), ("x2", &x), ("y1", &0), ("y2", &layout.end)]);
        for segment in &lane.segments {
            drawn(markup, layout, lane, segment, span.left, span.width);
        }
    }
    if !run.lanes.is_empty() {
        for row in 1..=run.rows.len() {
            let x = layout.lanes_left;
            short(markup, x, layout.y(row) + 4, "number", &row.to_string());
        }
    }
}

fn drawn(markup: &mut Markup, layout: &Layout, lane: &Lane, segment: &Segment, x: usize, width: usize) {
    let top = layout.y(segment.from);
    let bottom = segment.to.map_or(layout.end, |to| layout.y(to));
    let class = match (segment.stale, lane.kind) {
        (true, _) => "held stale",
        (false, Kind::Table) => "held table",
        (false, Kind::Cache) => "held cache",
        (false, Kind::OnTheWay) => "held way",
    };
    markup.element("g", &[("class", &class), ("data-from", &segment.from)], |markup| {
        markup.leaf("title", &[], told(lane, segment));
        let height = bottom - top;
        markup.empty("rect", &[("x", &x), ("y", &top), ("width", &width), ("height", &height), ("rx", &3)]);
        short(markup, x + 5, top + 17, "holds", &held(segment.stale, &segment.holds));
    });
}

/// A segment in a sentence.
fn told(lane: &Lane, segment: &Segment) -> String {
    let Segment { holds, .. } = segment;
    let since = match segment.from {
        0 => "from the start".to_owned(),
        row => format!("from row {row}"),
    };
    let until = segment.to.map_or_else(|| "to the end".to_owned(), |to| format!("to row {to}"));
    let stale = if segment.stale { ", stale: the tables say something else" } else { "" };
    format!("{} ({}) = {holds}, {since} {until}{stale}", lane.what, lane.name)
}

/// Marks at a lane's right: a dot where it is used, a bar where it is emptied.
pub(super) fn marks(markup: &mut Markup, run: &Timeline, layout: &Layout) {
    for (lane, span) in run.lanes.iter().zip(&layout.lanes) {
        let x = span.right() - MARKS / 2;
        for row in &lane.used {
            let y = layout.y(*row);
            let stale = lane.at(row - 1).is_some_and(|segment| segment.stale);
            let class = if stale { "use stale" } else { "use" };
            markup.element("g", &[("class", &class), ("data-row", row)], |markup| {
                markup.leaf("title", &[], format_args!("row {row} uses what {} holds", lane.name));
                markup.empty("circle", &[("cx", &x), ("cy", &y), ("r", &4)]);
            });
        }
        for row in &lane.emptied {
            let (y, left) = (layout.y(*row), span.right() - pixels(2, ADVANCE));
            markup.element("g", &[("class", &"emptied"), ("data-row", row)], |markup| {
                markup.leaf("title", &[], format_args!("row {row} empties {}", lane.name));
                let (right, y) = (span.right(), y - 2);
                markup.empty("rect", &[("x", &left), ("y", &y), ("width", &(right - left)), ("height", &4)]);
            });
        }
    }
}
