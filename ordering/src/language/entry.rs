//! Page-table entries as they are written: what one maps or stands for, and what is said of its bits.
//!
//! Invariant: what is printed is read again as the same entry.

use std::fmt;

use steps::entry::Change;

use super::span::{Name, Span};

/// What an entry is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Base {
    /// `none`
    None,
    /// `marker`
    Marker,
    /// A frame, a swap slot, a page-table page or a handle.
    Name(Name),
    /// `orig`, the entry that the agent remembers.
    Orig,
}

/// An entry as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// What it is made from.
    pub base: Base,
    /// Whether `migration` stands before it.
    pub migration: bool,
    /// Whether `like orig` stands behind it: the bits are those of the remembered entry.
    pub like_orig: bool,
    /// The bits behind it.
    pub change: Change,
    /// Where it stands.
    pub span: Span,
}

impl Written {
    /// The entry that `name` stands for, without anything behind it.
    #[must_use]
    pub fn bare(name: Name) -> Self {
        let span = name.span;
        let base = match name.node.as_str() {
            "none" => Base::None,
            "marker" => Base::Marker,
            "orig" => Base::Orig,
            _ => Base::Name(name),
        };
        Self { base, migration: false, like_orig: false, change: Change::default(), span }
    }

    /// The name that it is, if it is nothing but a name.
    #[must_use]
    pub fn word(&self) -> Option<&Name> {
        let Base::Name(name) = &self.base else { return None };
        (!self.migration && !self.like_orig && self.change.is_empty()).then_some(name)
    }

    /// Whether its bits are taken from the remembered entry.
    #[must_use]
    pub(crate) fn is_like_orig(&self) -> bool {
        self.like_orig || self.base == Base::Orig
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.migration { "migration " } else { "" })?;
        f.write_str(match &self.base {
            Base::None => "none",
            Base::Marker => "marker",
            Base::Name(name) => &name.node,
            Base::Orig => "orig",
        })?;
        f.write_str(if self.like_orig { " like orig" } else { "" })?;
        if self.change.is_empty() { Ok(()) } else { write!(f, " {}", self.change) }
    }
}
