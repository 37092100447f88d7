//! A scenario, or a run, with what was found of it, as it is shown.
//!
//! Invariant: what is shown was found: words and numbers come from whoever explored, replayed or raced the scenario.

use crate::timeline::Timeline;

/// A scenario, or a run of something else, and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Where it stands, if that is a file.
    pub place: Option<Place>,
    /// What it shows, in a sentence.
    pub about: Option<String>,
    /// Where it is told.
    pub source: Option<String>,
    /// The scenario whose text it takes over.
    pub like: Option<String>,
    /// The answer in a word, such as `PROVED`.
    pub verdict: String,
    /// What that means for whoever reads it.
    pub tone: Tone,
    /// What else there is to say in the same line, such as `in 9 steps`.
    pub detail: String,
    /// Numbers, each with its name.
    pub counts: Vec<(String, String)>,
    /// What a proof leaves open, and what is not as expected, a sentence each.
    pub remarks: Vec<String>,
    /// What its run is, such as `The shortest counterexample`.
    pub title: String,
    /// A run, if there is one to be shown.
    pub run: Option<Timeline>,
}

/// Where a scenario stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file, as it is shown.
    pub file: String,
    /// The line on which it begins, 1-based.
    pub line: u32,
}

/// How a verdict is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Nothing can go wrong.
    Good,
    /// Something goes wrong.
    Bad,
    /// It is not known.
    Open,
}

impl Tone {
    /// Its word in the style sheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Open => "open",
        }
    }
}

/// A scenario file, to be shown with its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Its name, as in [`Place::file`].
    pub file: String,
    /// What it says.
    pub text: String,
}
