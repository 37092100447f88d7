//! The routes that a port found last: what makes a hit as fast as a look at one counter.
//!
//! Invariant: a memo is used only in the epoch in which its route was found, and an epoch ends with every change of
//! what the unit caches of routes. So a memo shows nothing that the caches behind it do not. Where those caches are
//! switched off, there is no memo either.

use mmu::address::VirtAddr;

use crate::pasid::Pasid;
use crate::spec::fault::{AddressType, FaultReason};
use crate::spec::interrupt::Msi;
use crate::vtd::Vtd;
use crate::vtd::route::{Dialect, Reach, Refusal, Requester};
use crate::vtd::tags::SpaceKey;
use crate::vtd::trail::Trail;
use crate::vtd::walk::Space;

/// Memos of a port, one for each PASID modulo this.
const MEMOS: usize = 8;

/// A route, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Memo {
    pasid: Option<Pasid>,
    /// The epoch in which it may be used again; 0 is none.
    valid_in: u64,
    pub(super) found_in: u64,
    pub(super) space: Space,
    /// What its translations are tagged with.
    pub(super) key: Option<SpaceKey>,
    has_device_tlb: bool,
    pub(super) has_page_requests: bool,
    pub(super) hides_faults: bool,
    pub(super) trail: Trail,
}

/// See the module.
pub(super) struct Memos {
    memos: [Option<Memo>; MEMOS],
}

impl Memos {
    pub(super) fn new() -> Self {
        Self { memos: [const { None }; MEMOS] }
    }

    /// The route of `requester`, as of now.
    #[inline]
    pub(super) fn find(&mut self, unit: &Vtd, requester: Requester) -> Result<&Memo, Refusal> {
        let index = requester.pasid.map_or(0, |pasid| pasid.number() as usize % MEMOS);
        let memo = &mut self.memos[index];
        let epoch = unit.epoch();
        let is_valid = |memo: &Memo| memo.valid_in == epoch && memo.pasid == requester.pasid;
        if !memo.as_ref().is_some_and(is_valid) {
            *memo = Some(Memo::look_up(unit, requester, epoch)?);
        }
        memo.as_ref().ok_or(Refusal::open(FaultReason::RootTableMode))
    }
}

impl Memo {
    #[cold]
    fn look_up(unit: &Vtd, requester: Requester, epoch: u64) -> Result<Self, Refusal> {
        let caches = unit.options.caches;
        let keeps = caches.context != 0 && (caches.pasid != 0 || !unit.options.scalable_mode);
        let route = unit.route(requester, Reach::Caches, unit.recorder())?;
        Ok(Self {
            pasid: requester.pasid,
            valid_in: if keeps { epoch } else { 0 },
            found_in: epoch,
            space: unit.space(&route),
            key: route.key,
            has_device_tlb: route.has_device_tlb,
            has_page_requests: route.has_page_requests,
            hides_faults: route.hides_faults,
            trail: route.trail,
        })
    }

    /// Whether the route admits requests of that type to that address.
    #[inline]
    pub(super) fn check(&self, address: VirtAddr, address_type: AddressType) -> Result<(), Refusal> {
        let admits_type = address_type == AddressType::Untranslated || self.has_device_tlb;
        if admits_type && !Msi::is_address(address.0) {
            return Ok(());
        }
        let reason = match (self.space.dialect, admits_type) {
            (Dialect::Legacy, true) => FaultReason::InterruptRange,
            (Dialect::Legacy, false) => FaultReason::DeviceTlbBlocked,
            (Dialect::Scalable, true) => FaultReason::ScalableInterruptRange,
            (Dialect::Scalable, false) => FaultReason::DeviceTlbDisabled,
        };
        Err(Refusal { reason, hides_faults: self.hides_faults })
    }
}
