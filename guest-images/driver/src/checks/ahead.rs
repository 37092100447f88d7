//! A device that translates ahead where the tables do not admit it (DTE 0).
//!
//! Invariant: who is not admitted reaches nothing, not even its own ring. Source: VT-d 4.2, 7.2.3.

use super::{Checks, Complaint, Note, expect};
use crate::caches::Keeps;
use crate::engine::{Job, Target};
use crate::entry::{DeviceTlb, Levels};
use crate::id::Iova;
use crate::space::Kind;
use crate::unit::Mode;

/// Why a request for a translation is blocked where DTE is 0.
const LEGACY_REASON: u8 = 0x0d;
const SCALABLE_REASON: u8 = 0x44;

/// All of them.
pub(super) fn all(checks: &mut Checks) {
    if !checks.driver.unit.has_device_tlbs() {
        let why = "the unit has no device TLBs";
        return checks.note(format_args!("translating ahead"), Ok(Note::Absent(why)));
    }
    checks.driver.switch(Mode::Legacy);
    let outcome = not_admitted(checks, LEGACY_REASON);
    checks.note(format_args!("translating ahead, DTE 0 in legacy mode"), outcome);
    let outcome = if checks.driver.unit.has_scalable_mode() {
        checks.driver.switch(Mode::Scalable);
        not_admitted(checks, SCALABLE_REASON)
    } else {
        Ok(Note::Absent("the unit has no scalable mode"))
    };
    checks.note(format_args!("translating ahead, DTE 0 in scalable mode"), outcome);
}

/// The engine cannot even read its ring.
fn not_admitted(checks: &mut Checks, reason: u8) -> Result<Note, Complaint> {
    let space = checks.space(0, Kind::Second(Levels::Four), None);
    checks.driver.attach(&space);
    let page = checks.page(&space);
    checks.expect("untranslated", &page, Keeps::Always)?;
    checks.driver.unit.forget_faults();
    let engine = checks.driver.engine(&space);
    engine.translate_ahead(DeviceTlb::On);
    let _never = engine.begin([Job::Read(Target { pasid: None, at: page.at })]);
    engine.wait_for_halt();
    engine.translate_ahead(DeviceTlb::Off);
    engine.restart();
    let fault = checks.driver.unit.take_fault();
    let found = fault.map(|fault| fault.reason.into()).ok_or(0);
    expect("blocked", fault.map_or(Iova(0), |fault| fault.page), found, Ok(reason.into()))?;
    checks.driver.unit.forget_faults();
    checks.expect("untranslated again", &page, Keeps::Always)?;
    Ok(Note::Held)
}
