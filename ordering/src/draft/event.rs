//! Events of a draft: what properties speak of.
//!
//! Invariant: an event names who does it.

use super::word::{Line, Step, Text};

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Event(pub(super) Line);

impl Event {
    /// An agent takes a step.
    #[must_use]
    pub fn step(agent: impl Into<Text>, step: &Step) -> Self {
        Self(Line::of("").name(agent).step(step))
    }

    /// An agent reads `value` from a page or a frame.
    #[must_use]
    pub fn reads(agent: impl Into<Text>, place: impl Into<Text>, value: u32) -> Self {
        Self(Line::of("").name(agent).own("reads").name(place).own(format!("== {value}")))
    }

    /// An agent writes `value` to a page or a frame.
    #[must_use]
    pub fn writes(agent: impl Into<Text>, place: impl Into<Text>, value: u32) -> Self {
        Self(Line::of("").name(agent).own("writes").name(place).own(format!("== {value}")))
    }

    /// A CPU or a vCPU stores `value` to a page.
    #[must_use]
    pub fn stores(agent: impl Into<Text>, page: impl Into<Text>, value: u32) -> Self {
        Self::step(agent, &Step::Store(page.into(), value))
    }

    /// Anybody uses a frame that is freed.
    #[must_use]
    pub fn use_of_a_freed_frame() -> Self {
        Self(Line::of("use of a freed frame"))
    }
}
