//! Invalidations by registers, for a driver without a queue.
//!
//! Invariant: a command is over when its bit reads 0, and not before this returns; the queue is off meanwhile. Only legacy
//! mode has them. Source: VT-d 6.5.1, 11.4.6 (CCMD), 11.4.8 (IOTLB).

use super::{BASE, QUEUE, Unit};
use crate::hardware::{load64, store64};
use crate::patience::wait_until;

const CCMD: u64 = 0x28;
/// Behind the IVA register, which lies where ECAP.IRO says.
const IOTLB_BEHIND_IVA: u64 = 0x08;
/// In both: go (ICC, IVT).
const GO: u64 = 1 << 63;
/// Everything: CCMD.CIRG, IOTLB.IIRG.
const ALL_CONTEXTS: u64 = 1 << 61;
const ALL_TRANSLATIONS: u64 = 1 << 60;
/// IOTLB.DR and DW: accesses that are under way are waited for.
const DRAIN: u64 = 3 << 48;

impl Unit {
    /// Switches the queue off: from now on registers command.
    pub fn leave_queue(&self) {
        self.switch(QUEUE, false);
    }

    /// Forgets all context entries.
    pub fn forget_contexts(&self) {
        command(BASE + CCMD, GO | ALL_CONTEXTS);
    }

    /// Forgets all translations.
    pub fn forget_translations(&self) {
        let iva = (self.extended >> 8 & 0x3ff) * 16;
        command(BASE + iva + IOTLB_BEHIND_IVA, GO | ALL_TRANSLATIONS | DRAIN);
    }
}

fn command(register: u64, command: u64) {
    store64(register, command);
    wait_until("an invalidation by a register", || load64(register) & GO == 0);
}
