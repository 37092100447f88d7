//! Entries above the leaves: of page tables, of PASID tables, of context tables. Each is cached apart from translations, and
//! an invalidation of translations alone leads back to what was.
//!
//! Invariant: what is changed leads to a second table that says the same but for one page. Source: VT-d 6.2.2 (context cache),
//! 6.2.3 (PASID cache), 6.2.5 (paging structures), 6.5.2.1 to 6.5.2.4.

use super::{Checks, Complaint, Holder, Missing, Note};
use crate::caches::Keeps;
use crate::descriptor::{Hint, Invalidation};
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
}

/// The entries of scalable mode.
pub(super) fn pasid(checks: &mut Checks, name: &str, kind: Kind, pasid: Pasid) {
    let outcome = replaced(checks, kind, Some(pasid), Entry::Pasid);
    checks.note(format_args!("{name}, PASID entry replaced"), outcome);
    let outcome = replaced(checks, kind, Some(pasid), Entry::Directory);
    checks.note(format_args!("{name}, PASID directory replaced"), outcome);
}

fn replaced(checks: &mut Checks, kind: Kind, pasid: Option<Pasid>, entry: Entry) -> Result<Note, Complaint> {
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
    match entry {
        Entry::Context | Entry::Pasid => checks.driver.write_entry(&new),
        Entry::Directory => checks.driver.write_directory(&new),
    }
    let all = entry.flush(&old);
    // Without the first, which is the one of the entry that changed.
    checks.driver.invalidate(&all.items()[1..]);
    let kept = entry.kept(checks);
    checks.expect("all but the entry flushed", &page, kept)?;
    checks.driver.invalidate(all.items());
    checks.expect("all flushed", &page, Keeps::Never)?;
    Ok(checks.stale_if(kept, &page, entry.missing(kind)))
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
