//! The matrix: every mode, every granularity, with and without a device's own TLB.
//!
//! Invariant: a cell has pages of its own. Its page and a bystander are changed without an invalidation and are still what
//! they were; an invalidation of its granularity reaches the page, and not the bystander, which was chosen so.
//! Source: VT-d 6.5.2.3, 6.5.2.4 (what each granularity takes), 6.5.2.5 (order).

use super::{Checks, Complaint, Holder, Missing, Note, Page};
use crate::caches::Keeps;
use crate::entry::{DeviceTlb, Levels};
use crate::id::Pasid;
use crate::policy::{Granularity, Policy, in_device, in_iotlb};
use crate::space::{Change, Kind, Space};

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

/// Legacy mode: two engines, because one has one domain.
pub(super) fn legacy(checks: &mut Checks) {
    each_holder(checks, "legacy", |checks, device_tlb| Part {
        name: "legacy",
        own: checks.space(0, Kind::Second(Levels::Three), None),
        other_domain: checks.space(1, Kind::Second(Levels::Four), None),
        other_pasid: None,
        device_tlb,
    });
}

/// A second stage in scalable mode, for requests without PASID.
pub(super) fn scalable_second(checks: &mut Checks) {
    each_holder(checks, "scalable-second", |checks, device_tlb| Part {
        name: "scalable-second",
        own: checks.space(0, Kind::Second(Levels::Four), None),
        other_domain: checks.space(1, Kind::Second(Levels::Three), None),
        other_pasid: None,
        device_tlb,
    });
}

/// Processes: all of one engine.
pub(super) fn processes(checks: &mut Checks, name: &'static str, kind: Kind) {
    each_holder(checks, name, |checks, device_tlb| {
        let own = checks.space(0, kind, Some(Pasid(1)));
        Part {
            name,
            own,
            other_domain: checks.space(0, kind, Some(Pasid(2))),
            other_pasid: Some(own.sibling(&mut checks.driver.memory, Some(Pasid(3)))),
            device_tlb,
        }
    });
}

fn each_holder(checks: &mut Checks, name: &str, part: impl Fn(&mut Checks, DeviceTlb) -> Part) {
    for device_tlb in [DeviceTlb::Off, DeviceTlb::On] {
        if device_tlb == DeviceTlb::On && !checks.driver.has_device_tlbs() {
            return checks.note(format_args!("{name} device-tlb"), Ok(Note::Absent("no device TLBs")));
        }
        let part = part(checks, device_tlb);
        let with = |space: Space| space.with(device_tlb);
        let Part { own, other_domain, other_pasid, .. } = part;
        let (own, other_domain, other_pasid) = (with(own), with(other_domain), other_pasid.map(with));
        run(checks, &Part { own, other_domain, other_pasid, ..part });
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
    let holder = if by_device { Holder::Device } else { Holder::Unit };
    Note::Stale(pages.map(|page| page.map(|page| page.at)), Missing::after(change, holder))
}
