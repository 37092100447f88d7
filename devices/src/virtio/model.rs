//! What a virtio device does, apart from how a driver reaches it.
//!
//! Invariant: a model is used by its own thread alone; what its driver reads of it meanwhile are the bytes of its identity.
//! It looks between two requests, and between two pieces of a long one, whether it is to leave. Source: VIRTIO 1.2,
//! section 5.

use std::sync::Arc;

use super::broken::Broken;
use super::service::Queues;
use crate::link::bell::Bell;

/// Who does it.
pub enum Models {
    /// One, which serves all queues on one thread.
    ForAll(Box<dyn Model>),
    /// One for each queue, made with its number, on a thread of its own.
    ForEach(Box<dyn Fn(usize) -> Box<dyn Model>>),
}

impl<M: Model + 'static> From<Box<M>> for Models {
    fn from(model: Box<M>) -> Self {
        Self::ForAll(model)
    }
}

impl Models {
    /// Those of a device of so many queues, in their order.
    pub(super) fn of(self, queues: usize) -> Vec<Box<dyn Model>> {
        match self {
            Self::ForAll(model) => vec![model],
            Self::ForEach(make) => (0..queues).map(make).collect(),
        }
    }
}

/// What a device does, on all of its queues or on one.
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
