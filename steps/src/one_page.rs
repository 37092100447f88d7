//! Operations on one page: what they name, and their steps by the names of the kernel.
//!
//! Invariant: `A` is the page that an operation works on, `old` the frame that it found there, `new` the frame that it puts
//! there. What such an operation cannot name (upper entries, address spaces, PASIDs) has a type without values, so a step
//! with it does not exist. Source: the names of mm/memory.c, mm/ksm.c, include/linux/pgtable.h.

use std::fmt;

use crate::names::Names;
use crate::step::{
    Count, Depth, Emptied, EntryAt, EntryOf, Invalidation, LockMode, Pages, Range, Scope, Section,
    Step as Any, Unanswered,
};

/// The names of an operation on one page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OnePage;

/// A step of such an operation.
pub type Step = Any<OnePage>;

/// The page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Page;

/// The two frames of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// The frame that was mapped when the operation began.
    Old,
    /// The frame that takes its place.
    New,
}

/// What a leaf that is set allows: vm_page_prot of its area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protection {
    /// Loads only.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// The locks that it takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lock {
    /// That of the page table.
    Table,
    /// That of a frame.
    Page(Role),
}

/// The entries that it writes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// One that maps a frame.
    Maps(Role, Protection),
    /// The one that was there.
    Orig,
}

/// What nobody can name here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Never {}

/// Something an operation looks at before it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// The entry is still the one the operation last saw or wrote (`pte_same`).
    PteSame,
    /// Nobody but the entries and this operation holds `old` (`folio_mapcount + 1 == folio_ref_count`).
    Unreferenced,
    /// `old` and `new` hold the same bytes (`pages_identical`).
    SameContent,
}

impl Names for OnePage {
    type Page = Page;
    type Frame = Role;
    type Pmd = Never;
    type Mm = Never;
    type MmOrNone = Never;
    type Pasid = Never;
    type Tag = Never;
    type User = Never;
    type Lock = Lock;
    type Handle = Never;
    type Label = Never;
    type Entry = Entry;
    type Value = Never;
}

impl Copy for Any<OnePage> {}
impl Copy for EntryAt<OnePage> {}
impl Copy for EntryOf<OnePage> {}
impl Copy for Invalidation<OnePage> {}
impl Copy for Emptied<OnePage> {}
impl Copy for Scope<OnePage> {}
impl Copy for Unanswered<OnePage> {}
impl Copy for Pages<OnePage> {}
impl Copy for Range<OnePage> {}

/// Takes a frame for `new`.
pub const ALLOCATE: Step = Any::Count(Count::Alloc, Role::New);
/// Copies the contents of `old` to `new`.
pub const COPY: Step = Any::Copy(Role::Old, Role::New);
/// Opens the range.
pub const RANGE_START: Step = Any::NotifyStart(Pages::One(Page));
/// Closes it.
pub const RANGE_END: Step = Any::NotifyEnd(Pages::One(Page));
/// Takes the page-table lock.
pub const LOCK_TABLE: Step = Any::Lock(Lock::Table, LockMode::Exclusive);
/// Releases it.
pub const UNLOCK_TABLE: Step = Any::Unlock(Lock::Table);
/// Empties the entry.
pub const CLEAR_PTE: Step = Any::Entry(EntryAt::Pte(Page), EntryOf::Clear);
/// Flushes the page from every CPU's TLB and waits.
pub const FLUSH_TLB: Step = invalidate(Emptied::Cpus(Range::Page(Page, Depth::All)));
/// Invalidates the page in every secondary TLB and waits.
pub const NOTIFY: Step = invalidate(Emptied::Devices(Range::Page(Page, Depth::All)));
/// Offers the new entry to the secondary MMUs.
pub const CHANGE_PTE: Step = Any::ChangePte(Page);
/// Writes back the entry that was cleared.
pub const RESTORE_PTE: Step = Any::Entry(EntryAt::Pte(Page), EntryOf::Set(Entry::Orig));

const fn invalidate(emptied: Emptied<OnePage>) -> Step {
    Any::Invalidate(Invalidation { emptied, scope: Scope::All, posted: false })
}

/// Takes the page lock of a frame.
#[must_use]
pub const fn lock_page(role: Role) -> Step {
    Any::Lock(Lock::Page(role), LockMode::Exclusive)
}

/// Releases it.
#[must_use]
pub const fn unlock_page(role: Role) -> Step {
    Any::Unlock(Lock::Page(role))
}

/// Writes an entry that maps a frame.
#[must_use]
pub const fn set_pte(role: Role, permission: Protection) -> Step {
    Any::Entry(EntryAt::Pte(Page), EntryOf::Set(Entry::Maps(role, permission)))
}

/// Makes the frame a KSM page, which nobody may store to in place.
#[must_use]
pub const fn mark_stable(role: Role) -> Step {
    Any::Count(Count::MarkStable, role)
}

/// Takes a reference and a map count for the entry that maps a frame.
#[must_use]
pub const fn map(role: Role) -> Step {
    Any::Count(Count::Map, role)
}

/// Drops the reference and the map count of the entry that mapped it.
#[must_use]
pub const fn unmap(role: Role) -> Step {
    Any::Count(Count::Unmap, role)
}

/// Drops the operation's own reference.
#[must_use]
pub const fn put(role: Role) -> Step {
    Any::Count(Count::Put, role)
}

impl Any<OnePage> {
    /// Whether users of the page can tell a moment before the step from one after it.
    #[must_use]
    pub const fn is_visible(&self) -> bool {
        match self {
            Self::NotifyStart(_)
            | Self::NotifyEnd(_)
            | Self::Entry(_, EntryOf::Clear | EntryOf::Set(_) | EntryOf::Modify(_))
            | Self::Invalidate(_)
            | Self::ChangePte(_)
            | Self::ZapSpte(_)
            | Self::SetSpte(..)
            | Self::ZapSpmd(_)
            | Self::SetSpmd(..)
            | Self::Switch(..)
            | Self::SetPasid(..)
            | Self::SetPasidHalf(..)
            | Self::PageResponse(_)
            | Self::Walk(_)
            | Self::Load(_)
            | Self::Store(..)
            | Self::DmaRead(_)
            | Self::DmaWrite(..)
            | Self::Write(..)
            | Self::Count(Count::Unmap | Count::Put | Count::Unpin | Count::Free, _) => true,
            Self::Lock(..)
            | Self::Trylock(..)
            | Self::Unlock(_)
            | Self::Fence
            | Self::Enter(Section::Interrupts | Section::Rcu)
            | Self::Leave(Section::Interrupts | Section::Rcu)
            | Self::IpiSync
            | Self::SynchronizeRcu
            | Self::Entry(_, EntryOf::Read)
            | Self::InvWait(..)
            | Self::Unplug(_)
            | Self::PageRequest(_)
            | Self::DrainRequests
            | Self::GupFast { .. }
            | Self::TryGet { .. }
            | Self::Peek { .. }
            | Self::Forget(_)
            | Self::Read(_)
            | Self::Copy(..)
            | Self::Count(Count::Alloc | Count::Get | Count::Pin | Count::Map | Count::MarkStable, _) => {
                false
            }
        }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("A")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        })
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => write!(f, "ptl({Page})"),
            Self::Page(role) => write!(f, "page({role})"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maps(role, permission) => write!(f, "{role} {permission}"),
            Self::Orig => f.write_str("orig"),
        }
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PteSame => "pte_same A",
            Self::Unreferenced => "refs(old) == mapcount(old) + 1",
            Self::SameContent => "content(old) == content(new)",
        })
    }
}
