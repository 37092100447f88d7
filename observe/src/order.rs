//! An order of steps that a kernel was seen to take.
//!
//! Invariant: its rows are in the order in which they were seen; pages are numbered by their first row, without those that
//! were only in a range.

use std::collections::BTreeSet;

use steps::table::Verb;

/// Who took a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Who {
    /// The thread that changes the mapping.
    Operator,
    /// A vCPU that maps the page again.
    Vcpu,
}

/// A step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seen {
    /// Who took it.
    pub who: Who,
    /// What it does, at whatever level.
    pub verb: Verb,
    /// The number of its page, if that was seen.
    pub page: Option<usize>,
    /// In the language.
    pub text: String,
    /// The functions that showed it, the first ones.
    pub functions: Vec<String>,
    /// Whether it was seen later than the call that began it.
    pub late: bool,
}

/// All steps of an operation, without where and when.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Order {
    /// The id of the operation, by the functions that took part.
    pub operation: Option<String>,
    /// By what somebody has written into the trace.
    pub called: Option<String>,
    /// Its steps.
    pub rows: Vec<Seen>,
    /// The pages whose entry nobody writes unseen.
    pub watched: BTreeSet<usize>,
    /// What is missing of it, if the trace does not have all of it.
    pub open: Open,
}

/// What a trace that leaves something out may hide of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Open {
    /// The trace ends here.
    pub cut: bool,
    /// It begins behind a place where the trace leaves something out, and not with the start of a range: what came before may
    /// be part of it.
    pub torn: bool,
    /// An entry was changed and not flushed.
    pub unflushed: bool,
    /// A range has begun and not ended.
    pub range: bool,
    /// There was a write that the vocabulary does not know, or there were too many steps.
    pub unsure: bool,
}

impl Open {
    /// What of it is known, by a trace that shows these steps whenever they happen.
    pub(crate) fn known(self, shown: &BTreeSet<Verb>) -> Self {
        let unflushed = self.unflushed && shown.contains(&Verb::FlushTlb);
        let range = self.range && shown.contains(&Verb::NotifyEnd);
        Self { cut: self.cut && (unflushed || range), unflushed, range, ..self }
    }
}

/// Where an order was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Example {
    /// Line of its first step, 1-based.
    pub line: u64,
    /// Whose.
    pub thread: String,
    /// What somebody has written before it.
    pub label: Option<String>,
    /// The addresses of its pages.
    pub pages: Vec<(u64, u64)>,
}

/// The letter of a page.
#[must_use]
pub fn letter(page: usize) -> char {
    char::from(b'A' + u8::try_from(page % 8).unwrap_or_default())
}

/// Whether a step changes something that somebody may remember, or makes it forget.
pub(crate) fn tells_of_a_change(verb: Verb) -> bool {
    changes(verb) || matches!(verb, Verb::FlushTlb | Verb::ChangePte | Verb::IotlbInv | Verb::DevtlbInv)
}

/// Whether it writes an entry.
pub(crate) fn changes(verb: Verb) -> bool {
    matches!(verb, Verb::PteClear | Verb::SetPte | Verb::PteModify)
}

impl Order {
    /// The steps of the thread that changes the mapping.
    pub fn operator(&self) -> impl Iterator<Item = &Seen> {
        self.rows.iter().filter(|row| row.who == Who::Operator)
    }

    /// Whether an entry loses something and no flush of its page comes behind that; and whether one of another page does.
    #[must_use]
    pub fn unflushed(&self) -> (bool, bool) {
        let own: Vec<&Seen> = self.operator().collect();
        let fits =
            |one: Option<usize>, other: Option<usize>| one.is_none() || other.is_none() || one == other;
        let dirties = |row: &Seen| matches!(row.verb, Verb::PteClear | Verb::PteModify);
        let flushes = |at: usize| own[at + 1..].iter().filter(|row| row.verb == Verb::FlushTlb);
        let left = (0..own.len()).filter(|at| dirties(own[*at]));
        let mut left = left.filter(|at| !flushes(*at).any(|row| fits(row.page, own[*at].page))).peekable();
        (left.peek().is_some(), left.any(|at| flushes(at).next().is_some()))
    }

    /// The pages of such a step, each once.
    pub(crate) fn pages_of(&self, verb: Verb) -> BTreeSet<usize> {
        self.operator().filter(|row| row.verb == verb).map(|row| row.page.unwrap_or_default()).collect()
    }

    /// How many pages it has.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.rows.iter().filter_map(|row| row.page).max().map_or(1, |last| last + 1)
    }
}
