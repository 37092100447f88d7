//! What a virtio device is, apart from how a driver reaches it.
//!
//! Invariant: a model is used by its own thread alone; what its driver reads of it meanwhile are the bytes of its
//! [`Identity`]. It looks between two requests, and between two pieces of a long one, whether it is to leave. Source: VIRTIO
//! 1.2, section 5.

use std::sync::Arc;

use super::broken::Broken;
use super::service::Queues;
use crate::link::bell::Bell;

/// What a device is, for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// What it is called in messages.
    pub name: &'static str,
    /// Its number (VIRTIO 1.2, section 5).
    pub device: u16,
    /// PCI class code: base class, subclass, programming interface.
    pub class: [u8; 3],
    /// Its own features, besides those of every device here.
    pub features: u64,
    /// The most entries of each of its queues, powers of two.
    pub queues: Vec<u16>,
    /// Its configuration, as a driver reads it.
    pub config: Vec<u8>,
}

/// What a device does.
pub trait Model: Send {
    /// A driver begins, having accepted `features`.
    fn start(&mut self, features: u64);

    /// Serves what is offered, until there is no more or [`Queues::gives_up`].
    ///
    /// # Errors
    /// [`Broken`] if what is offered is no ring, no chain or no request.
    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken>;

    /// What its thread is woken by, if it waits for more than its driver.
    fn bell(&self) -> Option<Arc<Bell>> {
        None
    }

    /// Waits, while a driver uses it, until its bell rings or there may be something to serve. Asked of one with a bell.
    fn wait(&mut self) {}
}
