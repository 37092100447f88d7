//! A look past the caches: what the tables say now.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table.

use mmu::cache::Translation;

use crate::spec::fault::FaultReason;
use crate::stale::watch::{Place, Use, Watch};
use crate::vtd::Vtd;
use crate::vtd::port::Request;
use crate::vtd::route::{Reach, Requester};
use crate::vtd::trail::{Reading, Recorder};
use crate::vtd::walk::Walker;

/// A translation, and what it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// What the tables say.
    pub translation: Result<Translation, FaultReason>,
    /// Every entry on the way, in the order of reading, up to the one that is in the way.
    pub readings: Vec<Reading>,
}

impl Vtd {
    /// Translates a request of `requester` by the tables alone.
    #[must_use]
    pub fn inspect(&self, requester: Requester, request: &Request) -> Inspection {
        let route = match self.route(requester, Reach::Tables, self.remember()) {
            Ok(route) => route,
            Err(refusal) => return Inspection { translation: Err(refusal.reason), readings: Vec::new() },
        };
        let mut walker = Walker::begin(&self.memory, &self.paging, Reach::Tables, self.remember());

        let translation = walker.walk(&self.space(&route), request.address, request.access);
        let readings = [route.trail.readings(), walker.recorder.trail().readings()].concat();
        Inspection { translation, readings }
    }

    /// Reports the use of a cached translation if the tables say something else by now, and the cache still has it.
    #[cold]
    pub(super) fn check_use(&self, used: &Use<'_>) {
        let Some(watch) = &self.watch else { return };
        let Some(change) = watch.suspect(used) else { return };
        let now = self.inspect(used.requester, used.request).translation;
        let address = used.request.address;
        let agrees = now.is_ok_and(|now| {
            now.physical(address) == used.hit.physical(address) && now.permission.allows(used.request.access)
        });
        let is_held = match used.place {
            Place::Iotlb(tag) => self.iotlb.contains(tag, address) == Some(used.hit),
            Place::DeviceTlb(source, pasid) => {
                self.device(source).is_some_and(|device| device.cached(pasid, address) == Some(used.hit))
            }
        };
        if !agrees && is_held {
            watch.report(used, change, now);
        }
    }

    fn remember(&self) -> Recorder {
        Recorder::on(self.watch.as_ref().map_or(0, Watch::now))
    }
}
