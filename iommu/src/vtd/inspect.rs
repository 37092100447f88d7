//! A look past the caches: what the tables say now.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table.

use mmu::address::{PAGE_SIZE, PhysAddr, VirtAddr};
use mmu::cache::Translation;

use crate::spec::descriptor::Descriptor;
use crate::spec::fault::FaultReason;
use crate::stale::Kind;
use crate::stale::watch::{Look, Watch, parting};
use crate::vtd::port::Request;
use crate::vtd::route::{Reach, Requester};
use crate::vtd::trail::{Reading, Recorder, Trail};
use crate::vtd::walk::{Path, Walker};
use crate::vtd::witness::{Place, Use, Walked};
use crate::vtd::{AbsentKey, Vtd};

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

    /// Looks whether the tables let a request pass by now that was refused for a cached reason.
    pub(super) fn check_absent(
        &self,
        requester: Requester,
        request: &Request,
        key: AbsentKey,
        reason: FaultReason,
    ) {
        let Some(watch) = &self.watch else { return };
        if let Ok(now) = self.inspect(requester, request).translation {
            watch.meet_absent((requester, request, key), reason, now, &self.queued());
        }
    }

    /// Looks whether pages were changed again since stale uses of them, of which an invalidation comes only now: it is for the
    /// later change, and came too late for the earlier one.
    pub(super) fn look_again(&self, watch: &Watch, invalidation: &Descriptor) {
        for (key, requester, request) in watch.concerned(invalidation) {
            watch.charge_changed_again(&key, self.inspect(requester, &request).translation);
        }
    }

    /// Looks whether the tables say something else by now than a cached translation that is used, and the cache still has
    /// it. If they say the very same, the way by which they do.
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
        if agree(used.request, used.hit, now) {
            return past.ok().filter(|_| now == Ok(used.hit)).map(|past| past.path);
        }
        let change = change.or_else(|| parting(used.route, &past.ok()?.route))?;
        if self.holds(used.place, used.request.address, used.hit) {
            watch.meet_use(used, change, now, &self.queued());
        }
        None
    }

    /// Looks whether a walk came through cached entries that the tables do not have any more: to a translation or a refusal
    /// that they deny, or to a table that they do not lead to. If they say the very same, the way by which they do.
    #[cold]
    pub(super) fn check_walk(&self, walked: &Walked<'_>) -> Option<Path> {
        let watch = self.watch.as_ref()?;
        let own = || walked.outcome.is_ok().then(|| walked.origin.path.clone());
        let Some(change) = watch.look_above(walked) else { return own() };
        let past = self.look_past(walked.requester, walked.request);
        let now = past.as_ref().map_or_else(|reason| Err(*reason), |past| past.translation);
        let kind = match (walked.outcome, now) {
            (Ok(found), _) if !agree(walked.request, found, now) => Some(Kind::Translation),
            (Err(_), Ok(_)) => Some(Kind::Refusal),
            (Ok(_), _) | (Err(_), Err(_)) => unlinked(walked, past.as_ref().ok()).map(Kind::Table),
        };
        match kind {
            Some(kind) => {
                if watch.may_look_at_walk(walked.began) {
                    watch.meet_walk(walked, kind, change, now, &self.queued());
                }
                None
            }
            None => past.ok().filter(|_| now == walked.outcome && now.is_ok()).map(|past| past.path),
        }
    }

    /// Whether the cache still says so.
    pub(super) fn holds(&self, place: Place, address: VirtAddr, hit: Translation) -> bool {
        let cached = match place {
            // What a walk found is used by whoever walked, and held by nobody else.
            Place::Walked(..) => return true,
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

/// Whether the tables lead a request to where `hit` does; if they do not let it pass there is no `now`.
fn agree(request: &Request, hit: Translation, now: Result<Translation, FaultReason>) -> bool {
    now.is_ok_and(|now| now.physical(request.address) == hit.physical(request.address))
}

/// The first table that a walk read itself and that is not on the way by the tables as they are.
fn unlinked(walked: &Walked<'_>, past: Option<&Past>) -> Option<PhysAddr> {
    let table = |reading: &Reading| PhysAddr(reading.place.0 & !(PAGE_SIZE - 1));
    let on_the_way = past.map_or(&[][..], |past| past.path.walk.readings());
    let mut own = walked.own_readings().map(table);
    own.find(|read| !on_the_way.iter().any(|reading| table(reading) == *read))
}
