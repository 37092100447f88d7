//! Who had no tables, and has: requesters that are refused by cached context and PASID entries, after software has set up
//! what leads to their tables.
//!
//! Invariant: as for translations: a use is met if an entry on the way changed since it was read, and if by the tables
//! the way now ends at tables, whatever these say of the page. Nothing rests on such an entry, so it alone has to be
//! invalidated; with CAP.CM it is cached in the reserved domain. Source: VT-d 6.1, 6.2.2, 6.2.3.

use mmu::address::{PageSize, VirtAddr};
use mmu::cache::Translation;

use crate::spec::command::TableMode;
use crate::spec::descriptor::Descriptor;
use crate::spec::fault::FaultReason;
use crate::spec::id::DomainId;
use crate::stale::watch::Watch;
use crate::stale::watch::fill::FillKey;
use crate::stale::watch::judging::Finding;
use crate::stale::watch::remembered::Refused;
use crate::stale::{Change, Holder, Kind, Moment};
use crate::vtd::witness::{HeldIn, NoRoute, Origin};
use crate::vtd::{Path, SpaceKey, StageKind, Vtd};

impl Watch {
    /// Looks whether a requester that was refused for want of a route has one by now.
    pub(super) fn check_no_route(&self, unit: &Vtd, refused: &NoRoute<'_>) {
        let met = self.met_no_route(refused);
        let Some(change) = refused.read.readings().iter().find_map(|reading| self.change(reading)) else {
            return;
        };
        if let Ok(past) = unit.look_past(refused.requester, refused.request) {
            self.meet_no_route(refused, met, (change, past.translation), &unit.queued());
        }
    }

    /// When the requester was refused first by what was read then.
    fn met_no_route(&self, refused: &NoRoute<'_>) -> Moment {
        let mut state = self.state.lock();
        let known = state.no_routes.get(&refused.requester);
        let is_it = |known: &&Refused| known.origin.route.readings() == refused.read.readings();
        if let Some(known) = known.filter(is_it) {
            return known.met;
        }
        let met = self.moment();
        state.no_routes.insert(refused.requester, Refused { origin: origin(refused), met });
        met
    }

    fn meet_no_route(
        &self,
        refused: &NoRoute<'_>,
        met: Moment,
        (change, now): (Change, Result<Translation, FaultReason>),
        queued: &[Descriptor],
    ) {
        let requester = refused.requester;
        let finding = Finding {
            kind: Kind::NoRoute,
            requester,
            request: *refused.request,
            holder: Holder::TableCaches,
            key: FillKey::new(HeldIn::Route(requester, 0), VirtAddr(0), PageSize::Size4K),
            origin: origin(refused),
            filled: met,
            cached: Err(refused.reason),
            change,
            now,
        };
        self.meet(&mut self.state.lock(), finding, queued);
    }
}

/// What the refusal rests on, in the domain that invalidations of it have to name.
fn origin(refused: &NoRoute<'_>) -> Origin {
    let NoRoute { requester, mode, read, .. } = *refused;
    let stage = match mode {
        TableMode::Legacy => StageKind::Second,
        TableMode::Scalable | TableMode::Invalid => StageKind::First,
    };
    let space = SpaceKey { domain: DomainId::RESERVED, pasid: requester.pasid, stage };
    Origin { requester, space, route: read.clone(), path: Path::identity() }
}
