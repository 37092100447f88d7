//! Rounds: in each one every contestant of a row warms up and gives one sample, one after the other.
//!
//! Invariant: a sample is of at least [`SAMPLE`] operations, or of [`ENOUGH`] time where one operation is slow. Its
//! contestant has done all of it once, uncounted, right before, unless once takes a second. All contestants of a row
//! return the same checksum.

use std::time::{Duration, Instant};

use super::noise::MOST_SPREAD;
use super::target::Held;

/// Operations of a sample.
pub const SAMPLE: u64 = 100_000;
/// Who takes so long for a turn has warmed up in it: it is the sample.
const LONG: Duration = Duration::from_secs(1);
/// A sample of slow operations ends after so long.
pub const ENOUGH: Duration = Duration::from_millis(40);
/// Rounds, if nobody asks for another number.
pub const ROUNDS: usize = 15;

/// Whether times are wanted, or only that everybody finds the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// So many rounds of whole samples.
    Measured {
        /// Rounds.
        rounds: usize,
    },
    /// Each once, as small as it goes.
    Once,
}

/// What one turn did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Turn {
    /// How long it took.
    pub took: Duration,
    /// How many operations that were.
    pub operations: u64,
    /// What they found, to be compared with the others'.
    pub checksum: u64,
}

/// A turn of a contestant.
pub type Work<'a> = Box<dyn FnMut() -> Turn + 'a>;

/// Somebody who does the row's work.
pub struct Contestant<'a> {
    /// Its name.
    pub name: String,
    work: Work<'a>,
}

/// A row: ours, and others who do the same.
pub struct Row<'a> {
    what: String,
    unit: Unit,
    contestants: Vec<Contestant<'a>>,
    /// Of each comparison: the other's place, or none for ours alone.
    held: Vec<(Option<usize>, Held)>,
}

/// In what a row is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Nanoseconds an operation.
    Nanoseconds,
    /// Milliseconds an operation.
    Milliseconds,
}

/// The samples of one contestant, in its row's unit, in the order of the rounds.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// Whose.
    pub name: String,
    /// One a round.
    pub samples: Vec<f64>,
}

/// A row that was measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// What was done.
    pub what: String,
    /// In what it is told.
    pub unit: Unit,
    /// Ours first.
    pub series: Vec<Series>,
    /// As in [`Row`].
    pub held: Vec<(Option<usize>, Held)>,
}

impl Effort {
    /// `whole` where times are wanted, else `tiny`.
    #[must_use]
    pub const fn pick<T: Copy>(self, whole: T, tiny: T) -> T {
        match self {
            Self::Measured { .. } => whole,
            Self::Once => tiny,
        }
    }
}

impl Unit {
    /// Its sign.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Milliseconds => "ms",
        }
    }

    fn of(self, took: Duration, operations: f64) -> f64 {
        let scale = match self {
            Self::Nanoseconds => 1e9,
            Self::Milliseconds => 1e3,
        };
        took.as_secs_f64() * scale / operations
    }
}

/// A turn of `operations`, which `work` does and sums up.
pub fn turn(operations: usize, work: impl FnOnce() -> u64) -> Turn {
    let began = Instant::now();
    let checksum = std::hint::black_box(work());
    Turn { took: began.elapsed(), operations: operations as u64, checksum }
}

impl<'a> Row<'a> {
    /// A row of ours alone.
    pub fn new(what: impl Into<String>, unit: Unit, ours: impl FnMut() -> Turn + 'a) -> Self {
        let ours = Contestant { name: "ours".to_owned(), work: Box::new(ours) };
        Self { what: what.into(), unit, contestants: vec![ours], held: Vec::new() }
    }

    /// And ours is held to a number of its own.
    #[must_use]
    pub fn at_most(mut self, must: f64, stretch: f64) -> Self {
        self.held.push((None, Held::AtMost { must, stretch }));
        self
    }

    /// And somebody else does it, to whom ours is held.
    #[must_use]
    pub fn against(mut self, name: &str, held: Held, work: impl FnMut() -> Turn + 'a) -> Self {
        self.held.push((Some(self.contestants.len()), held));
        self.contestants.push(Contestant { name: name.to_owned(), work: Box::new(work) });
        self
    }

    /// Lets everybody have his turns.
    ///
    /// # Panics
    /// If two contestants find something else: then one of them does not do the work.
    #[must_use]
    pub fn run(mut self, effort: Effort) -> Measured {
        let rounds = match effort {
            Effort::Measured { rounds } => rounds,
            Effort::Once => 1,
        };
        let mut samples = vec![Vec::with_capacity(rounds); self.contestants.len()];
        for _ in 0..rounds {
            let mut ours = None;
            for (contestant, samples) in self.contestants.iter_mut().zip(&mut samples) {
                let (sample, found) = contestant.sample(self.unit, effort, &self.what);
                let ours = *ours.get_or_insert(found);
                assert_eq!(found, ours, "{}: {} finds something else than ours", self.what, contestant.name);
                samples.push(sample);
            }
        }
        let series = self.contestants.into_iter().zip(samples);
        let series = series.map(|(contestant, samples)| Series { name: contestant.name, samples }).collect();
        Measured { what: self.what, unit: self.unit, series, held: self.held }
    }
}

impl Contestant<'_> {
    /// One sample, and what it found: a turn to warm up, then turns until it is long enough, which all find the same.
    fn sample(&mut self, unit: Unit, effort: Effort, what: &str) -> (f64, u64) {
        let warm_up = (self.work)();
        let (mut took, mut operations) = (Duration::ZERO, 0);
        if warm_up.took >= LONG {
            return (unit.of(warm_up.took, as_f64(warm_up.operations)), warm_up.checksum);
        }
        loop {
            let turn = (self.work)();
            assert_eq!(turn.checksum, warm_up.checksum, "{what}: {} finds now this, now that", self.name);
            took += turn.took;
            operations += turn.operations;
            if effort == Effort::Once || operations >= SAMPLE || took >= ENOUGH {
                return (unit.of(took, as_f64(operations)), warm_up.checksum);
            }
        }
    }
}

impl Series {
    /// The sample below which `percent` of them lie.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.samples, percent)
    }

    /// p90 / p10.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.percentile(90) / self.percentile(10)
    }

    /// Whether its samples differ too much.
    #[must_use]
    pub fn is_noisy(&self) -> bool {
        self.spread() > MOST_SPREAD
    }
}

impl Measured {
    /// The median of the rounds' ratios, as `held` counts them: so a machine that drifts from round to round does not
    /// show.
    #[must_use]
    pub fn ratio(&self, other: Option<usize>, held: Held) -> f64 {
        let ours = &self.series[0].samples;
        let theirs = other.map_or(ours, |other| &self.series[other].samples);
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| held.ratio(*ours, *theirs)).collect();
        percentile(&ratios, 50)
    }
}

#[expect(clippy::cast_precision_loss, reason = "operations of one sample")]
fn as_f64(operations: u64) -> f64 {
    operations as f64
}

/// Of samples in any order; 0 of none.
#[must_use]
pub fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}
