//! What was not there, and is: failures that a unit with CAP.CM caches, as they are used after software has mapped the page.
//!
//! Invariant: as for translations: a failure is remembered with the entries that it rests on, and its use is reported if one
//! of them changed and the tables now let the request pass. Source: VT-d 6.1.

use mmu::address::{Access, PageSize, VirtAddr};
use mmu::cache::{Tag, Translation};

use crate::spec::descriptor::Descriptor;
use crate::spec::fault::FaultReason;
use crate::stale::watch::{FillKey, Finding, Origin, Place, Rests, Watch};
use crate::stale::{Holder, Moment};
use crate::vtd::port::Request;
use crate::vtd::{Requester, Trail};

/// A failure, as it is cached: whose, where, at what.
pub(crate) type AbsentKey = (Tag, VirtAddr, Access);

/// What a cached failure rests on.
#[derive(Clone, Debug)]
pub(super) struct Absence {
    origin: Origin,
    filled: Moment,
}

impl Rests for Absence {
    fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Watch {
    /// A walk failed, and that was cached.
    pub(crate) fn filled_absent(&self, key: AbsentKey, origin: Origin) {
        let absence = Absence { origin, filled: self.happen() };
        self.state.lock().absences.insert(key, absence);
    }

    /// Reports that a request was refused for a cached `reason`, and that the tables let it pass `now`.
    pub(crate) fn report_absent(
        &self,
        (requester, request, key): (Requester, &Request, AbsentKey),
        reason: FaultReason,
        now: Translation,
        queued: Vec<Descriptor>,
    ) {
        let mut state = self.state.lock();
        let Some(Absence { origin, filled }) = state.absences.get(&key).cloned() else { return };
        let mut readings = [&origin.route, &origin.path.walk].into_iter().flat_map(Trail::readings);
        let Some(change) = readings.find_map(|reading| self.change(reading)) else { return };
        let finding = Finding {
            requester,
            request,
            holder: Holder::Iotlb,
            key: FillKey::new(Place::Iotlb(key.0), key.1, PageSize::Size4K),
            origin: &origin,
            filled,
            cached: Err(reason),
            change,
            now: Ok(now),
        };
        self.tell(&mut state, &finding, queued);
    }
}
