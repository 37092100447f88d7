//! Drivers with one mistake each.
//!
//! Invariant: a bug is one arm of one operation; everything else is done as by the driver without bugs. Source: VT-d 6.1
//! (CAP.CM), 6.2.4 (IH), 6.5.2 (what is to be invalidated after a change), 6.5.2.5 (order), 6.5.2.8 (wait), 6.5.3 (how an
//! entry is changed).

use core::fmt;

use crate::descriptor::{Hint, Invalidation};
use crate::entry::DeviceTlb;
use crate::id::{Domain, Index, Pasid};
use crate::policy::{List, Policy, in_device, in_iotlb, least};
use crate::queue::Waiting;
use crate::space::{Change, Space};
use crate::unit::Mode;

/// What such a driver does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Nothing is invalidated.
    MissingFlush,
    /// The invalidation names another domain.
    WrongDomain,
    /// It names another process.
    WrongPasid,
    /// IH is set although an entry above the leaf changed.
    HintAfterTableChange,
    /// The device is told before the IOTLB.
    DeviceTlbFirst,
    /// The device is not told.
    DeviceTlbForgotten,
    /// No wait is queued.
    NoWait,
    /// A wait is queued, and the page used again before it is over.
    FreeBeforeWait,
    /// With CAP.CM, what was absent is mapped and not invalidated.
    MapWithoutFlush,
    /// A PASID entry is changed, and its cached copy stays.
    PasidEntryKept,
    /// The same with a context entry.
    ContextEntryKept,
    /// The same with an interrupt entry.
    InterruptEntryKept,
    /// A PASID entry becomes another word by word, while it is present.
    PasidEntryInPlace,
    /// The same with a context entry.
    ContextEntryInPlace,
    /// The same with an interrupt entry.
    InterruptEntryInPlace,
    /// A device is detached, and its cached context entry stays.
    ContextCacheForgotten,
    /// Pages in the middle of a large one are unmapped, and the first of them is invalidated.
    LargePageHalfFlushed,
}

/// What is forgotten by registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forgotten {
    /// All context entries.
    Contexts,
    /// All translations.
    Translations,
}

/// How another entry comes to stand where one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replacing {
    /// P is cleared, what is kept is forgotten, the other one is written.
    InOrder,
    /// It is written over the first, word by word, and what is kept is forgotten then.
    InPlace,
}

/// What a driver does after a change: one list, or one after the other while the device goes on working.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What it invalidates.
    pub lists: [List; 2],
    /// When it waits.
    pub waiting: Waiting,
}

impl Plan {
    const fn of(list: List, waiting: Waiting) -> Self {
        Self { lists: [list, List::new()], waiting }
    }

    const fn right(list: List) -> Self {
        Self::of(list, Waiting::AtOnce)
    }
}

/// All of them.
pub const BUGS: [Bug; 17] = [
    Bug::MissingFlush,
    Bug::WrongDomain,
    Bug::WrongPasid,
    Bug::HintAfterTableChange,
    Bug::DeviceTlbFirst,
    Bug::DeviceTlbForgotten,
    Bug::NoWait,
    Bug::FreeBeforeWait,
    Bug::MapWithoutFlush,
    Bug::PasidEntryKept,
    Bug::ContextEntryKept,
    Bug::InterruptEntryKept,
    Bug::PasidEntryInPlace,
    Bug::ContextEntryInPlace,
    Bug::InterruptEntryInPlace,
    Bug::ContextCacheForgotten,
    Bug::LargePageHalfFlushed,
];

impl Bug {
    /// The bug of that name; none if there is no name, or `none`.
    ///
    /// # Errors
    /// [`Unknown`], if nothing is called so.
    pub fn wanted(name: Option<&str>) -> Result<Option<Self>, Unknown<'_>> {
        match name {
            None | Some("none") => Ok(None),
            Some(name) => BUGS.into_iter().find(|bug| bug.name() == name).map(Some).ok_or(Unknown(name)),
        }
    }

    /// What it is called on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingFlush => "missing-flush",
            Self::WrongDomain => "wrong-domain",
            Self::WrongPasid => "wrong-pasid",
            Self::HintAfterTableChange => "ih-after-table-change",
            Self::DeviceTlbFirst => "device-tlb-first",
            Self::DeviceTlbForgotten => "device-tlb-forgotten",
            Self::NoWait => "no-wait",
            Self::FreeBeforeWait => "free-before-wait",
            Self::MapWithoutFlush => "cm-map-without-flush",
            Self::PasidEntryKept => "pasid-entry-kept",
            Self::ContextEntryKept => "context-entry-kept",
            Self::InterruptEntryKept => "interrupt-entry-kept",
            Self::PasidEntryInPlace => "pasid-entry-in-place",
            Self::ContextEntryInPlace => "context-entry-in-place",
            Self::InterruptEntryInPlace => "interrupt-entry-in-place",
            Self::ContextCacheForgotten => "context-cache-forgotten",
            Self::LargePageHalfFlushed => "large-page-half-flushed",
        }
    }
}

/// A name that no bug has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown<'a>(&'a str);

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no bug `{}`; there is none", self.0)?;
        BUGS.iter().try_for_each(|bug| write!(f, ", {}", bug.name()))
    }
}

/// What the driver does wrong.
impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingFlush => "unmaps pages and invalidates nothing",
            Self::WrongDomain => "invalidates unmapped pages in another domain",
            Self::WrongPasid => "invalidates unmapped pages of another process",
            Self::HintAfterTableChange => "replaces page tables and sets IH, as if only leaves had changed",
            Self::DeviceTlbFirst => "invalidates the device's TLB first, the IOTLB then",
            Self::DeviceTlbForgotten => "invalidates the IOTLB and not the device's TLB",
            Self::NoWait => "queues invalidations, queues no wait, and gives pages back",
            Self::FreeBeforeWait => "gives pages back before the wait behind their invalidation is over",
            Self::MapWithoutFlush => {
                "maps pages that were absent and invalidates nothing, though CAP.CM is 1"
            }
            Self::PasidEntryKept => "lets PASIDs lead to other tables and keeps the cached PASID entries",
            Self::ContextEntryKept => "moves devices to other domains and keeps the cached context entries",
            Self::InterruptEntryKept => "moves interrupts to other vectors and keeps the cached entries",
            Self::PasidEntryInPlace => "changes PASID entries word by word while they are present",
            Self::ContextEntryInPlace => "changes context entries word by word while they are present",
            Self::InterruptEntryInPlace => {
                "gives interrupt entries to other devices half by half while they are present"
            }
            Self::ContextCacheForgotten => "detaches devices and invalidates the IOTLB alone",
            Self::LargePageHalfFlushed => "unmaps the middle of large pages and invalidates one page of it",
        })
    }
}

/// What is invalidated after something absent was mapped, in a unit that caches what is absent.
#[must_use]
pub fn mapped(bug: Option<Bug>) -> Plan {
    match bug {
        Some(Bug::MapWithoutFlush) => Plan::right(List::new()),
        _ => Plan::right(List::new().with(Invalidation::Iotlb)),
    }
}

/// After a page was unmapped.
#[must_use]
pub fn unmapped(bug: Option<Bug>, change: &Change) -> Plan {
    let right = Policy::Right.after(change);
    match bug {
        Some(Bug::MissingFlush) => Plan::right(List::new()),
        Some(Bug::WrongDomain) => {
            let domain = Domain(change.domain.0 + 1);
            Plan::right(Policy::Right.after(&Change { domain, ..*change }))
        }
        Some(Bug::WrongPasid) => {
            let pasid = change.pasid.map(|pasid| Pasid(pasid.0 + 1));
            Plan::right(Policy::Right.after(&Change { pasid, ..*change }))
        }
        Some(Bug::DeviceTlbForgotten) => {
            Plan::right(Policy::Right.after(&Change { device_tlb: DeviceTlb::Off, ..*change }))
        }
        Some(Bug::DeviceTlbFirst) if change.device_tlb == DeviceTlb::On => {
            let iotlb = List::new().with(in_iotlb(least(change.entry), change));
            Plan { lists: [List::new().with(in_device(change)), iotlb], waiting: Waiting::AtOnce }
        }
        Some(Bug::NoWait) => Plan::of(right, Waiting::Never),
        Some(Bug::FreeBeforeWait) => Plan::of(right, Waiting::Later),
        _ => Plan::right(right),
    }
}

/// After the middle of a large page was unmapped. A unit may keep a large page in pieces, and drops those alone that an
/// invalidation names.
#[must_use]
pub fn middle_unmapped(bug: Option<Bug>, change: &Change) -> Plan {
    Plan::right(match bug {
        Some(Bug::LargePageHalfFlushed) => Policy::Right.after(&Change { pages_log2: 0, ..*change }),
        _ => Policy::Right.after(change),
    })
}

/// After a table was replaced.
#[must_use]
pub fn table_replaced(bug: Option<Bug>, change: &Change) -> Plan {
    Plan::right(match bug {
        Some(Bug::HintAfterTableChange) => Policy::Right.after(&Change { hint: Hint::LeavesOnly, ..*change }),
        _ => Policy::Right.after(change),
    })
}

/// After the process `pasid` got the tables of `space`.
#[must_use]
pub fn process_replaced(bug: Option<Bug>, space: &Space, pasid: Pasid) -> Plan {
    let list = match bug {
        Some(Bug::PasidEntryKept) => List::new(),
        _ => List::new().with(Invalidation::PasidEntry(space.domain, pasid)),
    };
    let list = list.with(Invalidation::PasidIotlb(space.domain, pasid));
    Plan::right(match space.device_tlb {
        DeviceTlb::Off => list,
        DeviceTlb::On => list.with(Invalidation::DeviceTlbOfPasid(space.source, pasid)),
    })
}

/// After a device was moved from `space` to another: what led there is forgotten, and what was translated there.
#[must_use]
pub fn device_moved(bug: Option<Bug>, space: &Space, mode: Mode) -> Plan {
    let list = match (bug, mode) {
        (Some(Bug::ContextEntryKept), _) => List::new(),
        (_, Mode::Legacy) => List::new().with(Invalidation::Context(space.domain, space.source)),
        // Requests without PASID have PASID 0.
        (_, Mode::Scalable) => List::new().with(Invalidation::PasidEntry(space.domain, Pasid(0))),
    };
    let list = list.with(Invalidation::IotlbOf(space.domain));
    Plan::right(match space.device_tlb {
        DeviceTlb::Off => list,
        DeviceTlb::On => list.with(Invalidation::DeviceTlb(space.source)),
    })
}

/// How the entry that leads to a device's tables becomes another one.
#[must_use]
pub fn device_moves(bug: Option<Bug>, mode: Mode) -> Replacing {
    match (bug, mode) {
        (Some(Bug::PasidEntryInPlace), Mode::Scalable) | (Some(Bug::ContextEntryInPlace), Mode::Legacy) => {
            Replacing::InPlace
        }
        _ => Replacing::InOrder,
    }
}

/// How an interrupt entry of one device becomes another's.
#[must_use]
pub fn interrupts_exchanged(bug: Option<Bug>) -> Replacing {
    match bug {
        Some(Bug::InterruptEntryInPlace) => Replacing::InPlace,
        _ => Replacing::InOrder,
    }
}

/// After a device was detached, by a driver without a queue.
#[must_use]
pub const fn detached(bug: Option<Bug>) -> &'static [Forgotten] {
    match bug {
        Some(Bug::ContextCacheForgotten) => &[Forgotten::Translations],
        _ => &[Forgotten::Contexts, Forgotten::Translations],
    }
}

/// After the interrupt entry `index` got another vector.
#[must_use]
pub fn interrupt_moved(bug: Option<Bug>, index: Index) -> Plan {
    Plan::right(match bug {
        Some(Bug::InterruptEntryKept) => List::new(),
        _ => List::new().with(Invalidation::InterruptEntriesFrom { first: index, log2: 0 }),
    })
}

#[cfg(test)]
mod tests;
