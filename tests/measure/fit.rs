//! How a time grows with a size: which simple law describes the points best.
//!
//! Invariant: laws are compared by how far the points lie from them as ratios, so that small sizes count like large
//! ones. The law with the smallest distance is told with that distance: a bad fit shows.

/// How a time grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// Not at all.
    Constant,
    /// With the logarithm of the size.
    Logarithmic,
    /// With the size.
    Linear,
    /// With the size and its logarithm.
    LinearLogarithmic,
    /// With its square.
    Quadratic,
}

/// A law, and how well it describes the points.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fit {
    /// The best one.
    pub law: Law,
    /// The time at which the law has 1.
    pub factor: f64,
    /// How far a point lies from the law, as a typical ratio; 1 is on it.
    pub distance: f64,
    /// By which power of the size the time grows: the slope of a straight line through the logarithms.
    pub power: f64,
}

impl Law {
    /// All of them, the simplest first.
    pub const ALL: [Self; 5] =
        [Self::Constant, Self::Logarithmic, Self::Linear, Self::LinearLogarithmic, Self::Quadratic];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Logarithmic => "log n",
            Self::Linear => "linear",
            Self::LinearLogarithmic => "n log n",
            Self::Quadratic => "n^2",
        }
    }

    /// Its value at size `n`, up to a factor.
    #[must_use]
    pub fn at(self, n: f64) -> f64 {
        let logarithm = n.max(2.0).log2();
        match self {
            Self::Constant => 1.0,
            Self::Logarithmic => logarithm,
            Self::Linear => n,
            Self::LinearLogarithmic => n * logarithm,
            Self::Quadratic => n * n,
        }
    }
}

/// The law of (size, time); none of fewer than three points, or of times that are not positive.
#[must_use]
pub fn fit(points: &[(f64, f64)]) -> Option<Fit> {
    if points.len() < 3 || points.iter().any(|(n, time)| *n <= 0.0 || *time <= 0.0) {
        return None;
    }
    let power = slope(points);
    let fits = Law::ALL.map(|law| {
        let offsets: Vec<f64> = points.iter().map(|(n, time)| (time / law.at(*n)).ln()).collect();
        let mean = mean(&offsets);
        let squares: Vec<f64> = offsets.iter().map(|offset| (offset - mean).powi(2)).collect();
        Fit { law, factor: mean.exp(), distance: self::mean(&squares).sqrt().exp(), power }
    });
    fits.into_iter().min_by(|a, b| a.distance.total_cmp(&b.distance))
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let logarithms: Vec<(f64, f64)> = points.iter().map(|(n, time)| (n.ln(), time.ln())).collect();
    let x = mean(&logarithms.iter().map(|(x, _)| *x).collect::<Vec<_>>());
    let y = mean(&logarithms.iter().map(|(_, y)| *y).collect::<Vec<_>>());
    let covariance: f64 = logarithms.iter().map(|(a, b)| (a - x) * (b - y)).sum();
    let variance: f64 = logarithms.iter().map(|(a, _)| (a - x).powi(2)).sum();
    covariance / variance
}

#[expect(clippy::cast_precision_loss, reason = "points of a curve")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
