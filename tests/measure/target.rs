//! What ours is held to, and whether it keeps it.
//!
//! Invariant: a ratio that is not held to anything has no verdict, and a noisy one says so whatever its number is.

/// How ours is compared with another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Held {
    /// So many times faster than the other: other / ours is at least this.
    Faster {
        /// What must be.
        must: f64,
        /// What would be better.
        stretch: f64,
    },
    /// At most so many times what the other takes: ours / other is at most this.
    Within {
        /// What must be.
        must: f64,
        /// What would be better.
        stretch: f64,
    },
    /// At most so many of the row's unit, whatever others take: ours is at most this.
    AtMost {
        /// What must be.
        must: f64,
        /// What would be better.
        stretch: f64,
    },
    /// To nothing: other / ours is only told.
    Nothing,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Better than what would be better.
    Stretch,
    /// What must be is.
    Must,
    /// What must be is not.
    Missed,
    /// Too much else happened to say.
    Noisy,
    /// Nothing was asked.
    Untold,
}

impl Held {
    /// The number that is held against the targets.
    #[must_use]
    pub fn ratio(self, ours: f64, other: f64) -> f64 {
        match self {
            Self::Faster { .. } | Self::Nothing => other / ours,
            Self::Within { .. } => ours / other,
            Self::AtMost { .. } => ours,
        }
    }

    /// What must be, and what would be better.
    #[must_use]
    pub const fn targets(self) -> Option<(f64, f64)> {
        match self {
            Self::Faster { must, stretch }
            | Self::Within { must, stretch }
            | Self::AtMost { must, stretch } => Some((must, stretch)),
            Self::Nothing => None,
        }
    }

    /// Whether more is better.
    #[must_use]
    pub const fn grows(self) -> bool {
        match self {
            Self::Faster { .. } | Self::Nothing => true,
            Self::Within { .. } | Self::AtMost { .. } => false,
        }
    }

    /// What `ratio` makes of the targets.
    #[must_use]
    pub fn verdict(self, ratio: f64, is_noisy: bool) -> Verdict {
        let Some((must, stretch)) = self.targets() else { return Verdict::Untold };
        let meets = |target: f64| if self.grows() { ratio >= target } else { ratio <= target };
        match (is_noisy, meets(stretch), meets(must)) {
            (true, _, _) => Verdict::Noisy,
            (false, true, _) => Verdict::Stretch,
            (false, false, true) => Verdict::Must,
            (false, false, false) => Verdict::Missed,
        }
    }
}

impl Verdict {
    /// The word in the column `met`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stretch => "stretch",
            Self::Must => "must",
            Self::Missed => "NO",
            Self::Noisy => "noisy",
            Self::Untold => "-",
        }
    }
}
