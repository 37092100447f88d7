//! What other threads know of a vCPU, and how they stop it.
//!
//! Invariant: `in_guest` is true from before KVM_RUN until after it. Both ends are sequentially consistent: who
//! first makes an interrupt pending and then reads "outside" knows that the next KVM_RUN finds the interrupt.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};

use super::{Exit, Hypercall, signal};
use crate::kvm::VcpuId;

/// A share of a vCPU's public state; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct VcpuHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: VcpuId,
    stop: AtomicBool,
    in_guest: AtomicBool,
    /// The thread that entered the guest last; 0 before the first.
    thread: AtomicI32,
    entries: AtomicU64,
    last_exit: AtomicU8,
}

/// What a vCPU did last, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activity {
    /// Whether it is inside the guest.
    pub in_guest: bool,
    /// How often it entered the guest.
    pub entries: u64,
    last_exit: u8,
}

/// The words for `last_exit`, which indexes them.
const EXITS: [&str; 5] = ["nothing", "a page fault", "a hypercall", "the stop hypercall", "an interruption"];

/// While it lives, the vCPU counts as inside the guest.
pub(in crate::kvm) struct Entered<'a> {
    shared: &'a Shared,
}

impl VcpuHandle {
    pub(in crate::kvm) fn new(id: VcpuId) -> Self {
        let shared = Shared {
            id,
            stop: AtomicBool::new(false),
            in_guest: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            entries: AtomicU64::new(0),
            last_exit: AtomicU8::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whose handle it is.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.shared.id
    }

    /// Makes [`Vcpu::run`](super::Vcpu::run) return [`Exit::Interrupted`] now and for ever, wherever the guest is.
    pub fn request_stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Outside, the vCPU looks at `stop` after it announced itself and before it enters.
        self.kick();
    }

    /// Brings it out of KVM_RUN, or out of the next one at once if it has announced that.
    pub(in crate::kvm) fn kick(&self) {
        if self.in_guest() {
            signal::interrupt(self.shared.thread.load(Ordering::Relaxed));
        }
    }

    /// Whether the vCPU is between the start and the end of KVM_RUN.
    #[must_use]
    pub fn in_guest(&self) -> bool {
        self.shared.in_guest.load(Ordering::SeqCst)
    }

    /// What the vCPU did last.
    #[must_use]
    pub fn activity(&self) -> Activity {
        Activity {
            in_guest: self.in_guest(),
            entries: self.shared.entries.load(Ordering::Relaxed),
            last_exit: self.shared.last_exit.load(Ordering::Relaxed),
        }
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    pub(in crate::kvm) fn enter(&self) -> Entered<'_> {
        let shared = &*self.shared;
        shared.thread.store(signal::current_thread(), Ordering::Relaxed);
        shared.entries.fetch_add(1, Ordering::Relaxed);
        shared.in_guest.store(true, Ordering::SeqCst);
        Entered { shared }
    }

    pub(super) fn left_with(&self, exit: Exit) {
        let last = match exit {
            Exit::PageFault { .. } => 1,
            Exit::Hypercall(Hypercall::Stopped) => 3,
            Exit::Hypercall(_) => 2,
            Exit::Interrupted => 4,
        };
        self.shared.last_exit.store(last, Ordering::Relaxed);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.shared.in_guest.store(false, Ordering::SeqCst);
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.in_guest { "inside" } else { "outside" };
        let last = EXITS.get(usize::from(self.last_exit)).unwrap_or(&EXITS[0]);
        write!(f, "{place} the guest, entered {} times, last came back with {last}", self.entries)
    }
}

#[cfg(test)]
mod tests;
