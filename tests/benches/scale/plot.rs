//! A curve as a picture: both axes in powers of ten, the points with their spread, the law as a line.
//!
//! Invariant: the picture shows what the table shows, and names the law.

use std::fmt::Write;

use crate::curve::Drawn;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 40.0;

/// Logarithms of the corners.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn of(points: &[[f64; 4]]) -> Self {
        let all = |pick: fn(&[f64; 4]) -> f64| points.iter().map(pick).map(f64::log10);
        let (low, high) = (all(|point| point[1]), all(|point| point[3]));
        let least = low.fold(f64::INFINITY, f64::min).floor();
        let most = high.fold(f64::NEG_INFINITY, f64::max).ceil().max(least + 1.0);
        let first = all(|point| point[0]).fold(f64::INFINITY, f64::min);
        let last = all(|point| point[0]).fold(f64::NEG_INFINITY, f64::max).max(first + 0.3);
        Self { x: (first, last), y: (least, most) }
    }

    fn at(&self, size: f64, time: f64) -> (f64, f64) {
        let share = |value: f64, (from, to): (f64, f64)| (value.log10() - from) / (to - from);
        let x = (WIDTH - LEFT - 20.0).mul_add(share(size, self.x), LEFT);
        let y = (HEIGHT - TOP - BOTTOM).mul_add(-share(time, self.y), HEIGHT - BOTTOM);
        (x, y)
    }
}

/// The picture.
pub(crate) fn svg(curve: &Drawn) -> String {
    let frame = Frame::of(&curve.points);
    let fit = curve.fit();
    let law = fit.map_or("", |fit| fit.law.name());
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-weight=\"bold\">{0}</text>\n<text x=\"{1}\" y=\"20\" text-anchor=\"end\">{law}</text>\n",
        curve.what,
        WIDTH - 20.0
    );
    let (mut power, last) = (frame.y.0, frame.y.1);
    while power <= last {
        let time = 10_f64.powf(power);
        let (x, y) = frame.at(10_f64.powf(frame.x.0), time);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{time} ns</text>",
            WIDTH - 20.0,
            x - 6.0,
            y + 4.0
        );
        power += 1.0;
    }
    if let Some(fit) = fit {
        let line: Vec<_> = curve
            .points
            .iter()
            .map(|[size, ..]| frame.at(*size, fit.factor * fit.law.at(*size)))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#6c8ebf\"/>", line.join(" "));
    }
    for [size, low, median, high] in &curve.points {
        let ((x, y), (_, below), (_, above)) =
            (frame.at(*size, *median), frame.at(*size, *low), frame.at(*size, *high));
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{above:.1}\" x2=\"{x:.1}\" y2=\"{below:.1}\" stroke=\"#333\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#1a7f37\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\">{size}</text>",
            HEIGHT - BOTTOM + 16.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n</svg>",
        (WIDTH + LEFT) / 2.0,
        HEIGHT - 12.0,
        curve.size
    );
    out
}
