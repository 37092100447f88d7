//! What was measured as a table, as JSON, and as a picture of the ratios.
//!
//! Invariant: all three come from the same lines, and a line that is not to be trusted says `noisy` in each.

use std::fmt::Write;

use serde_json::{Value, json};

use super::noise::Noise;
use super::round::{Measured, Series, Unit};
use super::target::{Held, Verdict};

/// Ours against one other, or against a number.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// What was done.
    pub what: String,
    unit: Unit,
    ours: Series,
    other: Option<Series>,
    held: Held,
    /// As `held` counts it.
    pub ratio: f64,
    /// Whether that is enough.
    pub verdict: Verdict,
}

/// Everything of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Line by line.
    pub lines: Vec<Line>,
    /// What others had of the machine.
    pub noise: Noise,
    /// What was left out, and why.
    pub skipped: Vec<String>,
    /// What the machine is.
    pub machine: String,
}

/// Width of the picture, and of what is left of the bars, in pixels.
const WIDTH: f64 = 1100.0;
const LABELS: f64 = 520.0;
const LINE: f64 = 20.0;
/// Decades from ratio 0.1 on.
const DECADES: f64 = 6.0;

impl Line {
    /// The lines of a row: one for each comparison, or one of ours alone.
    #[must_use]
    pub fn of(measured: &Measured, machine_is_noisy: bool) -> Vec<Self> {
        let alone = [(None, Held::Nothing)];
        let held = if measured.held.is_empty() { &alone[..] } else { &measured.held };
        let line = |(other, held): &(Option<usize>, Held)| {
            let (ours, theirs) = (&measured.series[0], other.map(|other| &measured.series[other]));
            let is_noisy = machine_is_noisy || ours.is_noisy() || theirs.is_some_and(Series::is_noisy);
            let ratio = measured.ratio(*other, *held);
            Self {
                what: measured.what.clone(),
                unit: measured.unit,
                ours: ours.clone(),
                other: theirs.cloned(),
                held: *held,
                ratio,
                verdict: held.verdict(ratio, is_noisy),
            }
        };
        held.iter().map(line).collect()
    }

    fn other_name(&self) -> &str {
        self.other.as_ref().map_or("-", |other| &other.name)
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit.sign(),
            "ours": series(&self.ours),
            "other": self.other.as_ref().map(|other| json!({ "name": other.name, "samples": series(other) })),
            "compared": match self.held {
                Held::Faster { .. } | Held::Nothing => "other / ours",
                Held::Within { .. } => "ours / other",
                Held::AtMost { .. } => "ours",
            },
            "ratio": self.ratio,
            "must": self.held.targets().map(|(must, _)| must),
            "stretch": self.held.targets().map(|(_, stretch)| stretch),
            "met": self.verdict.word(),
        })
    }
}

impl Report {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let (before, during, after) = percents(&self.noise);
        let _ = writeln!(out, "{}", self.machine);
        let _ = writeln!(out, "others had {before} of it before, {during} while measuring, {after} after");
        let head =
            ["what", "ours", "p10..p90", "against", "takes", "p10..p90", "ratio", "must", "stretch", "met"];
        let [what, ours, spread, against, takes, others, ratio, must, stretch, met] = head;
        let _ = writeln!(
            out,
            "{what:<38} {ours:>12} {spread:>17} {against:<30} {takes:>12} {others:>17} {ratio:>9} {must:>8} {stretch:>8} {met}"
        );
        for line in &self.lines {
            let (ours, ours_spread) = times(&line.ours, line.unit);
            let (other, other_spread) =
                line.other.as_ref().map_or_else(Default::default, |other| times(other, line.unit));
            let target = |target: Option<f64>| target.map_or_else(|| "-".to_owned(), ratio_text);
            let (must, stretch) =
                line.held.targets().map_or((None, None), |(must, stretch)| (Some(must), Some(stretch)));
            let _ = writeln!(
                out,
                "{:<38} {ours:>12} {ours_spread:>17} {:<30} {other:>12} {other_spread:>17} {:>9} {:>8} {:>8} {}",
                line.what,
                line.other_name(),
                ratio_text(line.ratio),
                target(must),
                target(stretch),
                line.verdict.word()
            );
        }
        for skipped in &self.skipped {
            let _ = writeln!(out, "left out: {skipped}");
        }
        out.push_str(self.conclusion());
        out
    }

    /// The last line: whether anything was too noisy to say.
    fn conclusion(&self) -> &'static str {
        if self.noise.is_too_much() {
            "The machine was too noisy to say what is met: run it again on one that does nothing else.\n"
        } else if self.lines.iter().any(|line| line.verdict == Verdict::Noisy) {
            "Rows called noisy varied too much to say what is met; the others count.\n"
        } else {
            "The machine was quiet.\n"
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "others": { "before": self.noise.before, "during": self.noise.during, "after": self.noise.after },
            "too_noisy": self.noise.is_too_much(),
            "rows": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
            "left_out": self.skipped,
        })
    }

    /// The ratios as bars on a scale of powers of ten, with a mark at each target.
    #[must_use]
    pub fn svg(&self) -> String {
        // Bars of other / ours only: of the rest less is better, and a number in units is no ratio.
        let bars: Vec<_> = self.lines.iter().filter(|line| line.other.is_some()).collect();
        #[expect(clippy::cast_precision_loss, reason = "lines of a table")]
        let height = (bars.len() as f64).mul_add(LINE, 60.0);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<title>Times that others take, of ours</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        for power in 0..=6 {
            let value = 10_f64.powi(power - 1);
            let x = across(value);
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"24\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"{}\"/>\
                 <text x=\"{x:.1}\" y=\"18\" text-anchor=\"middle\">{}x</text>",
                height - 30.0,
                if power == 1 { "#333" } else { "#ddd" },
                ratio_text(value)
            );
        }
        let mut y = 30.0;
        for line in bars {
            bar(&mut out, line, y);
            y += LINE;
        }
        let _ = writeln!(
            out,
            "<text x=\"8\" y=\"{:.1}\">| must, || stretch; a pale bar is noisy; {}</text>\n</svg>",
            height - 10.0,
            escaped(&self.machine)
        );
        out
    }
}

/// One bar with its label and its marks.
fn bar(out: &mut String, line: &Line, y: f64) {
    // Told the same way round in all bars: what the other takes, of ours.
    let is_inverse = matches!(line.held, Held::Within { .. });
    let shown = |ratio: f64| if is_inverse { 1.0 / ratio } else { ratio };
    let (from, to) = (across(1.0), across(shown(line.ratio)));
    let colour = match line.verdict {
        Verdict::Stretch => "#1a7f37",
        Verdict::Must => "#57a773",
        Verdict::Missed => "#c0392b",
        Verdict::Noisy => "#c9c9c9",
        Verdict::Untold => "#6c8ebf",
    };
    let _ = writeln!(
        out,
        "<text x=\"8\" y=\"{:.1}\">{}</text>\
         <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}x {}</text>",
        y + 11.0,
        escaped(&format!("{} / {}", line.what, line.other_name())),
        from.min(to),
        y + 1.0,
        (to - from).abs(),
        from.max(to) + 6.0,
        y + 11.0,
        ratio_text(shown(line.ratio)),
        line.verdict.word()
    );
    if let Some((must, stretch)) = line.held.targets() {
        for (target, width) in [(must, 1.0), (stretch, 2.5)] {
            let x = across(shown(target));
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#000\" stroke-width=\"{width}\"/>",
                y - 1.0,
                y + 15.0
            );
        }
    }
}

/// Where a ratio lies, in pixels from the left.
fn across(ratio: f64) -> f64 {
    let decades = (ratio.max(0.1).log10() + 1.0).min(DECADES);
    (WIDTH - LABELS - 110.0).mul_add(decades / DECADES, LABELS)
}

fn series(series: &Series) -> Value {
    json!({
        "p10": series.percentile(10),
        "median": series.percentile(50),
        "p90": series.percentile(90),
        "fastest": series.percentile(0),
        "samples": series.samples,
    })
}

/// Median, and p10..p90.
fn times(series: &Series, unit: Unit) -> (String, String) {
    let [low, middle, high] = [10, 50, 90].map(|percent| number(series.percentile(percent)));
    (format!("{middle} {}", unit.sign()), format!("{low}..{high}"))
}

fn ratio_text(ratio: f64) -> String {
    number(ratio)
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 || small == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn percents(noise: &Noise) -> (String, String, String) {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    (percent(noise.before), percent(noise.during), percent(noise.after))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
