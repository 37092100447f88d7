//! The shape of cloud-hypervisor's virtio-iommu: which domain an endpoint is in, and each domain's mappings, in trees
//! behind two reader-writer locks.
//!
//! Invariant: a translation takes both locks for reading, one inside the other; an unmap looks at every mapping of the
//! domain. Source: cloud-hypervisor 48 virtio-devices/src/iommu.rs, `DmaRemapping::translate_gva`, `UnmapReq`.

use std::collections::BTreeMap;
use std::sync::RwLock;

use mmu::address::PAGE_SIZE;

use crate::pages::{BASE, frame};

const ENDPOINT: u32 = 3;
const DOMAIN: u32 = 7;

struct Mapping {
    to: u64,
    len_bytes: u64,
}

struct Domain {
    mappings: BTreeMap<u64, Mapping>,
    passes: bool,
}

pub(crate) struct Shared {
    endpoints: RwLock<BTreeMap<u32, u32>>,
    domains: RwLock<BTreeMap<u32, Domain>>,
}

impl Shared {
    pub(crate) fn filled(pages: u64) -> Self {
        let domain = Domain { mappings: BTreeMap::new(), passes: false };
        let shared = Self {
            endpoints: RwLock::new(BTreeMap::from([(ENDPOINT, DOMAIN)])),
            domains: RwLock::new(BTreeMap::from([(DOMAIN, domain)])),
        };
        (0..pages).for_each(|page| shared.fill(page));
        shared
    }

    pub(crate) fn fill(&self, page: u64) {
        let mapping = Mapping { to: frame(page) * PAGE_SIZE, len_bytes: PAGE_SIZE };
        let mut domains = self.domains.write().expect("nobody panics");
        if let Some(domain) = domains.get_mut(&DOMAIN) {
            domain.mappings.insert(BASE + page * PAGE_SIZE, mapping);
        }
    }

    #[inline]
    pub(crate) fn address(&self, address: u64) -> Option<u64> {
        let endpoints = self.endpoints.read().expect("nobody panics");
        let domains = self.domains.read().expect("nobody panics");
        let domain = domains.get(endpoints.get(&ENDPOINT)?)?;
        if domain.passes {
            return Some(address);
        }
        let (from, mapping) = domain.mappings.range(..=address).next_back()?;
        (address - from < mapping.len_bytes).then(|| address - from + mapping.to)
    }

    pub(crate) fn invalidate(&self, page: u64) {
        let gone = BASE + page * PAGE_SIZE;
        let mut domains = self.domains.write().expect("nobody panics");
        if let Some(domain) = domains.get_mut(&DOMAIN) {
            domain.mappings.retain(|from, _| *from < gone || *from >= gone + PAGE_SIZE);
        }
    }
}
