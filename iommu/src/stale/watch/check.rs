//! What the unit tells its watch, and what the watch makes of it: a use counts only if the tables deny it now.
//!
//! Invariant: the unit is looked past, and its queue read, with nothing of the watch locked: software may be at the
//! queue's registers, and be waiting for what is remembered.

use mmu::address::{PAGE_SIZE, PhysAddr};
use mmu::cache::Translation;
use pcie::Request;

use crate::spec::descriptor::Descriptor;
use crate::spec::fault::{FaultReason, FaultRecord};
use crate::stale::Kind;
use crate::stale::told::Told;
use crate::stale::watch::{Look, Watch, parting};
use crate::vtd::knobs::Verdict;
use crate::vtd::witness::{
    Ended, Filled, Happening, HeldIn, Loaded, Moment, Moved, Refused, Use, Used, Walked, Witness,
};
use crate::vtd::{Past, Path, Reading, Vtd};

impl Witness for Watch {
    fn now(&self) -> u64 {
        self.events()
    }

    fn happen(&self, what: Happening) -> Moment {
        let at = self.next_event();
        self.tell(at, || match what {
            Happening::Walk => Told::WalkBegins,
            Happening::InterruptEntry(source, index) => Told::InterruptEntry(source, index),
        });
        at
    }

    fn loaded(&self, loaded: Loaded<'_>) {
        match loaded {
            Loaded::Route { requester, trail, now } => self.read_route(requester, trail, now),
            Loaded::InterruptEntry { source, index, place, words } => {
                self.read_interrupt(source, index, place, words);
            }
        }
    }

    fn filled(&self, filled: Filled) {
        match filled {
            Filled::Translation { tag, address, translation, origin } => {
                self.filled_iotlb(tag, address, translation, origin);
            }
            Filled::Ahead { from, to, address, translation } => {
                self.filled_ahead(from, to, address, translation);
            }
            Filled::Absence { key, origin } => self.filled_absent(key, origin),
            Filled::Passing { held_in, origin } => self.passed(held_in, origin),
        }
    }

    fn used(&self, unit: &Vtd, used: Used<'_>) -> Option<Path> {
        match used {
            Used::Translation(used) => self.check_use(unit, used),
            Used::Walk(walked) => {
                let path = self.check_walk(unit, walked);
                self.tell_walk(walked);
                path
            }
            Used::Absence(refused) => {
                self.check_absent(unit, refused);
                None
            }
            Used::NoRoute(refused) => {
                self.check_no_route(unit, refused);
                None
            }
            Used::Interrupt(used) => {
                self.meet_interrupt(used, &unit.queued());
                None
            }
        }
    }

    fn invalidated(&self, unit: &Vtd, invalidation: &Descriptor, verdict: Verdict) {
        self.look_again(unit, invalidation);
        let carried_out = verdict == Verdict::Execute;
        match *invalidation {
            Descriptor::InterruptEntries(scope) => {
                let table = unit.interrupt_table();
                self.received_of_entries(scope, carried_out, table.count, unit.entries_of(table));
            }
            other => self.received(other, carried_out),
        }
    }

    fn ended(&self, ended: Ended) {
        match ended {
            Ended::Waited => self.waited(),
            Ended::Emptied(source) => self.emptied(source),
            Ended::GivenUp(source, given_up) => self.given_up(source, given_up),
        }
    }

    fn moved(&self, unit: &Vtd, moved: Moved) {
        match moved {
            Moved::Root => self.moved_root(),
            Moved::InterruptTable(table) => self.entries_begin(table.count, unit.entries_of(table)),
        }
    }

    fn faulted(&self, fault: &FaultRecord) {
        self.tell(self.moment(), || Told::Fault(fault));
    }
}

impl Watch {
    /// The event of a walk is the one before its first reading.
    fn tell_walk(&self, walked: &Walked<'_>) {
        let Walked { requester, request, began, outcome, .. } = *walked;
        let began = began.saturating_sub(1);
        self.tell(self.moment(), || Told::Walked { requester, request, began, outcome });
    }

    /// Looks whether the tables let a request pass by now that was refused for a cached reason.
    fn check_absent(&self, unit: &Vtd, refused: &Refused<'_>) {
        if let Ok(now) = unit.inspect(refused.requester, refused.request).translation {
            self.meet_absent(refused, now, &unit.queued());
        }
    }

    /// Looks whether pages were changed again since stale uses of them, of which an invalidation comes only now: it is for the
    /// later change, and came too late for the earlier one.
    fn look_again(&self, unit: &Vtd, invalidation: &Descriptor) {
        for (key, requester, request) in self.concerned(invalidation) {
            self.charge_changed_again(&key, unit.inspect(requester, &request).translation);
        }
    }

    /// Looks whether the tables say something else by now than a cached translation that is used, and the cache still has
    /// it. If they say the very same, the way by which they do.
    fn check_use(&self, unit: &Vtd, used: &Use<'_>) -> Option<Path> {
        let change = match self.look(used) {
            Look::Unknown => return None,
            // What a route of unchanged entries says may still be told by no table any more.
            Look::Unchanged(_) if matches!(used.held_in, HeldIn::Route(..)) => None,
            Look::Unchanged(path) => return Some(path),
            Look::Changed(change) => Some(change),
        };
        let past = unit.look_past(used.requester, used.request);
        let now = past.as_ref().map_or_else(|reason| Err(*reason), |past| past.translation);
        if agree(used.request, used.hit, now) {
            return past.ok().filter(|_| now == Ok(used.hit)).map(|past| past.path);
        }
        let change = change.or_else(|| parting(used.route, &past.ok()?.route))?;
        if unit.holds(used.held_in, used.request.address, used.hit) {
            self.meet_use(used, change, now, &unit.queued());
        }
        None
    }

    /// Looks whether a walk came through cached entries that the tables do not have any more: to a translation or a refusal
    /// that they deny, or to a table that they do not lead to. If they say the very same, the way by which they do.
    fn check_walk(&self, unit: &Vtd, walked: &Walked<'_>) -> Option<Path> {
        let own = || walked.outcome.is_ok().then(|| walked.origin.path.clone());
        let Some(change) = self.look_above(walked) else { return own() };
        let past = unit.look_past(walked.requester, walked.request);
        let now = past.as_ref().map_or_else(|reason| Err(*reason), |past| past.translation);
        let kind = match (walked.outcome, now) {
            (Ok(found), _) if !agree(walked.request, found, now) => Some(Kind::Translation),
            (Err(_), Ok(_)) => Some(Kind::Refusal),
            (Ok(_), _) | (Err(_), Err(_)) => unlinked(walked, past.as_ref().ok()).map(Kind::Table),
        };
        match kind {
            Some(kind) => {
                if self.may_look_at_walk(walked.began) {
                    self.meet_walk(walked, kind, change, now, &unit.queued());
                }
                None
            }
            None => past.ok().filter(|_| now == walked.outcome && now.is_ok()).map(|past| past.path),
        }
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
