//! Leaves in other ways: unmapped, flushed as a range, larger than a page.
//!
//! Invariant: as in the matrix, each check has addresses of its own and flushes what it left. Source: VT-d 6.5.2.3 and
//! 6.5.2.4 (address mask), 6.2.4 (large pages).

use super::mapped::{BLOCKED, expect_fault};
use super::{Checks, Complaint, Holder, Missing, Note, Page, expect};
use crate::caches::Keeps;
use crate::descriptor::{Hint, Invalidation, Pages};
use crate::id::{Iova, Pasid};
use crate::memory::FRAME_BYTES;
use crate::policy::Policy;
use crate::space::{Change, Kind, Space};

/// Pages of a range, as a power of two.
const RANGE_LOG2: u32 = 2;

/// All of them.
pub(super) fn all(checks: &mut Checks, name: &str, kind: Kind, pasid: Option<Pasid>) {
    let space = checks.space(0, kind, pasid);
    checks.driver.attach(&space);
    let outcome = unmapped(checks, &space);
    checks.note(format_args!("{name}, unmapped"), outcome);
    let outcome = range(checks, &space);
    checks.note(format_args!("{name}, range"), outcome);
    let outcome = large(checks, &space);
    checks.note(format_args!("{name}, 2 MiB remapped"), outcome);
    if space.is_of_process() {
        let outcome = other_page(checks, &space);
        checks.note(format_args!("{name}, another page of the domain"), outcome);
    }
}

/// A page that leads nowhere is reached until it is flushed, and then it is a fault.
fn unmapped(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let page = checks.page(space);
    checks.expect("mapped", &page, Keeps::Always)?;
    let change = checks.driver.unmap(space, page.at, Policy::Nothing);
    let found = checks.driver.read(space, page.at);
    let kept = checks.caches.iotlb;
    let expected = match (kept, found) {
        (Keeps::Always, _) | (Keeps::Maybe, Ok(_)) => Ok(page.old_word()),
        (Keeps::Never, _) | (Keeps::Maybe, Err(_)) => Err(BLOCKED),
    };
    expect("unmapped", page.at, found, expected)?;
    // The fault of whoever kept nothing.
    let _fault = checks.driver.unit.take_fault();
    checks.driver.flush(&change, Policy::Right);
    let found = checks.driver.read(space, page.at);
    expect("flushed", page.at, found, Err(BLOCKED))?;
    expect_fault(checks, space, page.at)?;
    Ok(checks.stale_if(kept, &page, Missing::after(&change, Holder::Unit)))
}

/// The last page of a range goes, the one behind it stays.
fn range(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let start = checks.large_page();
    let last = (1 << RANGE_LOG2) - 1;
    let inside = checks.page_at(space, Iova(start.0 + last * FRAME_BYTES));
    let behind = checks.page_at(space, Iova(start.0 + (last + 1) * FRAME_BYTES));
    let pages = [inside, behind];
    let mut change = None;
    for page in &pages {
        checks.driver.map(space, page.at, page.old);
        checks.expect("mapped", page, Keeps::Always)?;
        change = Some(checks.driver.remap(space, page.at, page.new, Policy::Nothing));
        checks.expect("remapped", page, checks.caches.iotlb)?;
    }
    let flush = |start| pages_of(space, Pages { start, log2: RANGE_LOG2, hint: Hint::LeavesOnly });
    checks.driver.invalidate(&[flush(start)]);
    checks.expect("range flushed", &inside, Keeps::Never)?;
    checks.expect("range flushed", &behind, checks.caches.iotlb)?;
    checks.driver.invalidate(&[flush(behind.at)]);
    checks.expect("next range flushed", &behind, Keeps::Never)?;
    Ok(note(checks, change, &pages))
}

fn note(checks: &Checks, change: Option<Change>, [first, second]: &[Page; 2]) -> Note {
    match change {
        Some(change) if checks.caches.iotlb == Keeps::Always => {
            Note::Stale([Some(first.at), Some(second.at)], Missing::after(&change, Holder::Unit))
        }
        _ => Note::Held,
    }
}

/// Pages of a space.
const fn pages_of(space: &Space, pages: Pages) -> Invalidation {
    match (space.is_of_process(), space.pasid) {
        (true, Some(pasid)) => Invalidation::PasidIotlbPages(space.domain, pasid, pages),
        _ => Invalidation::IotlbPages(space.domain, pages),
    }
}

/// What is cached of 2 MiB goes with any page in it, unless it is cached in pieces; and with all of them.
fn large(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let at = checks.large_page();
    let frames = [checks.driver.memory.large_page(), checks.driver.memory.large_page()];
    let [old, new] = frames;
    let page = Page { space: *space, at, old, new };
    page.old.store(0, page.old_word());
    page.new.store(0, page.new_word());
    space.outer().map_large(&mut checks.driver.memory, at, old.address());
    checks.expect("mapped", &page, Keeps::Always)?;
    let change = space.remap_large(&mut checks.driver.memory, at, new);
    checks.expect("remapped", &page, checks.caches.iotlb)?;
    let inside = Iova(at.0 + 5 * FRAME_BYTES);
    checks.driver.invalidate(&[pages_of(space, Pages::leaf(inside))]);
    checks.expect("a page of it flushed", &page, checks.caches.pieces)?;
    checks.driver.invalidate(&[pages_of(space, Pages { log2: 9, ..Pages::leaf(at) })]);
    checks.expect("all of it flushed", &page, Keeps::Never)?;
    Ok(checks.stale_if(checks.caches.iotlb, &page, Missing::after(&change, Holder::Unit)))
}

/// A page of a domain is one of its second stage: all that has a first stage goes, because any of it may lead there.
fn other_page(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let page = checks.page(space);
    let other = checks.large_page();
    checks.expect("mapped", &page, Keeps::Always)?;
    let change = checks.driver.remap(space, page.at, page.new, Policy::Nothing);
    checks.expect("remapped", &page, checks.caches.iotlb)?;
    checks.driver.invalidate(&[Invalidation::IotlbPages(space.domain, Pages::leaf(other))]);
    checks.expect("another page flushed", &page, Keeps::Never)?;
    Ok(checks.stale_if(checks.caches.iotlb, &page, Missing::after(&change, Holder::Unit)))
}
