//! What a run has found, as all formats but text and JSON tell it: files, their scenarios, and what is wrong with each.
//!
//! Invariant: a case has a fault if and only if it makes the exit status other than 0; a report that does not hold all
//! that was asked for says so. Lines and columns count from 1.

use ordering::language::{Code, Diagnostic};

use super::super::files::Source;
use super::super::unfinished::Unfinished;

/// Everything that one call has found.
pub(in super::super) struct Report<'a> {
    /// `check` or `race`.
    pub(in super::super) command: &'static str,
    /// In the order in which they were named.
    pub(in super::super) groups: Vec<Group<'a>>,
    /// Why scenarios are missing; none if all are there.
    pub(in super::super) unfinished: Option<&'a Unfinished>,
}

/// A file.
pub(in super::super) struct Group<'a> {
    /// As it is shown.
    pub(in super::super) file: &'a str,
    pub(in super::super) cases: Vec<Case>,
    pub(in super::super) errors: Vec<Error>,
}

/// A scenario.
pub(in super::super) struct Case {
    pub(in super::super) scenario: String,
    /// Line on which it begins.
    pub(in super::super) line: u32,
    pub(in super::super) verdict: String,
    pub(in super::super) seconds: f64,
    /// None if all is as it should be.
    pub(in super::super) fault: Option<Fault>,
}

/// What is not as it should be.
pub(in super::super) struct Fault {
    pub(in super::super) rule: Rule,
    /// Sentences.
    pub(in super::super) text: Vec<String>,
    /// Where: the row that broke something, or what is expected.
    pub(in super::super) line: u32,
    /// The rows up to it.
    pub(in super::super) flow: Vec<Step>,
    /// The same as a table, for people.
    pub(in super::super) table: Option<String>,
}

/// A row of a counterexample.
pub(in super::super) struct Step {
    pub(in super::super) agent: String,
    pub(in super::super) text: String,
    pub(in super::super) changes: String,
    /// None for hardware that acts by itself.
    pub(in super::super) line: Option<u32>,
}

/// What kind of fault it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) enum Rule {
    /// A property is broken.
    Violated(String),
    /// A violation is expected, and there is none, or another one.
    NotRefuted,
    /// A limit was hit.
    Undecided,
    /// A proof proves nothing.
    Vacuous,
    /// Some statement is taken in no order, or some other one is that should not be.
    Coverage,
    /// Two searches differ.
    Disagreement,
    /// The live machine did what the model does not have.
    Divergence,
    /// A scenario could not run where it was asked to.
    NotRun,
    /// A file cannot be read as a scenario.
    Language(Code),
}

/// What is wrong with a file.
pub(in super::super) struct Error {
    pub(in super::super) rule: Rule,
    /// Line and column of its first letter, and behind its last.
    pub(in super::super) place: [(u32, usize); 2],
    pub(in super::super) message: String,
    pub(in super::super) help: String,
}

impl Report<'_> {
    /// Why it is not all, in a sentence.
    pub(super) fn lack(&self) -> Option<String> {
        self.unfinished.map(|unfinished| format!("not all scenarios are here: {}", unfinished.why))
    }
}

impl Error {
    /// An error of the language.
    pub(in super::super) fn of(source: &Source, diagnostic: &Diagnostic) -> Self {
        Self {
            rule: Rule::Language(diagnostic.code),
            place: [diagnostic.place(&source.text), diagnostic.end(&source.text)],
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        }
    }
}

impl Rule {
    /// The word by which others refer to it.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Violated(property) => format!("violated/{}", slug(property)),
            Self::NotRefuted => "not-refuted".to_owned(),
            Self::Undecided => "undecided".to_owned(),
            Self::Vacuous => "vacuous".to_owned(),
            Self::Coverage => "coverage".to_owned(),
            Self::Disagreement => "disagreement".to_owned(),
            Self::Divergence => "divergence".to_owned(),
            Self::NotRun => "not-run".to_owned(),
            Self::Language(code) => code.to_string(),
        }
    }

    /// What it is, in a sentence.
    pub(super) fn about(&self) -> String {
        match self {
            Self::Violated(property) => format!("Some order breaks: {property}"),
            Self::NotRefuted => "No order breaks what is expected to break.".to_owned(),
            Self::Undecided => "A limit was hit before it was decided.".to_owned(),
            Self::Vacuous => "The proof proves nothing: what it speaks of happens in no order.".to_owned(),
            Self::Coverage => "Which statements some order takes is not as the scenario says.".to_owned(),
            Self::Disagreement => "Two searches of one scenario differ.".to_owned(),
            Self::Divergence => "The live machine did what the model does not have.".to_owned(),
            Self::NotRun => "The scenario could not run.".to_owned(),
            Self::Language(code) => code.about().to_owned(),
        }
    }
}

/// By which others refer to a report that is not all.
pub(super) const UNFINISHED: &str = "unfinished";

/// Letters and digits, with single `-` between them.
fn slug(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}
