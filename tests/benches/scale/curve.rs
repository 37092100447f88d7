//! A curve: sizes, what is done at each, and what came of it.
//!
//! Invariant: what is set up at a size is not timed.

use std::fmt::Write;

use serde_json::{Value, json};
use tests_support::measure::fit::{Fit, Law, fit};
use tests_support::measure::round::{ENOUGH, Effort, SAMPLE, Turn, percentile};

/// What is done at one size: set up once, then done as often as asked for.
pub(crate) type Work = Box<dyn FnMut() -> Turn>;

/// A curve that can be drawn.
#[derive(Clone)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// What is done, and what the size counts.
    pub(crate) what: &'static str,
    pub(crate) size: &'static str,
    pub(crate) should_be: Law,
    pub(crate) sizes: &'static [u64],
    /// Those of them that a small run takes.
    pub(crate) small: usize,
    pub(crate) at: fn(u64) -> Work,
}

/// A curve that was drawn: (size, p10, median, p90), in ns an operation.
pub(crate) struct Drawn {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) size: &'static str,
    pub(crate) should_be: Law,
    pub(crate) points: Vec<[f64; 4]>,
}

impl Curve {
    pub(crate) fn draw(&self, effort: Effort, is_small: bool) -> Drawn {
        let sizes = match (effort, is_small) {
            (Effort::Once, _) => &self.sizes[..2],
            (Effort::Measured { .. }, true) => &self.sizes[..self.small],
            (Effort::Measured { .. }, false) => self.sizes,
        };
        let rounds = match effort {
            Effort::Once => 1,
            Effort::Measured { rounds } => rounds,
        };
        let mut works: Vec<Work> = sizes.iter().map(|size| (self.at)(*size)).collect();
        let mut samples = vec![Vec::new(); sizes.len()];
        for _ in 0..rounds {
            for (work, samples) in works.iter_mut().zip(&mut samples) {
                samples.push(sample(work, effort));
            }
        }
        let point = |(size, samples): (&u64, &Vec<f64>)| {
            let [low, middle, high] = [10, 50, 90].map(|percent| percentile(samples, percent));
            #[expect(clippy::cast_precision_loss, reason = "sizes are small or powers of two")]
            let size = *size as f64;
            [size, low, middle, high]
        };
        let points = sizes.iter().zip(&samples).map(point).collect();
        Drawn { name: self.name, what: self.what, size: self.size, should_be: self.should_be, points }
    }
}

/// ns an operation, behind a turn to warm up.
fn sample(work: &mut Work, effort: Effort) -> f64 {
    let warm_up = work();
    let (mut took, mut operations) = (warm_up.took, warm_up.operations);
    if effort != Effort::Once && took < ENOUGH {
        (took, operations) = (std::time::Duration::ZERO, 0);
        while operations < SAMPLE && took < ENOUGH {
            let turn = work();
            took += turn.took;
            operations += turn.operations;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "operations of a sample")]
    let operations = operations as f64;
    took.as_secs_f64() * 1e9 / operations
}

impl Drawn {
    /// The law of the medians.
    pub(crate) fn fit(&self) -> Option<Fit> {
        fit(&self.points.iter().map(|[size, _, median, _]| (*size, *median)).collect::<Vec<_>>())
    }

    pub(crate) fn text(&self, is_noisy: bool) -> String {
        let mut text = format!("{}: {}\n", self.name, self.what);
        for [size, low, median, high] in &self.points {
            let _ = writeln!(text, "  {size:>12} {:<10} {median:>14.1} ns  {low:.1}..{high:.1}", self.size);
        }
        let law = self.fit().map_or_else(
            || "too few points for a law".to_owned(),
            |fit| {
                let Fit { law, distance, power, .. } = fit;
                let verdict = match (is_noisy, law == self.should_be) {
                    (true, _) => "noisy",
                    (false, true) => "as it should be",
                    (false, false) => "NOT AS IT SHOULD BE, or the caches of the processor show",
                };
                format!(
                    "{}, points {distance:.2}x off it, power {power:.2}; should be {}: {verdict}",
                    law.name(),
                    self.should_be.name()
                )
            },
        );
        let _ = writeln!(text, "  {law}");
        text
    }

    pub(crate) fn json(&self) -> Value {
        let fit = self.fit();
        json!({
            "name": self.name,
            "what": self.what,
            "size": self.size,
            "points": self.points.iter().map(|[size, p10, median, p90]| {
                json!({ "size": size, "p10_ns": p10, "median_ns": median, "p90_ns": p90 })
            }).collect::<Vec<_>>(),
            "law": fit.map(|fit| fit.law.name()),
            "distance": fit.map(|fit| fit.distance),
            "power": fit.map(|fit| fit.power),
            "should_be": self.should_be.name(),
        })
    }
}
