//! Curves: a small picture for each of many, all with the same axes, so that they can be compared by eye.
//!
//! Invariant: whoever sees no colours tells the curves apart by their marks, which stand beside each other where numbers are
//! the same; the numbers stand in titles. The axis upwards is
//! logarithmic, with 0 at its foot; along the other axis values stand evenly, as they are given.

use std::fmt::Display;

use crate::layout::{ADVANCE, pixels};
use crate::markup::Markup;

/// The style of a plot.
const STYLE: &str = concat!(include_str!("colours.css"), include_str!("svg.css"), include_str!("plot.css"));

/// Small pictures side by side.
const ACROSS: usize = 3;
/// A small picture, and within it what its curves have.
const WIDE: f64 = 330.0;
const TALL: f64 = 190.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 34.0;
const ROOM_X: f64 = 256.0;
const ROOM_Y: f64 = 112.0;
/// From mark to mark of the same value along.
const ASIDE: f64 = 8.0;
/// Above all of them, for the title and the legend.
const HEAD: f64 = 62.0;

/// What is drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    /// What all of it shows.
    pub title: String,
    /// What is counted upwards.
    pub upwards: String,
    /// What stands below, and its values.
    pub along: String,
    /// The values along.
    pub values: Vec<String>,
    /// The names of the curves, the same ones in each small picture.
    pub curves: Vec<String>,
    /// The small pictures.
    pub panels: Vec<Panel>,
}

/// A small picture.
#[derive(Clone, PartialEq, Debug)]
pub struct Panel {
    /// Its name.
    pub name: String,
    /// For each curve, what it is at each value along.
    pub curves: Vec<Vec<f64>>,
}

impl Plot {
    /// The plot as a file.
    #[must_use]
    pub fn svg(&self) -> String {
        let down = self.panels.len().div_ceil(ACROSS);
        let (width, height) = (ACROSS as f64 * WIDE, HEAD + down as f64 * TALL);
        let view = format!("0 0 {width} {height}");
        let attributes: [(&str, &dyn Display); 6] = [
            ("xmlns", &"http://www.w3.org/2000/svg"),
            ("viewBox", &view),
            ("width", &width),
            ("height", &height),
            ("role", &"img"),
            ("aria-labelledby", &"title"),
        ];
        let mut markup = Markup::default();
        markup.element("svg", &attributes, |markup| {
            markup.leaf("title", &[("id", &"title")], &self.title);
            markup.element("style", &[], |markup| markup.verbatim(STYLE));
            markup.empty("rect", &[("class", &"paper"), ("width", &"100%"), ("height", &"100%")]);
            text(markup, 12.0, 22.0, "name", &self.title);
            self.legend(markup);
            for (index, panel) in self.panels.iter().enumerate() {
                let (column, row) = (index % ACROSS, index / ACROSS);
                let place = format!("translate({} {})", column as f64 * WIDE, HEAD + row as f64 * TALL);
                markup.element("g", &[("transform", &place)], |markup| self.panel(markup, panel));
                markup.line();
            }
        });
        markup.line();
        markup.into_string()
    }

    fn legend(&self, markup: &mut Markup) {
        let mut x = 12.0;
        for (index, name) in self.curves.iter().enumerate() {
            mark(markup, index, x + 5.0, 40.0);
            text(markup, x + 16.0, 44.0, "number", name);
            x += 40.0 + wide(name);
        }
        text(markup, x, 44.0, "number", &format!("upwards: {}; along: {}", self.upwards, self.along));
    }

    fn panel(&self, markup: &mut Markup, panel: &Panel) {
        let most = self.most();
        text(markup, LEFT, 18.0, "name", &panel.name);
        for (label, part) in marks_upwards(most) {
            let y = TOP + ROOM_Y * (1.0 - part);
            let (right, x) = (LEFT + ROOM_X, LEFT - 8.0 - wide(&label));
            let line: [(&str, &dyn Display); 5] =
                [("class", &"rule"), ("x1", &LEFT), ("x2", &right), ("y1", &y), ("y2", &y)];
            markup.empty("line", &line);
            text(markup, x, y + 4.0, "number", &label);
        }
        for (index, value) in self.values.iter().enumerate() {
            let x = self.x(index);
            text(markup, x - wide(value) / 2.0, TOP + ROOM_Y + 18.0, "number", value);
        }
        for (index, (curve, name)) in panel.curves.iter().zip(&self.curves).enumerate() {
            self.curve(markup, index, curve, name, most);
        }
    }

    fn curve(&self, markup: &mut Markup, index: usize, curve: &[f64], name: &str, most: f64) {
        let points: Vec<(f64, f64)> = curve
            .iter()
            .enumerate()
            .map(|(at, value)| (self.x(at) + self.aside(index), TOP + ROOM_Y * (1.0 - part(*value, most))))
            .collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let class = format!("curve {}", class(index));
        markup.element("g", &[("class", &class)], |markup| {
            markup.empty("polyline", &[("points", &line.join(" "))]);
            for ((x, y), (value, along)) in points.iter().zip(curve.iter().zip(&self.values)) {
                markup.element("g", &[], |markup| {
                    markup.leaf("title", &[], format_args!("{name}, {along}: {value:.0}"));
                    shape(markup, index, *x, *y);
                });
            }
        });
    }

    /// The largest number.
    fn most(&self) -> f64 {
        self.panels.iter().flat_map(|panel| panel.curves.iter().flatten()).copied().fold(1.0, f64::max)
    }

    /// How far a curve's marks stand beside those of the middle one.
    fn aside(&self, index: usize) -> f64 {
        (index as f64 - (self.curves.len().saturating_sub(1)) as f64 / 2.0) * ASIDE
    }

    fn x(&self, index: usize) -> f64 {
        let steps = self.values.len().saturating_sub(1).max(1) as f64;
        LEFT + 10.0 + (ROOM_X - 20.0) * index as f64 / steps
    }
}

/// How far up a number stands, from 0 to 1.
fn part(value: f64, most: f64) -> f64 {
    (value.max(0.0) + 1.0).log10() / (most + 1.0).log10()
}

/// 0, and powers of ten, or each second one, that stand clear of it.
fn marks_upwards(most: f64) -> Vec<(String, f64)> {
    let (first, step) = if most > 1e4 { (1, 2) } else { (0, 1) };
    let powers = (first..).step_by(step).map(|power| 10_f64.powi(power)).take_while(|power| *power <= most);
    let shown = |value: f64| if value < 1e4 { format!("{value:.0}") } else { format!("{value:.0e}") };
    std::iter::once(0.0).chain(powers).map(|value| (shown(value), part(value, most))).collect()
}

fn wide(text: &str) -> f64 {
    pixels(text.chars().count(), ADVANCE) as f64
}

fn text(markup: &mut Markup, x: f64, y: f64, class: &'static str, text: &str) {
    let length = wide(text);
    let attributes: [(&str, &dyn Display); 5] = [
        ("x", &x),
        ("y", &y),
        ("class", &class),
        ("textLength", &length),
        ("lengthAdjust", &"spacingAndGlyphs"),
    ];
    if !text.is_empty() {
        markup.leaf("text", &attributes, text);
    }
}

fn mark(markup: &mut Markup, index: usize, x: f64, y: f64) {
    let class = format!("curve {}", class(index));
    markup.element("g", &[("class", &class)], |markup| shape(markup, index, x, y));
}

/// The mark of a curve: round, square, a corner down, a corner up.
fn shape(markup: &mut Markup, index: usize, x: f64, y: f64) {
    let [foot, head] = if index % 4 == 2 { [-3.5, 4.5] } else { [3.5, -4.5] };
    match index % 4 {
        0 => markup.empty("circle", &[("cx", &x), ("cy", &y), ("r", &3.5)]),
        1 => markup.empty("rect", &[("x", &(x - 3.0)), ("y", &(y - 3.0)), ("width", &6), ("height", &6)]),
        2.. => {
            let points = format!("{},{} {},{} {x},{}", x - 4.5, y + foot, x + 4.5, y + foot, y + head);
            markup.empty("polygon", &[("points", &points)]);
        }
    }
}

fn class(index: usize) -> &'static str {
    match index % 4 {
        0 => "first",
        1 => "second",
        2 => "third",
        3.. => "fourth",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_at_the_foot_and_the_most_at_the_top() {
        assert_eq!(part(0.0, 1e6), 0.0);
        assert!((part(1e6, 1e6) - 1.0).abs() < 1e-9);
        assert!(part(1.0, 1e6) > 0.03, "one is seen");
        let marks = marks_upwards(1e6);
        let named: Vec<&str> = marks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["0", "10", "1000", "1e5"]);
    }
}
