//! The lattice as a picture.
//!
//! Invariant: no colour says what no word says; every text has its length told.

use std::collections::HashMap;
use std::fmt::Display;

use super::lattice::{Extent, Lattice, Node};
use super::layout::{EDGE, LINE, Layout, lines};
use crate::layout::{ADVANCE, NOTE_ADVANCE, pixels};
use crate::markup::{Attribute, Markup};

/// The style of the picture by itself.
const STYLE: &str =
    concat!(include_str!("../colours.css"), include_str!("../svg.css"), include_str!("../orders.css"));
/// From line to line of what is told above.
const TOLD: usize = 18;
/// The narrowest picture.
const NARROWEST: usize = 720;

/// The picture with its style.
pub(super) fn svg(lattice: &Lattice) -> String {
    let mut markup = Markup::default();
    picture(&mut markup, lattice, Some(STYLE));
    markup.line();
    markup.into_string()
}

/// The picture in `markup`.
pub(super) fn picture(markup: &mut Markup, lattice: &Lattice, style: Option<&'static str>) {
    let legend = legend(lattice);
    let layout = Layout::new(lattice, EDGE + (legend.len() + 1) * TOLD);
    let told = legend.iter().map(|line| pixels(line.chars().count(), ADVANCE) + 2 * EDGE);
    let width = told.chain([layout.width, NARROWEST]).fold(0, usize::max);
    let view = format!("0 0 {width} {}", layout.height);
    let attributes: [Attribute<'_>; 6] = [
        ("xmlns", &"http://www.w3.org/2000/svg"),
        ("viewBox", &view),
        ("width", &width),
        ("height", &layout.height),
        ("role", &"img"),
        ("aria-labelledby", &"title desc"),
    ];
    markup.element("svg", &attributes, |markup| {
        markup.leaf("title", &[("id", &"title")], &lattice.title);
        let desc = [lattice.told.as_slice(), lattice.needs.as_slice()].concat().join("\n");
        markup.leaf("desc", &[("id", &"desc")], desc);
        if let Some(style) = style {
            markup.element("style", &[], |markup| markup.verbatim(style));
        }
        markup.empty("rect", &[("class", &"paper"), ("width", &width), ("height", &layout.height)]);
        text(markup, EDGE, EDGE + 4, "name", &lattice.title, ADVANCE);
        for (line, number) in legend.iter().zip(1..) {
            text(markup, EDGE, EDGE + 4 + number * TOLD, "remark", line, ADVANCE);
        }
        heads(markup, lattice, &layout);
        edges(markup, lattice, &layout);
        for place in &layout.boxes {
            node(
                markup,
                lattice,
                &layout,
                (place.left, place.top),
                &lattice.groups[place.group].nodes[place.node],
            );
        }
    });
}

fn legend(lattice: &Lattice) -> Vec<String> {
    let mut lines = vec![
        "A box is an order of the steps and all that only exchanges which change no verdict lead to; an edge, an exchange of \
         neighbours."
            .to_owned(),
        "Below each order: for whom it is safe (\u{2713}), broken (\u{2717}), vacuous (\u{2205}), not decided (?). A double \
         frame: safe for all."
            .to_owned(),
    ];
    if lattice.left > 0 {
        lines.push(format!("{} more boxes have no room here; the table has all orders.", lattice.left));
    }
    lines
}

fn heads(markup: &mut Markup, lattice: &Lattice, layout: &Layout) {
    for (group, top) in lattice.groups.iter().zip(&layout.groups) {
        let orders: usize = group.nodes.iter().map(|node| node.orders).sum();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let boxes = group.nodes.len();
        let ends = if boxes == 1 { "" } else { "es" };
        let title = format!("{}: {orders} order{} in {boxes} box{ends}", group.title, plural(orders));
        text(markup, EDGE, top + 22, "name", &title, ADVANCE);
    }
    for layer in &layout.layers {
        text(markup, EDGE, layer.top + LINE, "group", &format!("{} moved", layer.moved), ADVANCE);
    }
}

fn edges(markup: &mut Markup, lattice: &Lattice, layout: &Layout) {
    let number = |place: &super::layout::Box| lattice.groups[place.group].nodes[place.node].number;
    let places: HashMap<usize, (usize, usize)> =
        layout.boxes.iter().map(|place| (number(place), (place.left, place.top))).collect();
    for (one, other) in &lattice.edges {
        let (one, other) = (places[one], places[other]);
        let (upper, lower) = if one.1 <= other.1 { (one, other) } else { (other, one) };
        let path = match upper.1 == lower.1 {
            true => beside(layout, upper, lower),
            false => below(layout, upper, lower),
        };
        markup.empty("path", &[("class", &"exchange"), ("d", &path)]);
    }
}

/// From box to box of a line, in an arc below them.
fn beside(layout: &Layout, one: (usize, usize), other: (usize, usize)) -> String {
    let bottom = one.1 + layout.box_height;
    let middle = |left: usize| left + layout.box_width / 2;
    let low = bottom + 24;
    format!(
        "M{} {bottom}C{} {low} {} {low} {} {bottom}",
        middle(one.0),
        middle(one.0),
        middle(other.0),
        middle(other.0)
    )
}

/// From the bottom of a box to the top of a lower one.
fn below(layout: &Layout, upper: (usize, usize), lower: (usize, usize)) -> String {
    let (from, to) = (upper.0 + layout.box_width / 2, lower.0 + layout.box_width / 2);
    let (bottom, top) = (upper.1 + layout.box_height, lower.1);
    format!("M{from} {bottom}C{from} {} {to} {} {to} {top}", bottom + 18, top.saturating_sub(18))
}

fn node(markup: &mut Markup, lattice: &Lattice, layout: &Layout, (left, top): (usize, usize), node: &Node) {
    let class = match node.extent() {
        Extent::All => "order all",
        Extent::Some => "order some",
    };
    markup.element("g", &[("class", &class)], |markup| {
        markup.leaf("title", &[], super::graph::told(lattice, node));
        let (width, height) = (layout.box_width, layout.box_height);
        let rect = |markup: &mut Markup, inset: usize| {
            let (x, y) = (left + inset, top + inset);
            let (w, h) = (width - 2 * inset, height - 2 * inset);
            markup.empty("rect", &[("x", &x), ("y", &y), ("width", &w), ("height", &h), ("rx", &5)]);
        };
        rect(markup, 0);
        if node.extent() == Extent::All {
            rect(markup, 3);
        }
        for (line, number) in lines(&node.order).iter().zip(1..) {
            text(markup, left + 10, top + number * LINE + 1, "", line, ADVANCE);
        }
        let mut x = left + 10;
        let y = top + height - 9;
        for (user, kind) in lattice.users.iter().zip(&node.verdicts) {
            let word = format!("{user} {}", super::graph::mark(*kind));
            text(markup, x, y, super::graph::class(*kind), &word, NOTE_ADVANCE);
            x += pixels(word.chars().count() + 1, NOTE_ADVANCE);
        }
        if node.orders > 1 {
            text(markup, x, y, "of", &format!("\u{d7}{}", node.orders), NOTE_ADVANCE);
        }
    });
}

fn text(markup: &mut Markup, x: usize, y: usize, class: &'static str, text: &str, advance: usize) {
    let length = pixels(text.chars().count(), advance);
    let attributes: [(&'static str, &dyn Display); 5] = [
        ("x", &x),
        ("y", &y),
        ("class", &class),
        ("textLength", &length),
        ("lengthAdjust", &"spacingAndGlyphs"),
    ];
    markup.leaf("text", &attributes, text);
}
