//! Operations: names that stand for several steps.
//!
//! Invariant: an operation has the places that its form has, and no others.

use super::super::span::Name;

/// An operation of the memory manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `ptep_clear_flush A`, perhaps with `_notify`.
    ClearFlush {
        /// `A`.
        page: Name,
        /// Whether the devices are told.
        notify: bool,
    },
    /// `wp_page_copy "ORDER" A old -> new`
    WpPageCopy(Replacement),
    /// `ksm_merge "ORDER" A old -> new`
    KsmMerge(Replacement),
    /// `ksm_stabilize A old`
    KsmStabilize {
        /// `A`.
        page: Name,
        /// `old`.
        old: Name,
    },
}

/// A page that is to be mapped to another frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement {
    /// The order of the steps, which is one that the operation has; the right one if it is left out.
    pub order: Option<Name>,
    /// The page.
    pub page: Name,
    /// The frame that is mapped.
    pub old: Name,
    /// The frame that takes its place.
    pub new: Name,
}

impl Operation {
    /// The page whose entry is changed.
    #[must_use]
    pub const fn page(&self) -> &Name {
        match self {
            Self::ClearFlush { page, .. } | Self::KsmStabilize { page, .. } => page,
            Self::WpPageCopy(replacement) | Self::KsmMerge(replacement) => &replacement.page,
        }
    }

    /// The frames that it names.
    #[must_use]
    pub fn frames(&self) -> Vec<&Name> {
        match self {
            Self::ClearFlush { .. } => Vec::new(),
            Self::WpPageCopy(replacement) | Self::KsmMerge(replacement) => {
                vec![&replacement.old, &replacement.new]
            }
            Self::KsmStabilize { old, .. } => vec![old],
        }
    }
}
