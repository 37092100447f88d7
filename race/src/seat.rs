//! A port to a cache that whoever comes uses for a moment.
//!
//! Invariant: between two uses it is offline, so that an invalidation asks about it only while somebody uses it: one that
//! finds nobody there costs no barrier on the other CPUs. Source: the module `drain` of `mmu`.

use std::ops::{Deref, DerefMut};

use iommu::vtd::port::Port;
use mmu::cache::CachePort;
use parking_lot::{Mutex, MutexGuard};

/// What goes offline.
pub(crate) trait Pauses {
    /// Tells drains that nobody uses it.
    fn pause(&mut self);
}

impl Pauses for CachePort {
    fn pause(&mut self) {
        Self::pause(self);
    }
}

impl Pauses for Port {
    fn pause(&mut self) {
        Self::pause(self);
    }
}

/// A port, for one user at a time.
#[derive(Debug)]
pub(crate) struct Seat<P: Pauses>(Mutex<P>);

/// Whoever uses it.
pub(crate) struct Seated<'s, P: Pauses>(MutexGuard<'s, P>);

impl<P: Pauses> Seat<P> {
    pub(crate) fn new(port: P) -> Self {
        Self(Mutex::new(port))
    }

    pub(crate) fn lock(&self) -> Seated<'_, P> {
        Seated(self.0.lock())
    }
}

impl<P: Pauses> Deref for Seated<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

impl<P: Pauses> DerefMut for Seated<'_, P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.0
    }
}

impl<P: Pauses> Drop for Seated<'_, P> {
    fn drop(&mut self) {
        self.0.pause();
    }
}
