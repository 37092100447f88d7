//! How uses of stale interrupt remapping entries are noticed.
//!
//! Invariant: as for translations; but software changes an entry while interrupts come, so that one which comes between
//! the change and its invalidation is nobody's fault. Patience is not an option here.

use mmu::address::PhysAddr;

use crate::spec::descriptor::Descriptor;
use crate::spec::id::SourceId;
use crate::stale::interrupt::StaleInterrupt;
use crate::stale::judge;
use crate::stale::watch::ledger::{Ledger, Meeting};
use crate::stale::watch::log::Log;
use crate::stale::watch::{MOST_QUEUED, MOST_REPORTS, Patience, Watch};
use crate::stale::{Missed, Moment};

/// The use of a cached entry, of which the table says something else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterruptUse {
    pub(crate) source: SourceId,
    pub(crate) index: u16,
    pub(crate) cached: [u64; 2],
    pub(crate) filled: Moment,
    pub(crate) place: PhysAddr,
    pub(crate) now: Option<[u64; 2]>,
}

/// What is remembered of interrupt entries.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    pub(super) log: Log,
    ledger: Ledger<(u16, [u64; 2], Option<[u64; 2]>)>,
    pub(super) reports: Vec<StaleInterrupt>,
}

impl Watch {
    /// An interrupt entry was read from the table and cached.
    pub(crate) fn filled_interrupt(&self) -> Moment {
        self.happen()
    }

    /// Reports the use of a stale entry, for which invalidations may still be `queued`.
    pub(crate) fn report_interrupt(&self, used: &InterruptUse, queued: Vec<Descriptor>) {
        let moment = self.moment();
        let mut state = self.state.lock();
        let meeting =
            Meeting { event: moment.event, last_wait: state.last_wait, patience: Patience::AfterWait };
        if !state.interrupts.ledger.is_due((used.index, used.cached, used.now), meeting) {
            return;
        }
        state.count += 1;
        let since = used.filled.event;
        let log = &state.interrupts.log;
        let received: Vec<Missed> =
            log.since(since).map(|received| judge::missed_interrupt(used.index, received)).collect();
        let report = StaleInterrupt {
            source: used.source,
            index: used.index,
            place: used.place,
            cached: used.cached,
            now: used.now,
            filled: used.filled,
            used: moment,
            received,
            forgotten: log.forgotten_since(since),
            remedy: judge::remedy_interrupt(used.index, &queued),
            queued: queued.into_iter().take(MOST_QUEUED).collect(),
        };
        if state.interrupts.reports.len() < MOST_REPORTS {
            state.interrupts.reports.push(report);
        }
    }

    /// The reports of interrupts since this was asked last.
    pub(crate) fn take_interrupts(&self) -> Vec<StaleInterrupt> {
        std::mem::take(&mut self.state.lock().interrupts.reports)
    }
}
