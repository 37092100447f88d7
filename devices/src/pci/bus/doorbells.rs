//! Doorbells of devices that whoever runs the processors rings by himself, without leaving the guest for each store.
//!
//! Invariant: a doorbell is handed over only while a store to its address would reach its device and nobody else:
//! when the guest moves or hides it, it is taken back before the guest's store is over. A doorbell that is not handed
//! over is rung by the store itself.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::link::bell::Bell;

/// Where a store of any width and value rings a bell, and does nothing else.
#[derive(Clone, Debug)]
pub struct Doorbell {
    /// Where it is at the moment.
    pub address: u64,
    /// What it rings.
    pub bell: Arc<Bell>,
}

/// The same as its device knows it.
#[derive(Clone, Debug)]
pub struct OwnDoorbell {
    /// In which BAR.
    pub bar: u8,
    /// Where in it.
    pub offset: u64,
    /// What it rings.
    pub bell: Arc<Bell>,
}

/// Who rings them.
pub trait Ringer: Send + Sync {
    /// From now on; false if he cannot.
    fn attach(&self, doorbell: &Doorbell) -> bool;
    /// Not any more.
    fn detach(&self, doorbell: &Doorbell);
}

/// Those that are handed over, if there is somebody to ring them.
#[derive(Default)]
pub(super) struct Doorbells {
    ringer: OnceLock<Box<dyn Ringer>>,
    /// Held while they change: the last who looks is right.
    known: Mutex<Vec<Doorbell>>,
}

impl Doorbell {
    fn is(&self, other: &Self) -> bool {
        self.address == other.address && Arc::ptr_eq(&self.bell, &other.bell)
    }
}

impl Doorbells {
    /// `ringer` rings them from now on. The first one counts.
    pub(super) fn ring_by(&self, ringer: Box<dyn Ringer>) {
        self.ringer.get_or_init(|| ringer);
    }

    /// Takes back those that are not among `decoded` any more.
    pub(super) fn keep(&self, decoded: impl FnOnce() -> Vec<Doorbell>) {
        let Some(ringer) = self.ringer.get() else { return };
        let mut known = self.known.lock();
        if known.is_empty() {
            return;
        }
        let decoded = decoded();
        known.retain(|doorbell| {
            let stays = decoded.iter().any(|one| one.is(doorbell));
            if !stays {
                ringer.detach(doorbell);
            }
            stays
        });
    }

    /// Hands over those of `wanted` that are not yet.
    pub(super) fn add(&self, wanted: impl FnOnce() -> Vec<Doorbell>) {
        let Some(ringer) = self.ringer.get() else { return };
        let mut known = self.known.lock();
        for doorbell in wanted() {
            if !known.iter().any(|one| one.is(&doorbell)) && ringer.attach(&doorbell) {
                known.push(doorbell);
            }
        }
    }
}
