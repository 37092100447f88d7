//! How costs grow: a curve for each size that users choose, with the law that describes it best.
//!
//! Invariant: the points of a curve take turns in each round, so that a machine that drifts does not bend it. What a
//! curve should be is written beside it; whether it is, is said of quiet runs only. Not told to measure, the smallest
//! sizes are run once.
//! Source: docs/performance.md.
//!
//! Run: `cargo bench -p afterimage-tests --bench scale [-- CURVE…] [--rounds N] [--small] [--json FILE] [--plots
//! FOLDER]`.

mod curve;
mod curves {
    pub(crate) mod explorer;
    pub(crate) mod iotlb;
    pub(crate) mod spaces;
}
mod plot;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use tests_support::measure::noise::{Noise, Ticks, others_now};
use tests_support::measure::round::Effort;

use self::curve::{Curve, Drawn};

type Failure = Box<dyn std::error::Error>;

/// Rounds, if nobody asks for another number.
const ROUNDS: usize = 7;

/// What is asked for.
struct Options {
    curves: Vec<String>,
    effort: Effort,
    /// Sizes that take a busy machine some seconds.
    is_small: bool,
    json: Option<PathBuf>,
    plots: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options(env::args().skip(1)).map_err(Failure::from).and_then(|options| measure(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options =
        Options { curves: Vec::new(), effort: Effort::Once, is_small: false, json: None, plots: None };
    let (mut rounds, mut is_measured) = (ROUNDS, false);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value behind it"));
        match word.as_str() {
            "--bench" => is_measured = true,
            "--small" => options.is_small = true,
            "--json" => options.json = Some(value()?.into()),
            "--plots" => options.plots = Some(value()?.into()),
            "--rounds" => {
                let number = value()?;
                rounds = number.parse().map_err(|_| format!("--rounds {number}: give a number"))?;
            }
            _ => options.curves.push(word),
        }
    }
    if is_measured {
        options.effort = Effort::Measured { rounds };
    }
    Ok(options)
}

/// All of them.
fn all() -> Vec<Curve> {
    [curves::iotlb::curves(), curves::spaces::curves(), curves::explorer::curves()].concat()
}

fn measure(options: &Options) -> Result<(), Failure> {
    let known = all();
    if let Some(word) = options.curves.iter().find(|word| known.iter().all(|curve| curve.name != **word)) {
        let names: Vec<_> = known.iter().map(|curve| curve.name).collect();
        return Err(format!("{word} is no curve; curves are {}", names.join(", ")).into());
    }
    let is_wanted =
        |curve: &&Curve| options.curves.is_empty() || options.curves.iter().any(|word| *word == curve.name);
    let is_measured = options.effort != Effort::Once;
    let before = if is_measured { others_now() } else { 0.0 };
    let began = Ticks::now();
    let drawn: Vec<Drawn> =
        known.iter().filter(is_wanted).map(|curve| curve.draw(options.effort, options.is_small)).collect();
    if !is_measured {
        return Ok(writeln!(io::stdout(), "scale: {} curves, nothing measured", drawn.len())?);
    }
    let during = began.and_then(|began| Ticks::now()?.others_since(began)).unwrap_or(1.0);
    let noise = Noise { before, during, after: others_now() };
    for curve in &drawn {
        io::stdout().write_all(curve.text(noise.is_too_much()).as_bytes())?;
    }
    if noise.is_too_much() {
        writeln!(
            io::stdout(),
            "The machine was too noisy to say which law holds: others had {:.0} % of it.",
            during * 100.0
        )?;
    }
    if let Some(file) = &options.json {
        let curves: Vec<_> = drawn.iter().map(Drawn::json).collect();
        fs::write(file, format!("{:#}\n", json!({ "too_noisy": noise.is_too_much(), "curves": curves })))?;
    }
    if let Some(folder) = &options.plots {
        fs::create_dir_all(folder)?;
        for curve in &drawn {
            fs::write(folder.join(format!("scale-{}.svg", curve.name)), plot::svg(curve))?;
        }
    }
    Ok(())
}
