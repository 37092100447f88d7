//! The registers of the remapping unit.
//!
//! Invariant: a command is over when its status bit says so, and not before this returns. Source: VT-d 11.4.2 (CAP),
//! 11.4.3 (ECAP), 11.4.4 (GCMD, GSTS), 11.4.5 (RTADDR), 11.4.7 (FSTS), 11.4.9 (IQT, IQA), 11.4.14 (FRCD).

mod commands;
mod events;
mod interrupts;
mod requests;

pub use events::Event;
pub use interrupts::Ids;
pub use requests::Requests;

use crate::hardware::{load32, load64, store32, store64};
use crate::id::{Iova, Source};
use crate::memory::Frame;
use crate::patience::wait_until;

/// Where its registers lie.
pub(crate) const BASE: u64 = 0xfed9_0000;
const CAP: u64 = 0x08;
const ECAP: u64 = 0x10;
const GCMD: u64 = 0x18;
const GSTS: u64 = 0x1c;
const RTADDR: u64 = 0x20;
const FSTS: u64 = 0x34;
const IQT: u64 = 0x88;
const IQA: u64 = 0x90;

/// In GCMD and GSTS.
const TRANSLATION: u32 = 1 << 31;
const ROOT_TABLE: u32 = 1 << 30;
const QUEUE: u32 = 1 << 26;
/// The bits of GSTS that GCMD repeats; the others are commands for once.
const LASTING: u32 = 0x96ff_ffff;
/// In RTADDR: tables of scalable mode.
const SCALABLE_TABLES: u64 = 1 << 10;
/// In IQA: descriptors of 256 bits.
const WIDE_DESCRIPTORS: u64 = 1 << 11;
/// In FSTS: bits that are cleared by writing them; the record that is next.
const ALL_FAULTS: u32 = 0x7f;
/// IQE, ITE.
const QUEUE_STOPPED: u32 = 1 << 4 | 1 << 6;
const FIRST_RECORD: u32 = 8;
/// In a record's last word: it is in use.
const RECORD_IN_USE: u64 = 1 << 63;

/// Which tables the unit reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Context entries that name a second stage.
    Legacy,
    /// Context entries that name a PASID directory.
    Scalable,
}

/// A fault as the unit recorded it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Why, in the unit's numbers.
    pub reason: u8,
    /// Who asked.
    pub source: Source,
    /// For which page.
    pub page: Iova,
}

/// The unit.
#[derive(Debug)]
pub struct Unit {
    capability: u64,
    extended: u64,
}

impl Unit {
    /// The unit of this machine; none if nothing answers where it belongs.
    #[must_use]
    pub fn find() -> Option<Self> {
        let unit = Self { capability: load64(BASE + CAP), extended: load64(BASE + ECAP) };
        (unit.capability != u64::MAX).then_some(unit)
    }

    /// Entries that are absent are cached too (CAP.CM).
    #[must_use]
    pub const fn caches_absent(&self) -> bool {
        self.capability >> 7 & 1 != 0
    }

    /// First-stage tables may have five levels (CAP.FL5LP).
    #[must_use]
    pub const fn has_five_levels(&self) -> bool {
        self.capability >> 60 & 1 != 0
    }

    /// Devices may translate ahead (ECAP.DT).
    #[must_use]
    pub const fn has_device_tlbs(&self) -> bool {
        self.extended >> 2 & 1 != 0
    }

    /// Scalable mode (ECAP.SMTS).
    #[must_use]
    pub const fn has_scalable_mode(&self) -> bool {
        self.extended >> 43 & 1 != 0
    }

    /// Switches translation on or off.
    pub fn translate(&self, on: bool) {
        self.switch(TRANSLATION, on);
    }

    /// Takes over a root table.
    pub fn set_root(&self, root: Frame, mode: Mode) {
        let kind = if mode == Mode::Scalable { SCALABLE_TABLES } else { 0 };
        store64(BASE + RTADDR, root.address() | kind);
        self.command(ROOT_TABLE);
    }

    /// Takes over an empty queue of one frame.
    pub fn set_queue(&self, queue: Frame, mode: Mode) {
        self.switch(QUEUE, false);
        let width = if mode == Mode::Scalable { WIDE_DESCRIPTORS } else { 0 };
        store64(BASE + IQT, 0);
        store64(BASE + IQA, queue.address() | width);
        self.switch(QUEUE, true);
    }

    /// Rings: descriptors stand up to `tail`, in bytes.
    pub fn ring(&self, tail: u64) {
        store64(BASE + IQT, tail);
    }

    /// The bits of FSTS.
    #[must_use]
    pub fn fault_status(&self) -> u32 {
        load32(BASE + FSTS)
    }

    /// Ends the program if the unit stopped the queue for an error: waits behind it will never be over.
    pub fn expect_queue_to_run(&self) {
        let status = self.fault_status();
        assert!(status & QUEUE_STOPPED == 0, "the unit stopped the queue, FSTS {status:#x}");
    }

    /// Takes the fault that stands in the record that FSTS names, if any, and clears all of FSTS.
    pub fn take_fault(&self) -> Option<Fault> {
        let record = self.record(u64::from(self.fault_status() >> FIRST_RECORD & 0xff));
        let [low, high] = [load64(record), load64(record + 8)];
        store64(record + 8, RECORD_IN_USE);
        store32(BASE + FSTS, ALL_FAULTS);
        (high & RECORD_IN_USE != 0).then_some(Fault {
            reason: high.to_le_bytes()[4],
            source: Source(u16::from_le_bytes([high.to_le_bytes()[0], high.to_le_bytes()[1]])),
            page: Iova(low & !0xfff),
        })
    }

    /// Takes every fault that is recorded.
    pub fn forget_faults(&self) {
        while self.take_fault().is_some() {}
    }

    /// Where CAP.FRO says that a fault record lies.
    const fn record(&self, number: u64) -> u64 {
        BASE + (self.capability >> 24 & 0x3ff) * 16 + number * 16
    }

    /// Takes something over.
    fn command(&self, bit: u32) {
        store32(BASE + GCMD, self.lasting() | bit);
        wait_until("a command of the unit", || self.status() & bit != 0);
    }

    fn switch(&self, bit: u32, on: bool) {
        let others = self.lasting() & !bit;
        store32(BASE + GCMD, if on { others | bit } else { others });
        wait_until("a command of the unit", || (self.status() & bit != 0) == on);
    }

    fn lasting(&self) -> u32 {
        self.status() & LASTING
    }

    fn status(&self) -> u32 {
        load32(BASE + GSTS)
    }
}
