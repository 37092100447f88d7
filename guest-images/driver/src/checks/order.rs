//! The order of a flush: the IOTLB first, then the device's TLB, which would be filled from it again otherwise.
//!
//! Invariant: each step is waited for before the next, so the device uses its address in between. Source: VT-d 6.5.2.5.

use super::{Checks, Complaint, Holder, Missing, Note, Page};
use crate::caches::Keeps;
use crate::entry::DeviceTlb;
use crate::id::Pasid;
use crate::policy::{Policy, in_device, in_iotlb, least};
use crate::space::{Change, Kind};

/// The wrong order, once.
pub(super) fn wrong(checks: &mut Checks, name: &str, kind: Kind, pasid: Option<Pasid>) {
    if !checks.driver.has_device_tlbs() {
        return checks.note(format_args!("{name}, wrong order"), Ok(Note::Absent("no device TLBs")));
    }
    let space = checks.space(0, kind, pasid).with(DeviceTlb::On);
    checks.driver.attach(&space);
    let page = checks.page(&space);
    let (first, change) = match device_first(checks, &page) {
        Ok((note, change)) => (Ok(note), Some(change)),
        Err(complaint) => (Err(complaint), None),
    };
    checks.note(format_args!("{name}, wrong order: device TLB first"), first);
    if let Some(change) = change {
        let then = iotlb_then(checks, &page, &change);
        checks.note(format_args!("{name}, wrong order: IOTLB then"), then);
    }
}

fn device_first(checks: &mut Checks, page: &Page) -> Result<(Note, Change), Complaint> {
    checks.expect("mapped", page, Keeps::Always)?;
    let change = checks.driver.remap(&page.space, page.at, page.new, Policy::Nothing);
    checks.driver.invalidate(&[in_device(&change)]);
    checks.expect("device flushed", page, checks.caches.iotlb)?;
    let missing = Missing::after(&change, Holder::Unit);
    Ok((checks.stale_if(checks.caches.iotlb, page, missing), change))
}

fn iotlb_then(checks: &mut Checks, page: &Page, change: &Change) -> Result<Note, Complaint> {
    checks.driver.invalidate(&[in_iotlb(least(change.entry), change)]);
    let kept = checks.caches.iotlb.min(checks.caches.device_tlb);
    checks.expect("IOTLB flushed", page, kept)?;
    checks.driver.invalidate(&[in_device(change)]);
    checks.expect("device flushed again", page, Keeps::Never)?;
    Ok(checks.stale_if(kept, page, Missing::after(change, Holder::Device)))
}
