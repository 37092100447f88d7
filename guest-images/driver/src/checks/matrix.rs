//! The matrix: every mode, every granularity, with and without a device's own TLB.
//!
//! Invariant: a cell has pages of its own. Its page and a bystander are changed without an invalidation and are still what
//! they were; an invalidation of its granularity reaches the page, and not the bystander, which was chosen so.
//! Source: VT-d 6.5.2.3, 6.5.2.4 (what each granularity takes), 6.5.2.5 (order).

use super::{Checks, Complaint, Missing, Note, Page};
use crate::caches::Keeps;
use crate::entry::{DeviceTlb, Levels};
use crate::id::Domain;
use crate::policy::{Granularity, Policy, in_device, in_iotlb, least};
use crate::space::{Change, Kind, Space};

const DOMAIN: Domain = Domain(1);
const OTHER_DOMAIN: Domain = Domain(2);
const GRANULARITIES: [(Granularity, &str); 5] = [
    (Granularity::Global, "global"),
    (Granularity::Domain, "domain"),
    (Granularity::Page, "page"),
    (Granularity::Pasid, "pasid"),
    (Granularity::PageInPasid, "page-in-pasid"),
];

/// The spaces of one part of the matrix.
struct Part {
    name: &'static str,
    own: Space,
    other_domain: Space,
    /// The same domain, another process.
    other_pasid: Option<Space>,
    device_tlb: DeviceTlb,
}

/// Legacy mode.
pub(super) fn legacy(checks: &mut Checks) {
    for device_tlb in [DeviceTlb::Off, DeviceTlb::On] {
        if device_tlb == DeviceTlb::On && !checks.driver.unit.has_device_tlbs() {
            return checks
                .note(format_args!("legacy, device TLB"), Ok(Note::Absent("the unit has no device TLBs")));
        }
        let with = |space: Space| space.with(device_tlb);
        let own = with(checks.space(0, Kind::Second(Levels::Three), DOMAIN, None));
        let other_domain = with(checks.space(1, Kind::Second(Levels::Four), OTHER_DOMAIN, None));
        run(checks, &Part { name: "legacy", own, other_domain, other_pasid: None, device_tlb });
    }
}

fn run(checks: &mut Checks, part: &Part) {
    for space in [Some(&part.own), Some(&part.other_domain), part.other_pasid.as_ref()].into_iter().flatten()
    {
        checks.driver.attach(space);
    }
    let held = match part.device_tlb {
        DeviceTlb::Off => "iotlb",
        DeviceTlb::On => "device-tlb",
    };
    for (granularity, granularity_name) in GRANULARITIES {
        let outcome = match lacking(part, granularity) {
            Some(why) => Ok(Note::Absent(why)),
            None => cell(checks, part, granularity),
        };
        checks.note(format_args!("{} {granularity_name} {held}", part.name), outcome);
    }
}

/// Why there is no such cell.
fn lacking(part: &Part, granularity: Granularity) -> Option<&'static str> {
    match granularity {
        Granularity::Pasid | Granularity::PageInPasid if part.own.pasid.is_none() => {
            Some("a second stage belongs to its domain and to no process")
        }
        _ => None,
    }
}

fn cell(checks: &mut Checks, part: &Part, granularity: Granularity) -> Result<Note, Complaint> {
    let page = checks.page(&part.own);
    let bystander = bystander(part, granularity, &page).map(|space| checks.page(&space));
    let pages = [Some(page), bystander];
    let kept = checks.caches.translation(part.device_tlb);
    each(&pages, |page| checks.expect("mapped", page, Keeps::Always))?;
    let change = change(checks, granularity, &page);
    let other = bystander.map(|page| self::change(checks, granularity, &page));
    each(&pages, |page| checks.expect("changed", page, kept))?;
    checks.driver.invalidate(&[in_iotlb(granularity, &change)]);
    if part.device_tlb == DeviceTlb::On {
        checks.expect("IOTLB flushed", &page, checks.caches.device_tlb)?;
        checks.driver.invalidate(&[in_device(&change)]);
    }
    checks.expect("flushed", &page, Keeps::Never)?;
    if let (Some(bystander), Some(change)) = (bystander, other) {
        checks.expect("bystander", &bystander, kept)?;
        checks.driver.flush(&change, Policy::Right);
        checks.expect("bystander flushed", &bystander, Keeps::Never)?;
    }
    Ok(stale(checks, part, &change, pages))
}

fn each(
    pages: &[Option<Page>; 2],
    mut act: impl FnMut(&Page) -> Result<bool, Complaint>,
) -> Result<(), Complaint> {
    pages.iter().flatten().try_for_each(|page| act(page).map(|_| ()))
}

/// Whose page an invalidation of that granularity leaves alone.
fn bystander(part: &Part, granularity: Granularity, page: &Page) -> Option<Space> {
    match granularity {
        Granularity::Global => None,
        Granularity::Domain => Some(part.other_domain),
        // All that has a first stage goes with any page of the domain.
        Granularity::Page if page.space.pasid.is_some() => Some(part.other_domain),
        Granularity::Pasid => part.other_pasid,
        Granularity::Page | Granularity::PageInPasid => Some(page.space),
    }
}

/// Lets the page lead to its second frame, by an entry that the granularity is for.
fn change(checks: &mut Checks, granularity: Granularity, page: &Page) -> Change {
    match granularity {
        Granularity::Pasid | Granularity::PageInPasid => {
            checks.driver.remap(&page.space, page.at, page.new, Policy::Nothing)
        }
        _ => checks.driver.remap_below(&page.space, page.at, page.new, Policy::Nothing),
    }
}

fn stale(checks: &Checks, part: &Part, change: &Change, pages: [Option<Page>; 2]) -> Note {
    if checks.caches.translation(part.device_tlb) != Keeps::Always {
        return Note::Held;
    }
    let by_device = checks.caches.device(part.device_tlb) == Keeps::Always;
    let missing = match (least(change.entry), by_device) {
        (Granularity::Page, false) => "iotlb-page",
        (Granularity::Page, true) => "iotlb-page+device-tlb",
        (Granularity::PageInPasid, false) => "pasid-iotlb-page",
        (Granularity::PageInPasid, true) => "pasid-iotlb-page+device-tlb",
        (_, false) => "iotlb-domain",
        (_, true) => "iotlb-domain+device-tlb",
    };
    Note::Stale(pages.map(|page| page.map(|page| page.at)), Missing(missing))
}
