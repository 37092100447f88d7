//! What was not there, and is: failures that a unit with CAP.CM caches, as they are used after software has mapped the page.
//!
//! Invariant: as for translations: a failure is remembered with the entries that it rests on, and its use is met if one
//! of them changed and the tables now let the request pass. Source: VT-d 6.1.

use mmu::address::PageSize;
use mmu::cache::Translation;

use crate::spec::descriptor::Descriptor;
use crate::stale::told::{self, Told};
use crate::stale::watch::Watch;
use crate::stale::watch::fill::FillKey;
use crate::stale::watch::judging::Finding;
use crate::stale::watch::remembered::Rests;
use crate::stale::{Holder, Kind, Moment};
use crate::vtd::AbsentKey;
use crate::vtd::witness::{HeldIn, Origin, Refused};

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
        let (requester, space, filled) = (origin.requester, origin.space, self.next_event());
        self.state.lock().absences.insert(key, Absence { origin, filled });
        let fill = told::Fill { requester, space, address: key.1, translation: None };
        self.tell(filled, || Told::Iotlb(fill));
    }

    /// A request was refused for a cached `reason`, and the tables let it pass `now`.
    pub(crate) fn meet_absent(
        &self,
        &Refused { requester, request, key, reason }: &Refused<'_>,
        now: Translation,
        queued: &[Descriptor],
    ) {
        let mut state = self.state.lock();
        let Some(Absence { origin, filled }) = state.absences.get(&key).cloned() else { return };
        let Some(change) = origin.readings().find_map(|reading| self.change(reading)) else { return };
        let finding = Finding {
            kind: Kind::Translation,
            requester,
            request: *request,
            holder: Holder::Iotlb,
            key: FillKey::new(HeldIn::Iotlb(key.0), key.1, PageSize::Size4K),
            origin,
            filled,
            cached: Err(reason),
            change,
            now: Ok(now),
        };
        self.meet(&mut state, finding, queued);
    }
}
