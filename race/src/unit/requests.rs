//! In whose name devices ask, and what their translations are tagged with.
//!
//! Invariant: what has a PASID has one domain, and its PASIDs differ; what has none has a domain for each address space.
//! Source: VT-d 3.4, 6.2.1 (tags).

use iommu::spec::id::DomainId;
use iommu::vtd::{SpaceKey, StageKind};
use mmu::address::{Access, VirtAddr};
use pcie::{Pasid, Request, Requester, SourceId};

/// The function that every unit has in front of it.
pub(crate) const SOURCE: SourceId = SourceId(0);
/// The domain of everything that is translated by a PASID: those differ.
pub(crate) const DOMAIN: DomainId = DomainId(1);
/// Functions beside the scenario's: one differs in its number, one in its bus.
pub(crate) const NEIGHBOURS: [SourceId; 2] = [SourceId::new(0, 0, 1), SourceId::new(1, 0, 0)];

/// The domain of the translations that a context entry for an address space leads to.
pub(crate) fn domain(space: usize) -> DomainId {
    DomainId(u16::try_from(space + 1).expect("a scenario has few address spaces"))
}

/// The key of the translations of a PASID.
pub(crate) const fn of_pasid(pasid: Pasid) -> SpaceKey {
    SpaceKey { domain: DOMAIN, pasid: Some(pasid), stage: StageKind::First }
}

/// The key of the translations of a domain, for requests without PASID.
pub(crate) const fn of_domain(domain: DomainId) -> SpaceKey {
    SpaceKey { domain, pasid: None, stage: StageKind::Second }
}

pub(crate) const fn requester(pasid: Pasid) -> Requester {
    Requester { source: SOURCE, pasid: Some(pasid) }
}

pub(crate) const fn request(pasid: Option<Pasid>, address: VirtAddr, access: Access) -> Request {
    Request { pasid, address, access }
}
