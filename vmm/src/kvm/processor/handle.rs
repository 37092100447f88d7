//! What other threads know of a processor: they stop it for ever, or hold it for a while.
//!
//! Invariant: a processor that is held is at rest soon, outside the guest, however it came there; it goes on when nobody
//! holds it any more. A stop ends a rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::kvm::{VcpuHandle, VcpuId};

/// A share of a processor's public state; cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct ProcessorHandle {
    vcpu: VcpuHandle,
    hold: Arc<Hold>,
}

#[derive(Debug, Default)]
struct Hold {
    /// Read before each entry, so it needs no lock.
    is_held: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_at_rest: bool,
}

impl ProcessorHandle {
    pub(super) fn new(id: VcpuId) -> Self {
        Self { vcpu: VcpuHandle::new(id), hold: Arc::default() }
    }

    /// Whose handle it is.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.vcpu.id()
    }

    /// Its side of KVM_RUN.
    pub(super) fn vcpu(&self) -> &VcpuHandle {
        &self.vcpu
    }

    /// Makes [`Processor::run`](super::Processor::run) return, now and for ever.
    pub fn request_stop(&self) {
        self.vcpu.request_stop();
        let _state = self.hold.state.lock();
        self.hold.changed.notify_all();
    }

    /// Brings it to rest, soon.
    pub fn hold(&self) {
        self.hold.is_held.store(true, Ordering::SeqCst);
        self.vcpu.kick();
    }

    /// Lets it go on.
    pub fn release(&self) {
        let _state = self.hold.state.lock();
        self.hold.is_held.store(false, Ordering::SeqCst);
        self.hold.changed.notify_all();
    }

    /// Whether it is outside the guest because it is held.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.hold.state.lock().is_at_rest
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.vcpu.is_stopping()
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold.is_held.load(Ordering::SeqCst)
    }

    /// Returns when nobody holds it any more, or when it is to stop.
    pub(super) fn rest(&self) {
        let mut state = self.hold.state.lock();
        while self.is_held() && !self.is_stopping() {
            state.is_at_rest = true;
            self.hold.changed.wait(&mut state);
        }
        state.is_at_rest = false;
    }
}

#[cfg(test)]
mod tests;
