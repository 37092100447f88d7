//! What the others know of one of a device's threads: what wakes it, and how far it is.
//!
//! Invariant: a ring is not lost: what wakes the thread comes after what it is to see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::link::bell::Bell;

/// One of a device's threads.
pub(super) struct Thread {
    /// What wakes it: the driver's doorbells, and whoever has something for it.
    bell: Arc<Bell>,
    /// A doorbell was rung since the rings were looked at.
    is_rung: AtomicBool,
    /// It holds rings of the driver's. Changed with the registers held.
    has_begun: AtomicBool,
}

impl Thread {
    pub(super) const fn new(bell: Arc<Bell>) -> Self {
        Self { bell, is_rung: AtomicBool::new(false), has_begun: AtomicBool::new(false) }
    }

    pub(super) const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// There may be something to do.
    pub(super) fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
    }

    pub(super) fn take_rung(&self) -> bool {
        self.is_rung.swap(false, Ordering::AcqRel)
    }

    /// It begins, if it has not. What was offered before that is served as well.
    pub(super) fn begin(&self) -> bool {
        let begins = !self.has_begun.swap(true, Ordering::AcqRel);
        if begins {
            self.ring();
        }
        begins
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// It holds nothing, and was not rung.
    pub(super) fn forget(&self) {
        self.take_rung();
        self.has_begun.store(false, Ordering::Release);
    }
}
