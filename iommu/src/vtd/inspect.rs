//! A look past the caches: what the tables say now.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table.

use mmu::address::VirtAddr;
use mmu::cache::Translation;

use crate::spec::fault::FaultReason;
use crate::stale::watch::{AbsentKey, Look, Place, Use, Watch, parting};
use crate::vtd::Vtd;
use crate::vtd::port::Request;
use crate::vtd::route::{Reach, Requester};
use crate::vtd::trail::{Reading, Recorder, Trail};
use crate::vtd::walk::{Path, Walker};

/// A translation, and what it rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// What the tables say.
    pub translation: Result<Translation, FaultReason>,
    /// Every entry on the way, in the order of reading, up to the one that is in the way.
    pub readings: Vec<Reading>,
}

/// The same, before it is put together.
struct Past {
    translation: Result<Translation, FaultReason>,
    route: Trail,
    path: Path,
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

    fn look_past(&self, requester: Requester, request: &Request) -> Result<Past, FaultReason> {
        let route =
            self.route(requester, Reach::Tables, self.remember()).map_err(|refusal| refusal.reason)?;
        let space = self.space(&route);
        let mut walker = Walker::begin(&self.memory, &self.paging, Reach::Tables, self.remember());
        let translation = walker.walk(&space, request.address, request.access);
        Ok(Past { translation, route: route.trail, path: walker.path(&space) })
    }

    /// Reports a refusal for a cached reason if the tables let the request pass by now.
    pub(super) fn check_absent(
        &self,
        requester: Requester,
        request: &Request,
        key: AbsentKey,
        reason: FaultReason,
    ) {
        let Some(watch) = &self.watch else { return };
        if let Ok(now) = self.inspect(requester, request).translation {
            watch.report_absent((requester, request, key), reason, now, self.queued());
        }
    }

    /// Reports the use of a cached translation if the tables say something else by now, and the cache still has it.
    /// If they say the very same, the way by which they do.
    #[cold]
    pub(super) fn check_use(&self, used: &Use<'_>) -> Option<Path> {
        let watch = self.watch.as_ref()?;
        let change = match watch.look(used) {
            Look::Unknown => return None,
            // What a route of unchanged entries says may still be told by no table any more.
            Look::Unchanged(_) if matches!(used.place, Place::Route(..)) => None,
            Look::Unchanged(path) => return Some(path),
            Look::Changed(change) => Some(change),
        };
        let past = self.look_past(used.requester, used.request);
        let now = past.as_ref().map_or_else(|reason| Err(*reason), |past| past.translation);
        let address = used.request.address;
        let agrees = now.is_ok_and(|now| {
            now.physical(address) == used.hit.physical(address) && now.permission.allows(used.request.access)
        });
        if agrees {
            return past.ok().filter(|_| now == Ok(used.hit)).map(|past| past.path);
        }
        let change = change.or_else(|| parting(used.route, &past.ok()?.route))?;
        if self.holds(used.place, address, used.hit) {
            watch.report(used, change, now, self.queued());
        }
        None
    }

    /// Whether the cache still says so.
    pub(super) fn holds(&self, place: Place, address: VirtAddr, hit: Translation) -> bool {
        let cached = match place {
            Place::Walked(_, began) => {
                return self.watch.as_ref().is_some_and(|watch| watch.has_received_nothing_since(began));
            }
            Place::Route(_, epoch) => return epoch == self.epoch(),
            Place::Iotlb(tag) => self.iotlb.contains(tag, address),
            Place::DeviceTlb(source, pasid) => {
                self.device(source).and_then(|device| device.cached(pasid, address))
            }
        };
        cached == Some(hit)
    }

    fn remember(&self) -> Recorder {
        Recorder::on(self.watch.as_ref().map_or(0, Watch::now))
    }
}
