//! What is true of one order, for some users.
//!
//! Invariant: safe is only what is proved, and of which each user was seen to reach the page; a limit that was hit is no
//! verdict.

/// What is true of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Proved, and each user reaches the page after the change (or at all, where nothing is there afterwards).
    Safe,
    /// Proved, and says nothing: why.
    Vacuous(String),
    /// A property breaks.
    Broken {
        /// The property.
        property: String,
        /// Rows of a shortest run to it.
        rows: usize,
    },
    /// It could not be decided within the limits.
    BoundHit,
}

/// An order as it was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// What is true.
    pub verdict: Verdict,
    /// States that were found.
    pub states: usize,
    /// Rows of the program that no run takes, from 1, where it is proved.
    pub unreached: Vec<u32>,
}

/// A verdict in a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Safe.
    Safe,
    /// Broken.
    Broken,
    /// Vacuous.
    Vacuous,
    /// Not decided.
    BoundHit,
}

impl Verdict {
    /// In a word.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Safe => Kind::Safe,
            Self::Vacuous(_) => Kind::Vacuous,
            Self::Broken { .. } => Kind::Broken,
            Self::BoundHit => Kind::BoundHit,
        }
    }
}

impl Kind {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Broken => "broken",
            Self::Vacuous => "vacuous",
            Self::BoundHit => "BOUND HIT",
        }
    }
}
