//! Every row's form, filled in, is read and shown again as it was.
//!
//! Invariant: the forms are taken from the table, so a new row is looked at, too.

use std::collections::VecDeque;
use std::mem;

use super::{Reader, read};
use crate::entry::{Bit, Change};
use crate::names::Names;
use crate::table::{STEPS, find};

/// Every place is a word.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Words;

impl Names for Words {
    type Page = String;
    type Frame = String;
    type Pmd = String;
    type Mm = String;
    type MmOrNone = String;
    type Pasid = String;
    type Tag = String;
    type User = String;
    type Lock = String;
    type Handle = String;
    type Label = String;
    type Entry = String;
    type Value = String;
}

/// The words of a step, each of which is taken once.
struct Text(VecDeque<String>);

impl Text {
    fn is(&mut self, expected: &str) -> Result<String, String> {
        match self.0.pop_front() {
            Some(word) if word == expected => Ok(word),
            other => Err(format!("{other:?} where {expected} belongs")),
        }
    }
}

impl Reader<Words> for Text {
    type Error = String;

    fn page(&mut self) -> Result<String, String> {
        self.is("PAGE")
    }
    fn frame(&mut self) -> Result<String, String> {
        self.is("FRAME")
    }
    fn pmd(&mut self) -> Result<String, String> {
        self.is("PMD")
    }
    fn mm(&mut self) -> Result<String, String> {
        self.is("MM")
    }
    fn mm_or_none(&mut self) -> Result<String, String> {
        self.is("MM")
    }
    fn pasid(&mut self) -> Result<String, String> {
        self.is("PASID")
    }
    fn tag(&mut self) -> Result<String, String> {
        self.is("TAG")
    }
    fn user(&mut self) -> Result<String, String> {
        self.is("USER")
    }
    fn lock(&mut self) -> Result<String, String> {
        self.is("LOCK")
    }
    fn handle(&mut self) -> Result<String, String> {
        self.is("HANDLE")
    }
    fn label(&mut self) -> Result<String, String> {
        self.is("LABEL")
    }
    fn entry(&mut self) -> Result<String, String> {
        self.is("ENTRY")
    }
    fn value(&mut self) -> Result<String, String> {
        self.is("VALUE")
    }
    fn bits(&mut self) -> Result<Change, String> {
        self.is("dirty").map(|_| Change::default().say(Bit::Dirty, true))
    }
    fn sign(&mut self, sign: &'static str) -> Result<(), String> {
        self.is(sign).map(drop)
    }
    fn flag(&mut self, word: &'static str) -> bool {
        let is_next = self.0.front().is_some_and(|next| next == word);
        is_next && self.0.pop_front().is_some()
    }
}

/// The form with each choice of what may be left out.
fn texts(form: &str) -> Vec<String> {
    let (verb, places) = form.split_once(' ').unwrap_or((form, ""));
    let mut found = vec![verb.to_owned()];
    for word in places.split(' ').filter(|word| !word.is_empty()) {
        let optional = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
        let words: &[&str] = match optional.unwrap_or(word) {
            "BITS" => &["dirty"],
            "CPUS" => &["own", "others", "on USER"],
            "TO" => &["to PAGE"],
            "UNDER" => &["tag TAG"],
            "OTHERWISE" => &["else LABEL"],
            "DEV" => &["USER"],
            "CONTEXT" => &["PASID"],
            "DEVICE" | "VCPU" => &["on USER"],
            word => &[word],
        };
        let before = mem::take(&mut found);
        let with = |word: &&str| before.iter().map(|text| format!("{text} {word}")).collect::<Vec<_>>();
        let longer: Vec<_> = words.iter().flat_map(with).collect();
        found = if optional.is_some() { [before.clone(), longer].concat() } else { longer };
    }
    found
}

#[test]
fn every_form_is_read_and_shown_as_it_was() {
    let mut count = 0;
    for row in STEPS {
        for text in texts(row.form) {
            let mut words: VecDeque<String> = text.split(' ').map(str::to_owned).collect();
            let verb = words.pop_front().and_then(|word| find(&word)).expect("the row is there").verb;
            let mut reader = Text(words);
            let step = read(verb, &mut reader).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((step.verb(), step.to_string(), reader.0.len()), (verb, text, 0));
            count += 1;
        }
    }
    assert!(count > STEPS.len());
}
