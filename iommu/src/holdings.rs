//! What is cached for a device, beside what the tables say: for whoever asks while a guest runs.
//!
//! Invariant: looking changes nothing, neither a cache nor a mark in a table. What is listed is bounded, the rest counted.
//! Each part is looked at for itself, and a guest that runs may change one while the other is looked at.

use mmu::address::{Access, VirtAddr};
use mmu::cache::Translation;
use pcie::{Pasid, Request, Requester};
use serde_json::{Value, json};

use crate::spec::fault::FaultReason;
use crate::stale::json::{fault, hex, translation};
use crate::vtd::{Lead, Reading, SpaceKey, StageKind, Vtd};

/// Entries of a cache that are listed.
const MOST_LISTED: usize = 128;

/// A look at one device.
#[derive(Clone, Debug)]
pub struct Holdings {
    requester: Requester,
    /// By the tables alone, with what was read on the way.
    route: Result<Lead, FaultReason>,
    iotlb: Listed<SpaceKey>,
    device_tlb: Listed<Option<Pasid>>,
}

/// Some entries of a cache, and how many there are.
#[derive(Clone, Debug)]
struct Listed<K> {
    entries: Vec<Entry<K>>,
    count: usize,
}

/// An entry of a cache.
#[derive(Clone, Debug)]
struct Entry<K> {
    key: K,
    page: VirtAddr,
    cached: Translation,
    /// What the tables say of the page to the requester; none if the entry is none of its.
    now: Option<Result<Translation, FaultReason>>,
}

impl Vtd {
    /// What is cached for `requester`, and what the tables say.
    #[must_use]
    pub fn holdings(&self, requester: Requester) -> Holdings {
        let route = self.lead(requester);
        let own = route.as_ref().ok().and_then(|lead| lead.key);
        let is_own = |key: &SpaceKey| own == Some(*key);
        let iotlb = self.list(self.held_by_iotlb(), |key| is_own(key).then_some(requester.pasid), requester);
        let device_tlb = self.list(self.held_by_device(requester.source), |pasid| Some(*pasid), requester);
        Holdings { requester, route, iotlb, device_tlb }
    }

    /// Those of `found` that come first, its own before others, by address; `whose` says with which PASID the requester
    /// would use one.
    fn list<K: Copy>(
        &self,
        mut found: Vec<(K, VirtAddr, Translation)>,
        whose: impl Fn(&K) -> Option<Option<Pasid>>,
        requester: Requester,
    ) -> Listed<K> {
        let count = found.len();
        found.sort_by_key(|(key, page, _)| (whose(key).is_none(), *page));
        found.truncate(MOST_LISTED);
        let entry = |(key, page, cached): (K, VirtAddr, Translation)| {
            let now = whose(&key).map(|pasid| self.says(Requester { pasid, ..requester }, page, cached));
            Entry { key, page, cached, now }
        };
        Listed { entries: found.into_iter().map(entry).collect(), count }
    }

    /// What the tables say of a page that is cached.
    fn says(
        &self,
        requester: Requester,
        page: VirtAddr,
        cached: Translation,
    ) -> Result<Translation, FaultReason> {
        let access = if cached.permission.read { Access::Read } else { Access::Write };
        let request = Request { pasid: requester.pasid, address: page, access };
        self.inspect(requester, &request).translation
    }

    /// The way of one address through the tables, as an object for tools.
    #[must_use]
    pub fn walk_to_json(&self, requester: Requester, address: VirtAddr) -> Value {
        let request = Request { pasid: requester.pasid, address, access: Access::Read };
        let inspected = self.inspect(requester, &request);
        json!({
            "address": hex(address.0),
            "readings": inspected.readings.iter().map(reading).collect::<Vec<_>>(),
            "translation": inspected.translation.as_ref().map_or(Value::Null, translation),
            "fault": inspected.translation.err().map(fault),
        })
    }
}

impl Holdings {
    /// As an object for tools.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "device": self.requester.source.to_string(),
            "pasid": self.requester.pasid.map(Pasid::number),
            "route": self.route.as_ref().map_or(Value::Null, route),
            "fault": self.route.as_ref().err().map(|reason| fault(*reason)),
            "iotlb": self.iotlb.to_json(|key| json!({
                "domain": key.domain.0, "pasid": key.pasid.map(Pasid::number), "stage": stage(key.stage),
            })),
            "device_tlb": self.device_tlb.to_json(|pasid| json!({ "pasid": pasid.map(Pasid::number) })),
        })
    }
}

impl<K> Listed<K> {
    fn to_json(&self, of: impl Fn(&K) -> Value) -> Value {
        let entries: Vec<_> = self.entries.iter().map(|entry| entry.to_json(&of(&entry.key))).collect();
        json!({ "count": self.count, "entries": entries })
    }
}

impl<K> Entry<K> {
    fn to_json(&self, of: &Value) -> Value {
        let now = self.now.as_ref();
        json!({
            "of": of,
            "address": hex(self.page.0),
            "cached": translation(&self.cached),
            "now": now.and_then(|now| now.as_ref().ok()).map_or(Value::Null, translation),
            "fault": now.and_then(|now| now.as_ref().err()).map(|reason| fault(*reason)),
        })
    }
}

fn route(lead: &Lead) -> Value {
    json!({
        "translation": lead.stages,
        "first_stage": lead.first_stage.map(|at| hex(at.0)),
        "second_stage": lead.second_stage.map(|at| hex(at.0)),
        "domain": lead.key.map(|key| key.domain.0),
        "device_tlb": lead.has_device_tlb,
        "readings": lead.readings.iter().map(reading).collect::<Vec<_>>(),
    })
}

fn reading(reading: &Reading) -> Value {
    json!({ "entry": reading.table.to_string(), "at": hex(reading.place.0), "is": hex(reading.value) })
}

const fn stage(stage: StageKind) -> &'static str {
    match stage {
        StageKind::First => "first",
        StageKind::Second => "second",
        StageKind::Nested => "nested",
    }
}

#[cfg(test)]
mod tests;
