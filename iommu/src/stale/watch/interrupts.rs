//! How uses of stale interrupt remapping entries are noticed.
//!
//! Invariant: as for translations: software changes an entry while interrupts come, so that one which comes between
//! the change and the end of its invalidation is nobody's mistake, unless uses are judged at once.

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use pcie::{Requester, SourceId};

use crate::spec::descriptor::{Descriptor, EntryScope};
use crate::spec::interrupt::InterruptEntry;
use crate::stale::interrupt::StaleInterrupt;
use crate::stale::judge;
use crate::stale::told::Told;
use crate::stale::watch::docket::{Case, Docket, Judged, Subject};
use crate::stale::watch::entries::Entries;
use crate::stale::watch::log::{Log, Received};
use crate::stale::watch::{Judging, MOST_QUEUED, MOST_REPORTS, State, Watch};
use crate::stale::{Ground, Meant};
use crate::vtd::witness::InterruptUse;

/// An entry, as it is cached and as it is.
pub(super) type InterruptKey = (u16, [u64; 2], Option<[u64; 2]>);

/// What is remembered of interrupt entries.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    log: Log,
    entries: Entries,
    pub(super) docket: Docket<InterruptKey, InterruptUse>,
    reports: Vec<StaleInterrupt>,
}

impl Subject for InterruptUse {
    fn needs(&self) -> Vec<Descriptor> {
        vec![judge::remedy_interrupt(self.index, &[])]
    }

    fn is_served(&self, _need: &Descriptor, invalidation: &Descriptor) -> bool {
        judge::covers_interrupt(self.index, invalidation)
    }
}

impl InterruptUse {
    /// Whether software has written another vector or destination since the use, or taken them away, although the entry
    /// was present then. One whose halves are written one after the other has not changed twice.
    fn was_changed_again(&self, memory: &PhysicalMemory) -> bool {
        let was_present = self.now.filter(|&words| InterruptEntry(words).is_present());
        was_present.is_some_and(|[low, _]| memory.try_load(self.place) != Some(low))
    }

    const fn key(&self) -> InterruptKey {
        (self.index, self.cached, self.now)
    }
}

impl Interrupts {
    /// An invalidation of interrupt entries was received. If an entry was changed again since the stale one was used,
    /// the invalidation is for that change.
    pub(super) fn receive(&mut self, received: Received, memory: &PhysicalMemory) {
        let is_for = |used: &InterruptUse| judge::covers_interrupt(used.index, &received.invalidation);
        self.docket.charge(received.at.event, |_, used| {
            (is_for(used) && used.was_changed_again(memory)).then_some(Ground::ChangedAgain)
        });
        self.log.push(received);
        if received.carried_out {
            self.docket.hear(&received.invalidation, received.at);
        }
    }

    /// Whether there is something to say of an entry: it was not told of, or was invalidated in vain since.
    fn has_news(&mut self, used: &InterruptUse, now: u64) -> bool {
        let Some(told) = self.docket.told(&used.key()) else { return true };
        let since = std::mem::replace(&mut told.looked_until, now);
        let missed = |received: &Received| judge::missed_interrupt(used.index, received).meant;
        self.log.all_since(since).any(|received| missed(received) == Meant::ForThis)
    }
}

impl Watch {
    /// Software has set up a table of `count` entries.
    pub(crate) fn entries_begin(&self, count: u32, read: impl Fn(u16) -> Option<[u64; 2]>) {
        self.state.lock().interrupts.entries.begin(count, read);
    }

    /// An invalidation of entries was received, in a table of `count`. To be told before it is carried out.
    pub(crate) fn received_of_entries(
        &self,
        scope: EntryScope,
        carried_out: bool,
        count: u32,
        read: impl Fn(u16) -> Option<[u64; 2]>,
    ) {
        let mut state = self.state.lock();
        let since = state.interrupts.entries.spoken_of(scope, count, read);
        let (at, invalidation) = (self.next_event(), Descriptor::InterruptEntries(scope));
        state.images.look(&invalidation, &self.memory, at);
        state.interrupts.receive(Received { at, invalidation, carried_out, since }, &self.memory);
        drop(state);
        self.tell(at, || Told::Invalidated { invalidation: &invalidation, carried_out });
    }

    /// An interrupt entry was read from the table, for an interrupt of `source`.
    pub(crate) fn read_interrupt(&self, source: SourceId, index: u16, place: PhysAddr, words: [u64; 2]) {
        let requester = Requester { source, pasid: None };
        let now = self.moment();
        self.state.lock().images.read_interrupt((requester, index, place), words, now);
    }

    /// A stale entry was used, for which invalidations may still be `queued`.
    pub(crate) fn meet_interrupt(&self, used: &InterruptUse, queued: &[Descriptor]) {
        let moment = self.moment();
        let mut state = self.state.lock();
        let State { interrupts, last_wait, .. } = &mut *state;
        if interrupts.docket.count_use(&used.key()) || !interrupts.has_news(used, moment.event) {
            return;
        }
        let mut case = Case::new(*used, moment);
        for received in interrupts.log.all_since(used.filled.event).filter(|received| received.carried_out) {
            case.hear(&received.invalidation, received.at);
        }
        match self.options.judging {
            Judging::AtOnce => self.report_interrupt(&mut state, (used.key(), case, Ground::AtOnce), queued),
            Judging::Late(_) if case.is_over(*last_wait) => {}
            Judging::Late(_) => interrupts.docket.keep(used.key(), case),
        }
    }

    /// Makes a report, unless the mistake was told before.
    pub(super) fn report_interrupt(
        &self,
        state: &mut State,
        (key, case, ground): Judged<InterruptKey, InterruptUse>,
        queued: &[Descriptor],
    ) {
        let used = case.subject;
        let log = &state.interrupts.log;
        let missed = |received: &Received| judge::missed_interrupt(used.index, received);
        let (received, forgotten) = log.told_of(used.filled.event..case.until(), missed, |_| 0);
        let report = StaleInterrupt {
            ground,
            uses: case.uses,
            source: used.source,
            index: used.index,
            place: used.place,
            cached: used.cached,
            now: used.now,
            filled: used.filled,
            used: case.used,
            received,
            forgotten,
            remedy: judge::remedy_interrupt(used.index, queued),
            queued: queued.iter().take(MOST_QUEUED).copied().collect(),
        };
        if !state.interrupts.docket.tell(key, report.mistake().name(), self.events()) {
            return;
        }
        state.count += 1;
        if state.interrupts.reports.len() < MOST_REPORTS {
            state.interrupts.reports.push(report);
        }
    }

    /// The reports of interrupts since this was asked last.
    pub(crate) fn take_interrupts(&self) -> Vec<StaleInterrupt> {
        std::mem::take(&mut self.state.lock().interrupts.reports)
    }
}
