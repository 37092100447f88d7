//! How a unit's caches are watched for stale uses, and when a stale use counts.
//!
//! Invariant: the unit takes of this only whether a port looks at a use; the rest is for whoever watches.

use std::num::NonZeroU32;
use std::time::Duration;

/// Which uses are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Watching {
    /// None.
    #[default]
    Off,
    /// All.
    EveryUse,
    /// One in so many.
    Sampled(NonZeroU32),
}

/// When a stale use counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judging {
    /// At the first use after the change: for drivers that stop a device before they unmap. Whoever unmaps what a device
    /// may be using, as shared address spaces and VFIO do, is accused of uses that hardware allows.
    AtOnce,
    /// When it is sure that no invalidation comes in time: not within so long, or too late for what was done with the page.
    /// An invalidation that was asked for and is waited for may take as long as the unit does. Between two looks
    /// ([`Vtd::take_stale_uses`](crate::vtd::Vtd::take_stale_uses)) half of it passes at most: whoever stops the whole
    /// program stops software, too.
    Late(Duration),
}

/// How long software may take between a use and the next of the invalidations that it needs: a processor that is about
/// to invalidate may have to wait for its turn on a busy host.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// How stale uses are watched for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StaleOptions {
    /// Which uses are looked at.
    pub watching: Watching,
    /// When one counts.
    pub judging: Judging,
}

impl Default for Judging {
    fn default() -> Self {
        Self::Late(PATIENCE)
    }
}
