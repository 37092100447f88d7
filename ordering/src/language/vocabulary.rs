//! The words of the language, by what they are: for whoever colours or completes them.
//!
//! Invariant: every word is taken from the table that the parser reads; there is no list here but of control.

use steps::entry::{Bit, Feature};
use steps::table::{LOOKS, SAME, words};

use super::parser::{Keyword, OPTIONS};

/// What opens an alternative, and what rows are written out by: no words that a statement begins with.
const AROUND: [&str; 2] = ["else", "for"];

/// All words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vocabulary {
    /// What a line at the left margin begins with.
    pub keywords: Vec<&'static str>,
    /// What a statement begins with: steps, operations and control.
    pub statements: Vec<&'static str>,
    /// What conditions ask.
    pub looks: Vec<&'static str>,
    /// What an entry can have, and how it is written.
    pub features: Vec<&'static str>,
    /// Assumptions.
    pub options: Vec<&'static str>,
}

/// All words, each list sorted, no word twice in one.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let looks = LOOKS.iter().filter_map(|(form, _)| form.split([' ', '(']).next());
    let entries = Bit::ALL.into_iter().map(Bit::name).chain(Feature::words()).chain(["ro"]);
    Vocabulary {
        keywords: sorted(Keyword::words()),
        statements: sorted(words().into_iter().chain(AROUND)),
        looks: sorted(looks.chain(SAME.iter().copied())),
        features: sorted(entries),
        options: sorted(OPTIONS.iter().map(|(name, ..)| *name)),
    }
}

fn sorted(words: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    let mut all: Vec<&str> = words.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    all
}
