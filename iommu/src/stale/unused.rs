//! A cached translation that the tables no longer contain, and that nobody was seen to use since.
//!
//! Invariant: it is no stale use, only one that waits to happen; or software was still between the change and its
//! invalidation.

use std::fmt;

use mmu::address::VirtAddr;
use mmu::cache::Translation;
use pcie::Requester;
use serde_json::{Value, json};

use crate::spec::fault::FaultReason;
use crate::stale::json::{change, hex, holder, moment, translation};
use crate::stale::text::page;
use crate::stale::{Change, Holder, Moment};
use crate::vtd::SpaceKey;

/// One such translation, as it is reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unused {
    /// For whom it was filled.
    pub requester: Requester,
    /// What holds it.
    pub holder: Holder,
    /// Whose translation it is, as invalidations name it.
    pub space: SpaceKey,
    /// What it translates.
    pub page: VirtAddr,
    /// What it says.
    pub cached: Translation,
    /// What the tables say.
    pub now: Result<Translation, FaultReason>,
    /// When it was filled.
    pub filled: Moment,
    /// What changed since.
    pub change: Change,
}

impl Unused {
    /// As one line for tools.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "event": "stale-entry",
            "kind": "unused",
            "source": self.requester.source.to_string(),
            "pasid": self.requester.pasid.map(|pasid| pasid.number()),
            "domain": self.space.domain.0,
            "page": hex(self.page.0),
            "held_by": holder(self.holder),
            "cached": translation(&self.cached),
            "now": self.now.map_or(Value::Null, |now| translation(&now)),
            "filled": moment(self.filled),
            "change": change(&self.change),
        })
        .to_string()
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.page, self.requester.source)?;
        if let Some(pasid) = self.requester.pasid {
            write!(f, " with {pasid}")?;
        }
        write!(
            f,
            " in {}: {}, filled {}; changed: {}",
            self.holder,
            page(&self.cached),
            self.filled,
            self.change
        )
    }
}
