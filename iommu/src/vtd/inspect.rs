//! A look past the caches: what the tables say now.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table.

use std::collections::HashMap;

use mmu::address::{PhysAddr, VirtAddr};
use mmu::cache::Translation;
use pcie::{Pasid, Request, Requester, SourceId};

use crate::spec::fault::FaultReason;
use crate::vtd::Vtd;
use crate::vtd::route::{Reach, Stages};
use crate::vtd::tags::SpaceKey;
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

/// Where a requester's route leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lead {
    /// What addresses pass through, in one word.
    pub(crate) stages: &'static str,
    /// Where the first stage's table lies, if there is one; behind the second stage where both are.
    pub(crate) first_stage: Option<PhysAddr>,
    /// The same of the second.
    pub(crate) second_stage: Option<PhysAddr>,
    /// What translations are tagged with.
    pub(crate) key: Option<SpaceKey>,
    /// Whether the device may translate ahead.
    pub(crate) has_device_tlb: bool,
    /// What was read on the way.
    pub(crate) readings: Vec<Reading>,
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

    /// The functions that it knows, by their numbers.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceId> {
        let mut sources: Vec<_> = self.devices.read().keys().copied().collect();
        sources.sort_unstable_by_key(|source| source.0);
        sources
    }

    /// How `requester` is translated, by the tables alone.
    pub(crate) fn lead(&self, requester: Requester) -> Result<Lead, FaultReason> {
        let route =
            self.route(requester, Reach::Tables, self.remember()).map_err(|refusal| refusal.reason)?;
        let (stages, first_stage, second_stage) = match route.stages {
            Stages::Identity => ("none", None, None),
            Stages::First(first) => ("first", Some(first.root.table.address()), None),
            Stages::Second(second) => ("second", None, Some(second.table)),
            Stages::Nested(first, second) => ("nested", Some(first.root.table.address()), Some(second.table)),
        };
        let readings = route.trail.readings().to_vec();
        let (key, has_device_tlb) = (route.key, route.has_device_tlb);
        Ok(Lead { stages, first_stage, second_stage, key, has_device_tlb, readings })
    }

    /// All that the IOTLB holds.
    pub(crate) fn held_by_iotlb(&self) -> Vec<(SpaceKey, VirtAddr, Translation)> {
        let keys: HashMap<_, _> =
            self.tags.matching(|_| true).into_iter().map(|(key, tag)| (tag, key)).collect();
        let entries = self.iotlb.entries();
        entries.filter_map(|(tag, page, cached)| Some((*keys.get(&tag)?, page, cached))).collect()
    }

    /// All that the device's own TLB holds.
    pub(crate) fn held_by_device(&self, source: SourceId) -> Vec<(Option<Pasid>, VirtAddr, Translation)> {
        let Some(device) = self.device(source) else { return Vec::new() };
        let keys: HashMap<_, _> =
            device.tags().matching(|_| true).into_iter().map(|(pasid, tag)| (tag, pasid)).collect();
        let entries = device.cache().entries();
        entries.filter_map(|(tag, page, cached)| Some((*keys.get(&tag)?, page, cached))).collect()
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
