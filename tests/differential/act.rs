//! What can be done, and what is answered: the steps of `steps::one_page` by the kernel's threads, and accesses by the users.
//!
//! Invariant: an act says nothing of either side; a [`Row`] is the same act in the words of the scenario language.

use std::fmt;

use steps::one_page::{Condition, Step};

use super::setting::{Frame, Kernel, Page, User};

/// One thing that somebody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// A thread of the kernel.
    Kernel(Kernel, Deed),
    /// A user of a page.
    User(User, Page, Access),
}

/// What a thread of the kernel can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Begin an operation on a page with these frames, of each of which it takes a reference.
    Begin {
        /// The page.
        page: Page,
        /// The frame that goes by the name of `old`.
        old: Frame,
        /// The frame that goes by the name of `new`, if it is not to be allocated.
        new: Option<Frame>,
    },
    /// A step of the operation.
    Step(Step),
    /// A look of the operation.
    Check(Condition),
    /// End the operation: whatever it still holds is given back.
    End,
    /// Take a page's frame without a lock.
    GupFast(Page),
    /// Give back what was taken so.
    PutHandle,
    /// Write to a frame past every translation.
    Write(Frame, u64),
}

/// How a page is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// It is only translated.
    Walk,
    /// It is read.
    Load,
    /// This is written.
    Store(u64),
}

/// What an act came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// It read this.
    Value(u64),
    /// What was looked at holds, or does not.
    Holds(bool),
    /// It cannot be done now; nothing happened.
    Waits,
    /// It reached a frame that nobody holds, and did nothing there.
    Freed,
    /// It breaks a rule; nothing happened.
    Breaks(String),
}

/// A step in the words of the scenario language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    /// Who takes it.
    pub(super) agent: String,
    /// The step.
    pub(super) text: String,
}

impl Row {
    pub(super) fn new(agent: impl fmt::Display + Copy, text: impl Into<String>) -> Self {
        Self { agent: agent.to_string(), text: text.into() }
    }
}

impl Access {
    /// The access in the words of the scenario language.
    pub(super) fn text(self, user: User, page: Page) -> String {
        match (self, user) {
            (Self::Walk, _) => format!("walk {page}"),
            (Self::Load, User::Device) => format!("dma_read {page}"),
            (Self::Load, _) => format!("load {page}"),
            (Self::Store(value), User::Device) => format!("dma_write {page} = {value}"),
            (Self::Store(value), _) => format!("store {page} = {value}"),
        }
    }

    /// The name of the access, whoever makes it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Walk => "walk".to_owned(),
            Self::Load => "load".to_owned(),
            Self::Store(value) => format!("store{value}"),
        }
    }
}
