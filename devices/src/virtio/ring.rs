//! One virtqueue in use: rust-vmm's ring over the device's view of memory.
//!
//! Invariant: whatever the driver writes into its half of the ring, an index moves by entries that were offered, and what is
//! used is told once. Source: VIRTIO 1.2, 2.7.6 to 2.7.10, 2.7.13.

use std::sync::atomic::Ordering;

use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::broken::Broken;
use super::chain::Chain;
use super::view::View;

/// Bytes of the available ring's entry, and of what stands before the first: flags and index.
const ENTRY_BYTES: u64 = 2;
const HEADER_BYTES: u64 = 4;

/// Where a ring lies.
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
        Ok(Self { queue: made().map_err(|_| Broken::BadPlace)? })
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
            let is_more = self.queue.enable_notification(view).map_err(|error| broken(view, &error))?;
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
        let wanted = used.and_then(|()| self.queue.needs_notification(view));
        Ok(wanted.map_err(|error| broken(view, &error))? && !self.is_silenced(view)?)
    }

    /// Without an event index: whether the driver has said that it wants to hear of nothing.
    fn is_silenced(&self, view: &View) -> Result<bool, Broken> {
        if self.queue.event_idx_enabled() {
            return Ok(false);
        }
        let flags = load(view, self.queue.avail_ring())?;
        Ok(u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT != 0)
    }

    /// The head of the next chain. Not by the crate's iterator: that one writes a line of its own where an entry cannot be
    /// read, and takes a ring at address 0 for none.
    fn pop(&mut self, view: &View) -> Result<Option<u16>, Broken> {
        let offered = self.queue.avail_idx(view, Ordering::Acquire).map_err(|error| broken(view, &error))?;
        let (next, size) = (self.queue.next_avail(), self.queue.size());
        let count = offered.0.wrapping_sub(next);
        if count > size {
            return Err(Broken::IndexJumps);
        }
        if count == 0 {
            return Ok(None);
        }
        let offset = HEADER_BYTES + u64::from(next % size) * ENTRY_BYTES;
        let at = self.queue.avail_ring().checked_add(offset).ok_or(Broken::BadPlace)?;
        let head = load(view, at)?;
        self.queue.set_next_avail(next.wrapping_add(1));
        Ok(Some(head))
    }
}

fn load(view: &View, at: u64) -> Result<u16, Broken> {
    let loaded = view.load(GuestAddress(at), Ordering::Acquire);
    loaded.map(u16::from_le).map_err(|error| view.unreachable(&error))
}

fn broken(view: &View, error: &virtio_queue::Error) -> Broken {
    view.take_fault().map_or_else(|| Broken::Unreachable(error.to_string()), |fault| Broken::of(&fault))
}
