//! The words of a draft: names, entries and steps.
//!
//! Invariant: a line keeps each name that it was made of, so that one which is no single word is found.

use std::borrow::Cow;
use std::fmt;

use steps::Names;
use steps::entry::{Bit, Change};

/// A name, such as `"A".into()` or `format!("A{n}").into()`.
pub type Text = Cow<'static, str>;

/// A step of a draft.
pub type Step = steps::Step<Words>;

/// What steps of a draft name: pages, frames and users by their names, locks as they are written (`ptl(A)`), values as numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words;

impl Names for Words {
    type Page = Text;
    type Frame = Text;
    type Pmd = Text;
    type Mm = Text;
    type MmOrNone = Text;
    type Pasid = Text;
    type Tag = Text;
    type User = Text;
    type Lock = Text;
    type Handle = Text;
    type Label = Text;
    type Entry = Entry;
    type Value = u32;
}

/// What an entry is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    frame: Text,
    change: Change,
}

/// A line, and the names in it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    text: String,
    /// The first that is none.
    bad: Option<String>,
}

impl Entry {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { frame: "none".into(), change: Change::default() }
    }

    /// The frame, which may be read and written.
    #[must_use]
    pub fn read_write(frame: impl Into<Text>) -> Self {
        Self { frame: frame.into(), change: Change::default() }.with(Bit::Write, true)
    }

    /// The frame, which may be read.
    #[must_use]
    pub fn read_only(frame: impl Into<Text>) -> Self {
        Self { frame: frame.into(), change: Change::default() }.with(Bit::Write, false)
    }

    /// With a bit, or without it.
    #[must_use]
    pub fn with(self, bit: Bit, is_there: bool) -> Self {
        Self { change: self.change.say(bit, is_there), ..self }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.frame)?;
        if self.change.is_empty() { Ok(()) } else { write!(f, " {}", self.change) }
    }
}

impl Line {
    /// It begins with `word`, which is the language's.
    pub(super) fn of(word: &str) -> Self {
        Self { text: word.to_owned(), bad: None }
    }

    /// Behind it, what is the language's.
    pub(super) fn own(mut self, words: impl AsRef<str>) -> Self {
        self.text.push(' ');
        self.text.push_str(words.as_ref());
        self
    }

    /// Behind it, a name.
    pub(super) fn name(self, name: impl Into<Text>) -> Self {
        let name = name.into();
        let bad = (!is_name(&name)).then(|| name.to_string());
        let mut line = self.own(&name);
        line.bad = line.bad.or(bad);
        line
    }

    pub(super) fn entry(self, entry: Entry) -> Self {
        let line = self.name(entry.frame);
        if entry.change.is_empty() { line } else { line.own(entry.change.to_string()) }
    }

    /// Behind it, a step: what is in it are names, and what its form has between them.
    pub(super) fn step(self, step: &Step) -> Self {
        let text = step.to_string();
        let is_one_line = text.chars().all(|letter| is_of_name(letter) || " ()=>-+,:".contains(letter));
        let bad = (!is_one_line).then(|| text.clone());
        let mut line = self.own(&text);
        line.bad = line.bad.or(bad);
        line
    }

    pub(super) fn line(self, other: Self) -> Self {
        let mut line = self.own(&other.text);
        line.bad = line.bad.or(other.bad);
        line
    }

    /// The first of its names that is none.
    pub(super) fn bad(&self) -> Option<&str> {
        self.bad.as_deref()
    }
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_name)
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-.".contains(letter)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_start())
    }
}
