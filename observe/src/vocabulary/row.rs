//! A row of the vocabulary, and an operation.

use std::fmt;
use std::str::FromStr;

use steps::table::Verb;

use crate::line::Event;

/// A version of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Kernel(pub u16, pub u16);

impl Kernel {
    /// The first one of the vocabulary that is built in.
    pub const OLDEST: Self = Self(5, 15);
    /// The last major version that it was read for.
    pub const NEWEST: u16 = 7;

    /// Whether rows are known to hold for it.
    ///
    /// # Errors
    /// If not, what to do.
    pub fn known(self) -> Result<Self, String> {
        if self >= Self::OLDEST && self.0 <= Self::NEWEST {
            return Ok(self);
        }
        Err(format!(
            "what functions of kernel {self} do is not known; the vocabulary is of {} to {}.x, so that nothing is said of its orders",
            Self::OLDEST,
            Self::NEWEST
        ))
    }
}

impl FromStr for Kernel {
    type Err = String;

    /// The first two numbers of `6.18.44-something`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split(['.', '-', '+']).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self(major, minor)),
            _neither => Err(format!("`{text}` is no version of a kernel; write one like 6.18")),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A step as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spoken {
    /// What it does.
    pub verb: Verb,
    /// In the language, of page A.
    pub text: String,
}

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// Steps, one after the other.
    Steps(Vec<Spoken>),
    /// A step, and one that it does before it ends: that comes first, wherever its line stands.
    Around(Spoken, Spoken),
    /// A thread enters the kernel anew.
    Fault,
    /// What somebody has written.
    Mark,
    /// No step.
    Nothing,
}

/// Whether a step can happen unseen in a trace that has the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    /// It cannot.
    Every,
    /// It can.
    Some,
}

/// Where the page is found, or when the row counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Where {
    Address(Vec<String>),
    Range(String),
    Gfn(String),
    If(String, String),
    Has(String),
    From(String),
}

/// A row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// A function or a tracepoint.
    pub name: String,
    /// The first and the last kernel that has it.
    pub kernels: (Option<Kernel>, Option<Kernel>),
    /// The operation that it belongs to.
    pub operation: Option<String>,
    /// What it says.
    pub meaning: Meaning,
    /// Whether the step can happen unseen.
    pub shows: Shows,
    pub(super) places: Vec<Where>,
    /// Line of the text, 1-based.
    pub line: usize,
}

impl Row {
    /// Whether that kernel has it.
    #[must_use]
    pub fn has(&self, kernel: Kernel) -> bool {
        let (first, last) = self.kernels;
        first.is_none_or(|first| first <= kernel) && last.is_none_or(|last| kernel <= last)
    }

    /// Whether it counts for the event.
    #[must_use]
    pub fn holds(&self, event: &Event<'_>) -> bool {
        self.places.iter().all(|place| match place {
            Where::If(key, value) => event.word(key) == Some(value.as_str()),
            Where::Has(text) => event.arguments.contains(text.as_str()),
            Where::From(caller) => event.caller == Some(caller.as_str()),
            Where::Address(_) | Where::Range(_) | Where::Gfn(_) => true,
        })
    }

    /// The first and the last address but one, of the pages that the event names.
    #[must_use]
    pub fn range(&self, event: &Event<'_>) -> Option<(u64, u64)> {
        self.places.iter().find_map(|place| match place {
            Where::Address(keys) => {
                let first = keys.iter().find_map(|key| event.number(key))? & !0xfff;
                let last = event.number("end").filter(|last| *last > first);
                Some((first, last.unwrap_or_else(|| first.saturating_add(0x1000))))
            }
            Where::Range(key) => event.range(key).filter(|(first, last)| first < last),
            Where::Gfn(_) | Where::If(..) | Where::Has(_) | Where::From(_) => None,
        })
    }

    /// The guest's frame number that the event names.
    #[must_use]
    pub fn gfn(&self, event: &Event<'_>) -> Option<u64> {
        self.places.iter().find_map(|place| match place {
            Where::Gfn(key) => event.number(key),
            Where::Address(_) | Where::Range(_) | Where::If(..) | Where::Has(_) | Where::From(_) => None,
        })
    }

    /// Its steps, with the one that is done inside.
    pub fn steps(&self) -> impl Iterator<Item = &Spoken> {
        let (steps, around) = match &self.meaning {
            Meaning::Steps(steps) => (steps.as_slice(), None),
            Meaning::Around(step, inside) => (&[][..], Some([step, inside])),
            Meaning::Fault | Meaning::Mark | Meaning::Nothing => (&[][..], None),
        };
        steps.iter().chain(around.into_iter().flatten())
    }
}

/// What is done to entries, and so how a scenario of it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// An entry comes to map another frame.
    Replace,
    /// It is made read-only, and then comes to map another frame with the same contents.
    Merge,
    /// It is emptied, and the frame is given up.
    Zap,
    /// It loses rights.
    Protect,
    /// It moves to another page.
    Move,
}

/// An operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// As rows name it.
    pub id: String,
    /// As it is shown.
    pub title: String,
    /// What it does.
    pub shape: Shape,
    /// How the paths of its scenarios begin.
    pub scenarios: Vec<String>,
    /// What traces call it, in lower case.
    pub words: Vec<String>,
}
