//! A look past the caches: what the tables say now.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table.

use mmu::address::VirtAddr;
use mmu::cache::Translation;
use pcie::{Request, Requester};

use crate::spec::fault::FaultReason;
use crate::vtd::Vtd;
use crate::vtd::route::Reach;
use crate::vtd::trail::{Reading, Recorder, Trail};
use crate::vtd::walk::{Path, Walker};
use crate::vtd::witness::HeldIn;

/// A translation, and what it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// What the tables say.
    pub translation: Result<Translation, FaultReason>,
    /// Every entry on the way, in the order of reading, up to the one that is in the way.
    pub readings: Vec<Reading>,
}

/// The same, before it is put together.
pub(crate) struct Past {
    pub(crate) translation: Result<Translation, FaultReason>,
    pub(crate) route: Trail,
    pub(crate) path: Path,
}

impl Vtd {
    /// Translates a request of `requester` by the tables alone.
    #[must_use]
    pub fn inspect(&self, requester: Requester, request: &Request) -> Inspection {
        match self.look_past(requester, request) {
            Err(reason) => Inspection { translation: Err(reason), readings: Vec::new() },
            Ok(Past { translation, route, path }) => {
                Inspection { translation, readings: [route.readings(), path.walk.readings()].concat() }
            }
        }
    }

    /// The same, as it was found.
    pub(crate) fn look_past(&self, requester: Requester, request: &Request) -> Result<Past, FaultReason> {
        let route =
            self.route(requester, Reach::Tables, self.remember()).map_err(|refusal| refusal.reason)?;
        let space = self.space(&route);
        let mut walker = Walker::begin(&self.memory, &self.paging, Reach::Tables, self.remember());
        let translation = walker.walk(&space, request.address, request.access);
        Ok(Past { translation, route: route.trail, path: walker.path(&space) })
    }

    /// Whether the cache still says so.
    pub(crate) fn holds(&self, held_in: HeldIn, address: VirtAddr, hit: Translation) -> bool {
        let cached = match held_in {
            // What a walk found is used by whoever walked, and held by nobody else.
            HeldIn::Walked(..) => return true,
            HeldIn::Route(_, epoch) => return epoch == self.epoch(),
            HeldIn::Iotlb(tag) => self.iotlb.contains(tag, address),
            HeldIn::DeviceTlb(source, pasid) => {
                self.device(source).and_then(|device| device.cached(pasid, address))
            }
        };
        cached == Some(hit)
    }

    fn remember(&self) -> Recorder {
        Recorder::on(self.witness().map_or(0, |witness| witness.now()))
    }
}
