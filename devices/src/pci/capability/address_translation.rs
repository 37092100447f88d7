//! The three extended capabilities of shared virtual addressing: ATS, PRI and PASID.
//!
//! Invariant: a function that has them all may ask for translations, for pages, and for both in the name of a process,
//! each only while its enable bit is set. Source: PCI Express 4.0, 10.5 (ATS, PRI) and 7.8.8 (PASID).

use pcie::PASID_COUNT;

use super::{Capability, CapabilityId};
use crate::pci::ConfigSpace;

/// Address Translation Services.
pub const ATS: CapabilityId = CapabilityId::Extended(0x0f);
/// Page Request Interface.
pub const PRI: CapabilityId = CapabilityId::Extended(0x13);
/// Process Address Space ID.
pub const PASID: CapabilityId = CapabilityId::Extended(0x1b);

/// Control registers: ATS has its own behind its capabilities, PRI before its status, PASID like ATS.
const CONTROL_BEHIND: u16 = 6;
const PRI_CONTROL: u16 = 4;
const PRI_STATUS: u16 = 6;
const PRI_CAPACITY: u16 = 8;
const PRI_ALLOCATION: u16 = 12;
const CAPABILITIES: u16 = 4;

const ATS_ENABLE: u16 = 1 << 15;
/// Smallest translation unit, bits 0 to 4.
const ATS_UNIT: u16 = 0x1f;
/// Translation requests are page aligned.
const ATS_PAGE_ALIGNED: u16 = 1 << 5;
/// Invalidations that may be outstanding, bits 0 to 4: 0 means 32.
const ATS_QUEUE_DEPTH: u16 = 0;

const PRI_ENABLE: u16 = 1 << 0;
/// Gives up the requests that are outstanding, while PRI is off. Reads as 0.
const PRI_RESET: u16 = 1 << 1;
const PRI_RESPONSE_FAILURE: u16 = 1 << 0;
const PRI_UNEXPECTED_GROUP: u16 = 1 << 1;
const PRI_STOPPED: u16 = 1 << 8;
/// Responses to requests with a PASID carry it too.
const PRI_RESPONSE_PASID: u16 = 1 << 15;

const PASID_ENABLE: u16 = 1 << 0;
/// Bits of a PASID, in bits 8 to 12 of the capabilities: as many as the unit offers.
const PASID_WIDTH: u16 = 12 << 8;
const _: () = assert!(PASID_COUNT == 1 << 12, "the capability offers what the unit does");

/// ATS, off.
#[must_use]
pub fn ats() -> Capability {
    Capability::new(ATS, 8)
        .constant(CAPABILITIES, (ATS_QUEUE_DEPTH | ATS_PAGE_ALIGNED).to_le_bytes())
        .writable_at(CONTROL_BEHIND, (ATS_ENABLE | ATS_UNIT).to_le_bytes())
}

/// PRI, off and stopped, for `outstanding` page requests at a time.
#[must_use]
pub fn pri(outstanding: u32) -> Capability {
    Capability::new(PRI, 16)
        .writable_at(PRI_CONTROL, (PRI_ENABLE | PRI_RESET).to_le_bytes())
        .constant(PRI_STATUS, (PRI_STOPPED | PRI_RESPONSE_PASID).to_le_bytes())
        .cleared_at(PRI_STATUS, (PRI_RESPONSE_FAILURE | PRI_UNEXPECTED_GROUP).to_le_bytes())
        .constant(PRI_CAPACITY, outstanding.to_le_bytes())
        .writable_at(PRI_ALLOCATION, u32::MAX.to_le_bytes())
}

/// PASID with as many bits as the unit's, off.
#[must_use]
pub fn pasid() -> Capability {
    Capability::new(PASID, 8)
        .constant(CAPABILITIES, PASID_WIDTH.to_le_bytes())
        .writable_at(CONTROL_BEHIND, PASID_ENABLE.to_le_bytes())
}

/// Whether the function may ask for translations.
#[must_use]
pub fn ats_is_enabled(config: &ConfigSpace) -> bool {
    config.find(ATS).is_some_and(|at| config.get16(at + CONTROL_BEHIND) & ATS_ENABLE != 0)
}

/// Whether the function may ask for pages.
#[must_use]
pub fn pri_is_enabled(config: &ConfigSpace) -> bool {
    config.find(PRI).is_some_and(|at| config.get16(at + PRI_CONTROL) & PRI_ENABLE != 0)
}

/// Page requests that may be outstanding: what software has allotted.
#[must_use]
pub fn pri_allocation(config: &ConfigSpace) -> u32 {
    config.find(PRI).map_or(0, |at| config.get32(at + PRI_ALLOCATION))
}

/// Whether software has just had the page requests given up that are outstanding; it is taken note of once.
pub fn take_pri_reset(config: &mut ConfigSpace) -> bool {
    let Some(at) = config.find(PRI) else { return false };
    let control = config.get16(at + PRI_CONTROL);
    config.set16(at + PRI_CONTROL, control & !PRI_RESET);
    control & (PRI_RESET | PRI_ENABLE) == PRI_RESET
}

/// Shows that PRI has stopped: it is off, and no page request is outstanding.
pub fn show_pri_stopped(config: &mut ConfigSpace, is_request_outstanding: bool) {
    let stopped = !pri_is_enabled(config) && !is_request_outstanding;
    set_pri_status(config, PRI_STOPPED, stopped);
}

/// Notes that a page request was answered by a failure.
pub fn note_pri_failure(config: &mut ConfigSpace) {
    set_pri_status(config, PRI_RESPONSE_FAILURE, true);
}

fn set_pri_status(config: &mut ConfigSpace, bits: u16, on: bool) {
    if let Some(at) = config.find(PRI) {
        let others = config.get16(at + PRI_STATUS) & !bits;
        config.set16(at + PRI_STATUS, if on { others | bits } else { others });
    }
}

/// Whether the function may name a process.
#[must_use]
pub fn pasid_is_enabled(config: &ConfigSpace) -> bool {
    config.find(PASID).is_some_and(|at| config.get16(at + CONTROL_BEHIND) & PASID_ENABLE != 0)
}
