//! The vocabulary of steps: what an operation on one page can do, one atomic and interleavable action each.
//!
//! Invariant: a step does exactly one thing that another agent can see. What hardware or the kernel does in two
//! (clear and flush, issue and wait) is two steps. `A` is the page the operation works on, `old` the frame it
//! found there, `new` the frame it puts there. A step is written as it is printed.
//! Source: the names of mm/memory.c, mm/ksm.c, include/linux/pgtable.h, include/linux/mmu_notifier.h.

use std::fmt;

/// The two frames of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// The frame that was mapped when the operation began.
    Old,
    /// The frame that takes its place.
    New,
}

/// What a leaf that is set allows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Permission {
    /// Loads only.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// One action.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Take a frame for `new` (`folio_alloc`).
    Allocate,
    /// Take the page lock of a frame (`folio_lock`).
    LockPage(Role),
    /// Release it.
    UnlockPage(Role),
    /// Copy the contents of `old` to `new` (`copy_user_highpage`).
    Copy,
    /// `mmu_notifier_invalidate_range_start`.
    RangeStart,
    /// `mmu_notifier_invalidate_range_end`.
    RangeEnd,
    /// Take the page-table lock (`pte_offset_map_lock`).
    LockTable,
    /// Release it.
    UnlockTable,
    /// Empty the entry (`ptep_get_and_clear`).
    ClearPte,
    /// Flush the page from every CPU's TLB and wait (`flush_tlb_page`).
    FlushTlb,
    /// Invalidate the page in every secondary TLB and wait (`mmu_notifier_arch_invalidate_secondary_tlbs`).
    Notify,
    /// Offer the new entry to the secondary MMUs (`mmu_notifier_change_pte`).
    ChangePte,
    /// Write an entry that maps a frame (`set_pte_at`).
    SetPte(Role, Permission),
    /// Write back the entry that was cleared (`set_pte_at` of the saved one).
    RestorePte,
    /// Make the frame a KSM page, which nobody may store to in place (`folio_set_stable_node`).
    MarkStable(Role),
    /// Take a reference and a map count for the entry that maps a frame (`folio_add_anon_rmap_pte`).
    Map(Role),
    /// Drop the reference and the map count of the entry that mapped it (`folio_remove_rmap_pte`, `folio_put`).
    Unmap(Role),
    /// Drop the operation's own reference (`folio_put`).
    Put(Role),
}

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

impl Step {
    /// Whether users of the page can tell a moment before the step from one after it.
    #[must_use]
    pub const fn is_visible(self) -> bool {
        match self {
            Self::RangeStart
            | Self::RangeEnd
            | Self::ClearPte
            | Self::FlushTlb
            | Self::Notify
            | Self::ChangePte
            | Self::SetPte(..)
            | Self::RestorePte
            | Self::Unmap(_)
            | Self::Put(_) => true,
            Self::Allocate
            | Self::LockPage(_)
            | Self::UnlockPage(_)
            | Self::Copy
            | Self::LockTable
            | Self::UnlockTable
            | Self::MarkStable(_)
            | Self::Map(_) => false,
        }
    }

    /// The kernel function the step stands for.
    #[must_use]
    pub const fn kernel_function(self) -> &'static str {
        match self {
            Self::Allocate => "folio_alloc",
            Self::LockPage(_) => "folio_lock",
            Self::UnlockPage(_) => "folio_unlock",
            Self::Copy => "copy_user_highpage",
            Self::RangeStart => "mmu_notifier_invalidate_range_start",
            Self::RangeEnd => "mmu_notifier_invalidate_range_end",
            Self::LockTable => "pte_offset_map_lock",
            Self::UnlockTable => "pte_unmap_unlock",
            Self::ClearPte => "ptep_get_and_clear",
            Self::FlushTlb => "flush_tlb_page",
            Self::Notify => "mmu_notifier_arch_invalidate_secondary_tlbs",
            Self::ChangePte => "mmu_notifier_change_pte",
            Self::SetPte(..) | Self::RestorePte => "set_pte_at",
            Self::MarkStable(_) => "folio_set_stable_node",
            Self::Map(_) => "folio_add_anon_rmap_pte",
            Self::Unmap(_) => "folio_remove_rmap_pte",
            Self::Put(_) => "folio_put",
        }
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

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocate => f.write_str("alloc new"),
            Self::LockPage(role) => write!(f, "lock page({role})"),
            Self::UnlockPage(role) => write!(f, "unlock page({role})"),
            Self::Copy => f.write_str("copy old -> new"),
            Self::RangeStart => f.write_str("notify_start A"),
            Self::RangeEnd => f.write_str("notify_end A"),
            Self::LockTable => f.write_str("lock ptl(A)"),
            Self::UnlockTable => f.write_str("unlock ptl(A)"),
            Self::ClearPte => f.write_str("pte_clear A"),
            Self::FlushTlb => f.write_str("flush_tlb A"),
            Self::Notify => f.write_str("notify A"),
            Self::ChangePte => f.write_str("change_pte A"),
            Self::SetPte(role, permission) => write!(f, "set_pte A -> {role} {permission}"),
            Self::RestorePte => f.write_str("set_pte A -> orig"),
            Self::MarkStable(role) => write!(f, "mark_stable {role}"),
            Self::Map(role) => write!(f, "map {role}"),
            Self::Unmap(role) => write!(f, "unmap {role}"),
            Self::Put(role) => write!(f, "put {role}"),
        }
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
