//! Entries above the leaves: of page tables, of PASID tables, of context tables. Each is cached apart from translations, and
//! an invalidation of translations alone leads back to what was.
//!
//! Invariant: what is changed leads to a second table that says the same but for one page. Where `replaced` is checked, an
//! entry becomes another without an invalidation between, as no driver may do it: what is kept of the first is what is
//! looked for. `in order` is how it is done. Source: VT-d 6.2.2 (context cache), 6.2.3 (PASID cache), 6.2.5 (paging
//! structures), 6.5.2.1 to 6.5.2.4, 6.5.3.1 to 6.5.3.3 (order).

use super::mapped::{BLOCKED, expect_fault};
use super::{Checks, Complaint, Holder, Missing, Note, Page, expect};
use crate::caches::Keeps;
use crate::descriptor::{Hint, Invalidation};
use crate::engine::Job;
use crate::entry::{Levels, Translation};
use crate::id::Pasid;
use crate::policy::{List, Policy, in_iotlb, least};
use crate::space::{Change, Kind, Space};

/// A page table's entry that leads to a table: the hint that only leaves changed keeps it.
pub(super) fn paging(checks: &mut Checks, name: &str, kind: Kind, pasid: Option<Pasid>) {
    let space = checks.space(0, kind, pasid);
    checks.driver.attach(&space);
    let outcome = table(checks, &space);
    checks.note(format_args!("{name}, table replaced"), outcome);
}

fn table(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let page = checks.page_alone(space);
    checks.expect("mapped", &page, Keeps::Always)?;
    let change = space.replace_table(&mut checks.driver.memory, page.at, page.new);
    let hinted = Change { hint: Hint::LeavesOnly, ..change };
    checks.driver.invalidate(&[in_iotlb(least(change.entry), &hinted)]);
    let kept = checks.caches.paging;
    checks.expect("leaves flushed", &page, kept)?;
    checks.driver.flush(&change, Policy::Right);
    checks.expect("every level flushed", &page, Keeps::Never)?;
    Ok(checks.stale_if(kept, &page, Missing::after(&change, Holder::Unit)))
}

/// What leads to page tables, and is led to others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// The context entry of legacy mode.
    Context,
    /// A PASID entry.
    Pasid,
    /// The context entry of scalable mode, which leads to a directory of PASIDs.
    Directory,
}

/// The context entry of legacy mode.
pub(super) fn context(checks: &mut Checks) {
    let outcome = replaced(checks, Kind::Second(Levels::Four), None, Entry::Context);
    checks.note(format_args!("legacy, context entry replaced"), outcome);
    let outcome = in_order(checks, Kind::Second(Levels::Four), None, Entry::Context);
    checks.note(format_args!("legacy, context entry replaced in order"), outcome);
}

/// The entries of scalable mode.
pub(super) fn pasid(checks: &mut Checks, name: &str, kind: Kind, pasid: Pasid) {
    let outcome = replaced(checks, kind, Some(pasid), Entry::Pasid);
    checks.note(format_args!("{name}, PASID entry replaced"), outcome);
    let outcome = in_order(checks, kind, Some(pasid), Entry::Pasid);
    checks.note(format_args!("{name}, PASID entry replaced in order"), outcome);
    let outcome = replaced(checks, kind, Some(pasid), Entry::Directory);
    checks.note(format_args!("{name}, PASID directory replaced"), outcome);
}

/// A page of a space, and another space that takes its place and in which the page leads to its second frame.
fn pair(checks: &mut Checks, kind: Kind, pasid: Option<Pasid>) -> Result<(Page, Space), Complaint> {
    let old = checks.space(0, kind, pasid);
    let new = match kind {
        Kind::Second(_) => checks.space(0, kind, pasid),
        Kind::First(_) | Kind::Nested => old.sibling(&mut checks.driver.memory, pasid),
    };
    // Both are attached once, so that both map what the engine itself must reach.
    checks.driver.attach(&new);
    checks.driver.attach(&old);
    let page = checks.page_alone(&old);
    checks.driver.remap(&new, page.at, page.new, Policy::Nothing);
    checks.expect("mapped", &page, Keeps::Always)?;
    Ok((page, new))
}

fn replaced(checks: &mut Checks, kind: Kind, pasid: Option<Pasid>, entry: Entry) -> Result<Note, Complaint> {
    let (page, new) = pair(checks, kind, pasid)?;
    match entry {
        Entry::Context | Entry::Pasid => checks.driver.write_entry(&new),
        Entry::Directory => checks.driver.write_directory(&new),
    }
    let all = entry.flush(&page.space);
    // Without the first, which is the one of the entry that changed.
    checks.driver.invalidate(&all.items()[1..]);
    let kept = entry.kept(checks);
    checks.expect("all but the entry flushed", &page, kept)?;
    checks.driver.invalidate(all.items());
    checks.expect("all flushed", &page, Keeps::Never)?;
    Ok(checks.stale_if(kept, &page, entry.missing(kind)))
}

/// P goes, what is kept goes, the device is refused; the other entry comes.
fn in_order(checks: &mut Checks, kind: Kind, pasid: Option<Pasid>, entry: Entry) -> Result<Note, Complaint> {
    let (page, new) = pair(checks, kind, pasid)?;
    let old = page.space;
    checks.driver.make_way(&new);
    checks.driver.invalidate(entry.flush(&old).items());
    checks.driver.unit.forget_faults();
    let found = match entry {
        Entry::Pasid => checks.driver.read(&old, page.at),
        // Its ring is behind the entry, too.
        Entry::Context | Entry::Directory if checks.driver.engine(&old).gives_up(Job::Nothing) => {
            Err(BLOCKED)
        }
        Entry::Context | Entry::Directory => Ok(0),
    };
    expect("P clear, flushed", page.at, found, Err(BLOCKED))?;
    if entry == Entry::Pasid {
        expect_fault(checks, &old, page.at)?;
    }
    checks.driver.unit.forget_faults();
    checks.driver.write_entry(&new);
    if checks.driver.unit.caches_absent() {
        checks.driver.flush_all();
    }
    checks.expect("P set", &page, Keeps::Never)?;
    Ok(Note::Held)
}

impl Entry {
    /// What a change of it demands, itself first.
    fn flush(self, space: &Space) -> List {
        let Space { source, domain, .. } = *space;
        let context = Invalidation::Context(domain, source);
        let (entry, iotlb) = match space.pasid {
            Some(pasid) => (Invalidation::PasidEntry(domain, pasid), translations(space, pasid)),
            None => return List::new().with(context).with(Invalidation::IotlbOf(domain)),
        };
        let list = if self == Self::Directory { List::new().with(context) } else { List::new() };
        list.with(entry).with(iotlb)
    }

    const fn kept(self, checks: &Checks) -> Keeps {
        match self {
            Self::Context | Self::Directory => checks.caches.context,
            Self::Pasid => checks.caches.pasid,
        }
    }

    const fn missing(self, kind: Kind) -> Missing {
        Missing(match (self, kind) {
            (Self::Context, _) => "context-cache+iotlb-domain",
            (Self::Pasid, Kind::Second(_)) => "pasid-cache+iotlb-domain",
            (Self::Pasid, _) => "pasid-cache+pasid-iotlb",
            (Self::Directory, Kind::Second(_)) => "context-cache+pasid-cache+iotlb-domain",
            (Self::Directory, _) => "context-cache+pasid-cache+pasid-iotlb",
        })
    }
}

/// Those of a process: a second stage's belong to the domain.
const fn translations(space: &Space, pasid: Pasid) -> Invalidation {
    match space.translation() {
        Translation::Second(..) => Invalidation::IotlbOf(space.domain),
        _ => Invalidation::PasidIotlb(space.domain, pasid),
    }
}
