//! Knobs that real hardware does not have: they make the unit or a device late, or let it err once.
//!
//! Invariant: a knob that was not touched changes nothing. What is late happens in the end: when the knob is released.

use pcie::SourceId;

use crate::spec::descriptor::Descriptor;
use crate::vtd::Vtd;

/// An error of the unit's queue. Invalidations are counted from 1, waits and responses are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The `nth` invalidation is not executed.
    Drop {
        /// Which.
        nth: u64,
    },
    /// The `nth` invalidation is executed when the next one has been: before the descriptor behind that, or before a
    /// wait if one comes earlier.
    Postpone {
        /// Which.
        nth: u64,
    },
}

/// How far the queue may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Gate {
    #[default]
    Open,
    /// So many descriptors more.
    Held { admitted: u64 },
    /// When software looks, and no further than it wrote by then.
    Lazy,
}

/// What is wrong with the queue.
#[derive(Debug, Default)]
pub(super) struct Mischief {
    fault: Option<Fault>,
    seen: u64,
    postponed: Option<Postponed>,
}

/// An invalidation that waits for the next one to overtake it.
#[derive(Debug)]
struct Postponed {
    descriptor: Descriptor,
    was_overtaken: bool,
}

/// What becomes of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Execute,
    Leave,
}

impl Gate {
    pub(super) fn admits(self) -> bool {
        !matches!(self, Self::Held { admitted: 0 } | Self::Lazy)
    }

    pub(super) fn count(&mut self) {
        if let Self::Held { admitted } = self {
            *admitted = admitted.saturating_sub(1);
        }
    }
}

impl Mischief {
    pub(super) fn judge(&mut self, descriptor: Descriptor) -> Verdict {
        if !descriptor.invalidates() {
            return Verdict::Execute;
        }
        self.seen += 1;
        match self.fault {
            Some(Fault::Drop { nth }) if nth == self.seen => Verdict::Leave,
            Some(Fault::Postpone { nth }) if nth == self.seen => {
                self.postponed = Some(Postponed { descriptor, was_overtaken: false });
                Verdict::Leave
            }
            Some(Fault::Drop { .. } | Fault::Postpone { .. }) | None => Verdict::Execute,
        }
    }

    /// What must be executed before `next` at the latest.
    pub(super) fn overdue(&mut self, next: &Descriptor) -> Option<Descriptor> {
        let postponed = self.postponed.as_mut()?;
        if postponed.was_overtaken || !next.invalidates() {
            return self.postponed.take().map(|postponed| postponed.descriptor);
        }
        postponed.was_overtaken = true;
        None
    }
}

impl Vtd {
    /// Holds the invalidation queue after `admitted` descriptors more.
    pub fn hold_queue(&self, admitted: u64) {
        self.queue.lock().gate = Gate::Held { admitted };
        self.run_queue();
    }

    /// From now on the queue runs only when software looks whether it is done, by reading FSTS or IQH: as late as a
    /// queue may be, and never later than a driver that waits. What nobody waits for is not carried out.
    pub fn run_queue_when_asked(&self) {
        self.queue.lock().gate = Gate::Lazy;
    }

    /// Lets the queue run on.
    pub fn release_queue(&self) {
        self.queue.lock().gate = Gate::Open;
        self.run_queue();
    }

    /// Makes the queue err once; invalidations count from now on.
    pub fn break_queue(&self, fault: Fault) {
        let mut queue = self.queue.lock();
        queue.mischief = Mischief { fault: Some(fault), seen: 0, postponed: None };
    }

    /// From now on the device of `source` does not answer device-TLB invalidations, and goes on using its entries.
    pub fn hold_device_tlb(&self, source: SourceId) {
        if let Some(device) = self.device(source) {
            device.hold();
        }
    }

    /// The device carries out what it was told and answers, and the queue goes on.
    pub fn release_device_tlb(&self, source: SourceId) {
        if let Some(device) = self.device(source) {
            device.catch_up();
        }
        self.run_queue();
    }

    /// The device has not answered in time: FSTS.ITE.
    pub fn time_out_device_tlb(&self, source: SourceId) {
        if let Some(device) = self.device(source) {
            let _fate = self.abort_waits(&mut self.queue.lock(), &device);
        }
    }

    /// From now on page requests stay in the unit until they are drained or released.
    pub fn hold_page_requests(&self) {
        self.requests.lock().held = true;
    }

    /// Writes the page requests that were held to the ring, and holds no more.
    pub fn release_page_requests(&self) {
        self.requests.lock().held = false;
        self.deliver_requests();
    }
}
