//! One virtqueue in use: rust-vmm's ring over the device's view of memory.
//!
//! Invariant: whatever the driver writes into its half of the ring, an index moves by entries that were offered, and what is
//! used is told once. Source: VIRTIO 1.2, 2.7.6 to 2.7.10, 2.7.13.

use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::GuestAddress;

use super::broken::Broken;
use super::chain::Chain;
use super::view::View;
use crate::pci::capability::msix::Vector;

/// Where a ring lies and how the driver is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its entries.
    pub size: u16,
    /// Its table of descriptors.
    pub descriptors: u64,
    /// What the driver writes.
    pub available: u64,
    /// What the device writes.
    pub used: u64,
    /// What it interrupts with, if it does.
    pub vector: Option<Vector>,
}

/// Whether the parties tell each other at which index they want to hear of each other (VIRTIO_F_EVENT_IDX).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventIndex {
    /// Both hear of everything.
    Off,
    /// They do.
    On,
}

/// A ring that the driver has enabled.
#[derive(Debug)]
pub struct Ring {
    queue: Queue,
    vector: Option<Vector>,
}

impl Ring {
    /// The ring at `place`, from its beginning; its device offered `most` entries.
    ///
    /// # Errors
    /// [`Broken::BadPlace`] if nothing can lie there.
    pub fn new(place: &Place, most: u16, events: EventIndex) -> Result<Self, Broken> {
        let made = || -> Result<Queue, virtio_queue::Error> {
            let mut queue = Queue::new(most)?;
            queue.try_set_size(place.size)?;
            queue.try_set_desc_table_address(GuestAddress(place.descriptors))?;
            queue.try_set_avail_ring_address(GuestAddress(place.available))?;
            queue.try_set_used_ring_address(GuestAddress(place.used))?;
            queue.set_event_idx(events == EventIndex::On);
            queue.set_ready(true);
            Ok(queue)
        };
        Ok(Self { queue: made().map_err(|_| Broken::BadPlace)?, vector: place.vector })
    }

    /// What the driver is told with.
    #[must_use]
    pub const fn vector(&self) -> Option<Vector> {
        self.vector
    }

    /// The next chain that was offered. If there is none, the driver tells of the one that it offers next.
    ///
    /// # Errors
    /// [`Broken`] if what it offers is none.
    pub fn take(&mut self, view: &View) -> Result<Option<Chain>, Broken> {
        // Once more, for what was offered before the driver knew that it must tell.
        for _ in 0..2 {
            if let Some(head) = self.pop(view)? {
                let size = self.queue.size();
                return Chain::collect(view, self.queue.desc_table(), size, head).map(Some);
            }
            let is_more = self.queue.enable_notification(view).map_err(|error| broken(view, error))?;
            if !is_more {
                return Ok(None);
            }
        }
        Err(Broken::IndexJumps)
    }

    /// Gives a chain back, into whose buffers the device wrote `written` bytes. Whether the driver wants to be told.
    ///
    /// # Errors
    /// [`Broken`] if its ring is not there any more.
    pub fn give_back(&mut self, view: &View, chain: &Chain, written: u32) -> Result<bool, Broken> {
        let used = self.queue.add_used(view, chain.head(), written);
        used.and_then(|()| self.queue.needs_notification(view)).map_err(|error| broken(view, error))
    }

    fn pop(&mut self, view: &View) -> Result<Option<u16>, Broken> {
        let next = self.queue.iter(view).map(|mut offered| offered.next());
        let next = next.map_err(|error| broken(view, error))?;
        match (next, view.take_fault()) {
            (Some(chain), _) => Ok(Some(chain.head_index())),
            (None, None) => Ok(None),
            (None, Some(fault)) => Err(Broken::of(&fault)),
        }
    }
}

fn broken(view: &View, error: virtio_queue::Error) -> Broken {
    match (view.take_fault(), error) {
        (Some(fault), _) => Broken::of(&fault),
        (None, virtio_queue::Error::InvalidAvailRingIndex) => Broken::IndexJumps,
        (None, error) => Broken::Unreachable(error.to_string()),
    }
}
