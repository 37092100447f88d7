//! From a use to a report: whether a use is kept or judged at once, what ends the waiting, and what a report is made of.
//!
//! Invariant: a use is judged only if the tables said something else when it was met, and if its invalidation is not under
//! way: whoever has queued an invalidation and a wait may take as long as the unit does. A report lists what was
//! received until it was judged, so an invalidation that came after the use and did not help is named as well.

use std::mem;
use std::time::Duration;

use mmu::address::{PAGE_SHIFT, Pfn, PhysAddr};
use mmu::cache::Translation;
use pcie::{Request, Requester};

use crate::spec::descriptor::{Descriptor, IotlbScope};
use crate::spec::fault::FaultReason;
use crate::stale::judge::{self, StaleEntry};
use crate::stale::watch::docket::{Case, Judged, Subject};
use crate::stale::watch::fill::{FillKey, first_address};
use crate::stale::watch::{Judging, MOST_QUEUED, MOST_REPORTS, Received, State, Watch};
use crate::stale::{Change, Ground, Holder, Kind, Meant, Missed, Moment, StaleUse, Why};
use crate::vtd::witness::Origin;

/// Cases that are looked at again with an invalidation at most.
const MOST_CONCERNED: usize = 64;

/// A cached entry, what changed under it, and what was done with it.
pub(crate) type CaseKey = (FillKey, Change, Kind);

/// What a use of something cached has shown.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) requester: Requester,
    pub(super) request: Request,
    pub(super) holder: Holder,
    pub(super) key: FillKey,
    pub(super) origin: Origin,
    pub(super) filled: Moment,
    pub(super) cached: Result<Translation, FaultReason>,
    pub(super) change: Change,
    pub(super) now: Result<Translation, FaultReason>,
}

/// A finding with what its judge has to know.
#[derive(Clone, Debug)]
pub(super) struct Stale {
    finding: Finding,
    entry: StaleEntry,
}

impl Subject for Stale {
    fn needs(&self) -> Vec<Descriptor> {
        judge::least(&self.entry)
    }

    fn is_served(&self, need: &Descriptor, invalidation: &Descriptor) -> bool {
        judge::is_served(&self.entry, need, invalidation)
    }
}

impl Stale {
    fn new(finding: Finding) -> Self {
        let entry = StaleEntry {
            requester: finding.requester,
            space: finding.origin.space,
            page: first_address(finding.request.address, finding.key.size),
            size: finding.key.size,
            holder: finding.holder,
            filled: finding.filled.event,
            change: finding.change,
            is_absence: finding.kind == Kind::Translation && finding.cached.is_err(),
            is_no_route: finding.kind == Kind::NoRoute,
            has_pasid_table: finding.origin.has_pasid_table(),
        };
        Self { finding, entry }
    }

    fn key(&self) -> CaseKey {
        (self.finding.key, self.finding.change, self.finding.kind)
    }

    /// Whether the page leads elsewhere than when the stale use was met, although it led somewhere then.
    fn was_changed_again(&self, now: Result<Translation, FaultReason>) -> bool {
        // Where its pages lead is no matter of whether it has tables.
        if self.finding.kind == Kind::NoRoute {
            return false;
        }
        let address = self.finding.request.address;
        let leads = |to: Translation| to.physical(address);
        self.finding.now.is_ok_and(|before| now.map(leads) != Ok(leads(before)))
    }

    /// Whether an invalidation takes this out of where it was held, so that one which came before it was filled says
    /// nothing.
    fn is_of_holder(&self, invalidation: &Descriptor) -> bool {
        match self.finding.holder {
            Holder::Iotlb => matches!(invalidation, Descriptor::Iotlb { .. }),
            Holder::DeviceTlb => matches!(invalidation, Descriptor::DeviceTlb(_)),
            Holder::TableCaches => false,
        }
    }

    /// Why a walk of `origin` that found `found` shows that the frame or the table is somebody else's by now.
    fn reused(&self, found: Translation, origin: &Origin) -> Option<Ground> {
        let others = Frames::of(found);
        if let Kind::Table(table) = self.finding.kind {
            return others.contain(table).then_some(Ground::TableReused);
        }
        let own = self.finding.cached.ok().map(Frames::of)?;
        let is_mapped =
            origin.space != self.finding.origin.space && found.permission.write && others.overlap(own);
        // A large page may hold tables all the time.
        let is_small = own.first == own.last;
        let is_walked = origin.path.walk.readings().iter().any(|reading| own.contain(reading.place));
        (is_mapped || is_small && is_walked).then_some(Ground::FrameReused)
    }
}

impl Watch {
    /// A stale use was met. With judging at once it is reported now, and otherwise kept, for `queued` tells what software
    /// has asked for and the unit has not come to yet.
    pub(super) fn meet(&self, state: &mut State, finding: Finding, queued: &[Descriptor]) {
        let stale = Stale::new(finding);
        let key = stale.key();
        if state.docket.count_use(&key) || !state.has_news(&stale, self.events()) {
            return;
        }
        let mut case = Case::new(stale, self.moment());
        let Stale { finding, .. } = case.subject.clone();
        for received in state.log.all_since(finding.change.read_at).filter(|received| received.carried_out) {
            let is_too_old =
                received.at.event < finding.filled.event && case.subject.is_of_holder(&received.invalidation);
            if !is_too_old {
                case.hear(&received.invalidation, received.at);
            }
        }
        match self.options.judging {
            Judging::AtOnce => self.report(state, (key, case, Ground::AtOnce), queued),
            // What a walk found may be invalidated by the time that somebody looks at it.
            Judging::Late(_) if case.is_over(state.last_wait) => {}
            Judging::Late(_) => state.docket.keep(key, case),
        }
    }

    /// Whether somebody uses as something else what stale uses led to.
    pub(super) fn charge_reuse(&self, state: &mut State, found: Translation, origin: &Origin) {
        let now = self.events();
        state.docket.charge(now, |_, stale| stale.reused(found, origin));
    }

    /// What was used of the cases that an invalidation is for and that led somewhere by the tables; not too many.
    pub(crate) fn concerned(&self, invalidation: &Descriptor) -> Vec<(CaseKey, Requester, Request)> {
        let state = self.state.lock();
        let led = state.docket.concerned(invalidation).filter(|(_, stale)| stale.finding.now.is_ok());
        let used = led.map(|(key, Stale { finding, .. })| (*key, finding.requester, finding.request));
        used.take(MOST_CONCERNED).collect()
    }

    /// With an invalidation that is for it, the tables say `now` of what was used in this case. If they lead it elsewhere than
    /// when it was used, nothing was invalidated in between.
    pub(crate) fn charge_changed_again(&self, key: &CaseKey, now: Result<Translation, FaultReason>) {
        let event = self.events();
        let mut state = self.state.lock();
        let is_it = |other: &CaseKey, stale: &Stale| other == key && stale.was_changed_again(now);
        state.docket.charge(event, |other, stale| is_it(other, stale).then_some(Ground::ChangedAgain));
    }

    /// Reports the kept uses whose time is over, or all if nothing comes any more. `queued` is what is queued by now.
    pub(crate) fn judge(&self, is_end: bool, queued: impl FnOnce() -> Vec<Descriptor>) {
        let Judging::Late(patience) = self.options.judging else { return };
        let now = self.moment().elapsed;
        if !self.state.lock().look(now, if is_end { Duration::ZERO } else { patience }) {
            return;
        }
        // Software may be at the queue's registers, and be waiting for the state.
        let queued = queued();
        let state = &mut *self.state.lock();
        let (cases, interrupts) = if is_end {
            (state.docket.rest(), state.interrupts.docket.rest())
        } else {
            (state.docket.due(now, patience), state.interrupts.docket.due(now, patience))
        };
        // What is queued by now is too late for whom something speaks against.
        let still_queued = |ground: Ground| if ground.is_evidence() { &[][..] } else { &queued };
        for judged in state.docket.excuse(cases, &queued, is_end) {
            let queued = still_queued(judged.2);
            self.report(state, judged, queued);
        }
        for judged in state.interrupts.docket.excuse(interrupts, &queued, is_end) {
            let queued = still_queued(judged.2);
            self.report_interrupt(state, judged, queued);
        }
    }

    /// Makes a report, unless the mistake was told before.
    fn report(&self, state: &mut State, judged: Judged<CaseKey, Stale>, queued: &[Descriptor]) {
        let (key, case, ground) = judged;
        let until = case.until();
        let Stale { finding, entry } = case.subject;
        let missed = |received: &_| state.missed(&entry, received);
        let weight = |missed: &_| judge::weight(&entry, missed);
        let (received, forgotten) = state.log.told_of(finding.change.read_at..until, missed, weight);
        let in_place = state.images.torn(&finding.origin, &finding.change, &self.memory, self.moment());
        let report = StaleUse {
            kind: finding.kind,
            ground,
            uses: case.uses,
            requester: finding.requester,
            request: finding.request,
            holder: finding.holder,
            space: finding.origin.space,
            cached: finding.cached,
            now: finding.now,
            filled: finding.filled,
            used: case.used,
            change: finding.change,
            in_place,
            received,
            forgotten,
            remedy: judge::remedy(&entry, queued),
            queued: queued.iter().take(MOST_QUEUED).copied().collect(),
        };
        if !state.docket.tell(key, report.mistake().name(), self.events()) {
            return;
        }
        state.count += 1;
        if state.reports.len() < MOST_REPORTS {
            state.reports.push(report);
        }
    }
}

impl State {
    /// Whether a case is to be judged at `now`. Of the time since the last look, half the patience counts at most.
    fn look(&mut self, now: Duration, patience: Duration) -> bool {
        let (looked, most) = (mem::replace(&mut self.looked, now), patience / 2);
        self.docket.postpone(looked, now, most);
        self.interrupts.docket.postpone(looked, now, most);
        self.docket.is_due(now, patience) || self.interrupts.docket.is_due(now, patience)
    }

    /// Whether there is something to say of a subject: it was not told of, or was invalidated in vain since.
    fn has_news(&mut self, stale: &Stale, now: u64) -> bool {
        let Some(told) = self.docket.told(&stale.key()) else { return true };
        let since = mem::replace(&mut told.looked_until, now);
        self.log.all_since(since).any(|received| self.missed(&stale.entry, received).meant == Meant::ForThis)
    }

    /// What an invalidation was to a stale translation.
    fn missed(&self, entry: &StaleEntry, received: &Received) -> Missed {
        let missed = judge::missed(entry, received, |invalidation| self.is_idle(invalidation));
        let is_alone = matches!(missed.why, Why::DeviceTlbOnly | Why::BeforeIotlb);
        if is_alone && judge::ends_earlier_flush(entry, received, self.log.all_before(received.at.event)) {
            return Missed { meant: Meant::ForOthers, ..missed };
        }
        missed
    }

    /// Whether nobody was seen to use anything of what an IOTLB invalidation names.
    fn is_idle(&self, invalidation: &Descriptor) -> bool {
        let Descriptor::Iotlb { scope, .. } = invalidation else { return false };
        match *scope {
            IotlbScope::Domain(domain) => !self.users.contains(&(domain, None)),
            IotlbScope::Pasid(domain, pasid) => !self.users.contains(&(domain, Some(pasid))),
            IotlbScope::Global | IotlbScope::Pages(..) | IotlbScope::PasidPages(..) => false,
        }
    }
}

/// The frames of a translation, from the first to the last: a device may name the last of all.
#[derive(Clone, Copy)]
struct Frames {
    first: Pfn,
    last: Pfn,
}

impl Frames {
    const fn of(translation: Translation) -> Self {
        let first = translation.pfn;
        Self { first, last: Pfn(first.0 + (translation.size.bytes() >> PAGE_SHIFT) - 1) }
    }

    fn contain(self, place: PhysAddr) -> bool {
        (self.first..=self.last).contains(&place.pfn())
    }

    fn overlap(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

#[cfg(test)]
mod tests;
