//! A step with what stands at its places.
//!
//! Invariant: a step does exactly one thing that another agent can see. What hardware or the kernel does in two (clear and
//! flush, issue and wait, translate and use) is two steps. No place is optional: what can be left out is said by a type.
//! Source: mm/memory.c, mm/ksm.c, mm/gup.c, include/linux/pgtable.h, include/linux/mmu_notifier.h, virt/kvm/kvm_main.c,
//! VT-d 4.1.

mod invalidation;

use crate::entry::Change;
use crate::names::Names;
use crate::table::Verb;

pub use invalidation::{CacheKind, Depth, Emptied, Invalidation, Range, Reach, Scope};

/// How a lock is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LockMode {
    /// By one agent.
    Exclusive,
    /// By any number of agents.
    Shared,
}

/// A stretch of a program that others can wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Section {
    /// Its interrupts are off.
    Interrupts,
    /// It reads under RCU.
    Rcu,
}

/// Pages of an address space that lie side by side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pages<N: Names> {
    /// One.
    One(N::Page),
    /// From the first to the last.
    To(N::Page, N::Page),
}

/// Which of a unit's tables an entry stands in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Directory {
    /// The PASID table: the entry of a process's requests.
    Pasids,
    /// The context table: the entry of a device's requests without PASID.
    Contexts,
}

/// A half of an entry of several words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Half {
    /// The word with the present bit.
    Low,
    /// The others.
    High,
}

/// What of the queue is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Waited {
    /// What the agent has posted itself.
    Own,
    /// Whatever is in the queue, whoever has posted it.
    All,
}

/// What a switch to an address space does to what the TLB holds under its tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Switched {
    /// It stays: CR3_NOFLUSH, a TTBR.
    Keeps,
    /// It is emptied: a CR3 without it.
    Empties,
}

/// Where an agent goes on whose wait is not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unanswered<N: Names> {
    /// Nowhere: it waits for ever.
    Waits,
    /// At a label.
    GoesTo(N::Label),
}

/// What a step does to what holds a frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Count {
    /// Takes a frame that nobody holds.
    Alloc,
    /// Takes a reference.
    Get,
    /// Drops one.
    Put,
    /// Takes a reference that also pins.
    Pin,
    /// Drops such a one.
    Unpin,
    /// Counts an entry that maps it.
    Map,
    /// Uncounts it.
    Unmap,
    /// Frees it, whoever holds it.
    Free,
    /// Makes it a KSM page.
    MarkStable,
}

/// Where an entry stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryAt<N: Names> {
    /// The entry of a page.
    Pte(N::Page),
    /// An upper entry.
    Pmd(N::Pmd),
}

/// What is done to an entry of a page table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryOf<N: Names> {
    /// It is remembered.
    Read,
    /// It is remembered and emptied.
    Clear,
    /// It becomes this.
    Set(N::Entry),
    /// It is remembered, and bits of it change.
    Modify(Change),
}

/// One action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step<N: Names> {
    /// Takes a lock.
    Lock(N::Lock, LockMode),
    /// Takes a lock, or goes on elsewhere if it is held.
    Trylock(N::Lock, LockMode, N::Label),
    /// Releases a lock.
    Unlock(N::Lock),
    /// Lets all stores reach memory.
    Fence,
    /// Begins a section.
    Enter(Section),
    /// Ends it.
    Leave(Section),
    /// Interrupts all others and waits until they have answered.
    IpiSync,
    /// Waits for a grace period.
    SynchronizeRcu,
    /// Reads or writes an entry of a page table.
    Entry(EntryAt<N>, EntryOf<N>),
    /// Empties caches, or posts that they are to be emptied.
    Invalidate(Invalidation<N>),
    /// The own CPU goes on in another address space, whose translations it keeps under that tag.
    Switch(N::Mm, N::Tag, Switched),
    /// Writes the entry of a PASID, or of a device.
    SetPasid(Directory, N::Pasid, N::MmOrNone),
    /// Writes one half of it.
    SetPasidHalf(Directory, Half, N::Pasid, N::MmOrNone),
    /// Waits for what was posted.
    InvWait(Waited, Unanswered<N>),
    /// Takes a device away.
    Unplug(N::User),
    /// A device asks for a page, and waits for the response.
    PageRequest(N::Page),
    /// Answers a request for a page.
    PageResponse(N::Page),
    /// Waits until no request is open.
    DrainRequests,
    /// Opens a range: zaps the shadow entry and blocks its return.
    NotifyStart(Pages<N>),
    /// Closes the range.
    NotifyEnd(Pages<N>),
    /// Offers the new entry to the shadow page table.
    ChangePte(N::Page),
    /// Empties the shadow entry, and nothing else.
    ZapSpte(N::Page),
    /// Writes the shadow entry.
    SetSpte(N::Page, N::Entry),
    /// Empties the shadow entry above others.
    ZapSpmd(N::Pmd),
    /// Writes it.
    SetSpmd(N::Pmd, N::Entry),
    /// Fills the agent's own TLB.
    Walk(N::Page),
    /// A CPU or a vCPU reads.
    Load(N::Page),
    /// A CPU or a vCPU writes.
    Store(N::Page, N::Value),
    /// A device reads.
    DmaRead(N::Page),
    /// A device writes.
    DmaWrite(N::Page, N::Value),
    /// Takes a reference without a lock.
    GupFast {
        /// To what this maps.
        page: N::Page,
        /// Whether stores must be allowed.
        write: bool,
        /// Whether the reference pins.
        pin: bool,
        /// Whether only the own entry is looked at again, and none above.
        leaf: bool,
        /// The reference.
        handle: N::Handle,
    },
    /// The middle of that: takes a reference to what the remembered entry maps.
    TryGet {
        /// Whose remembered entry.
        page: N::Page,
        /// Whether stores must be allowed.
        write: bool,
        /// Whether the reference pins.
        pin: bool,
        /// The reference.
        handle: N::Handle,
    },
    /// Takes the frame that an entry maps, and no reference to it.
    Peek {
        /// Whose entry.
        page: N::Page,
        /// Whether stores must be allowed.
        write: bool,
        /// The frame.
        handle: N::Handle,
    },
    /// Empties a handle, and drops nothing.
    Forget(N::Handle),
    /// Writes to a frame, past every translation.
    Write(N::Frame, N::Value),
    /// Reads a frame, past every translation.
    Read(N::Frame),
    /// Copies one frame to the other.
    Copy(N::Frame, N::Frame),
    /// Changes what holds a frame.
    Count(Count, N::Frame),
}

impl<N: Names> Step<N> {
    /// The word that it is written with.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Lock(..) => Verb::Lock,
            Self::Trylock(..) => Verb::Trylock,
            Self::Unlock(_) => Verb::Unlock,
            Self::Fence => Verb::Fence,
            Self::Enter(Section::Interrupts) => Verb::IrqOff,
            Self::Leave(Section::Interrupts) => Verb::IrqOn,
            Self::Enter(Section::Rcu) => Verb::RcuReadLock,
            Self::Leave(Section::Rcu) => Verb::RcuReadUnlock,
            Self::IpiSync => Verb::IpiSync,
            Self::SynchronizeRcu => Verb::SynchronizeRcu,
            Self::Entry(place, what) => what.verb(place),
            Self::Invalidate(invalidation) => invalidation.verb(),
            Self::Switch(..) => Verb::Switch,
            Self::SetPasid(Directory::Pasids, ..) => Verb::SetPasid,
            Self::SetPasidHalf(Directory::Pasids, Half::Low, ..) => Verb::SetPasidLow,
            Self::SetPasidHalf(Directory::Pasids, Half::High, ..) => Verb::SetPasidHigh,
            Self::SetPasid(Directory::Contexts, ..) => Verb::SetContext,
            Self::SetPasidHalf(Directory::Contexts, Half::Low, ..) => Verb::SetContextLow,
            Self::SetPasidHalf(Directory::Contexts, Half::High, ..) => Verb::SetContextHigh,
            Self::InvWait(..) => Verb::InvWait,
            Self::Unplug(_) => Verb::Unplug,
            Self::PageRequest(_) => Verb::PageRequest,
            Self::PageResponse(_) => Verb::PageResponse,
            Self::DrainRequests => Verb::DrainRequests,
            Self::NotifyStart(_) => Verb::NotifyStart,
            Self::NotifyEnd(_) => Verb::NotifyEnd,
            Self::ChangePte(_) => Verb::ChangePte,
            Self::ZapSpte(_) => Verb::ZapSpte,
            Self::SetSpte(..) => Verb::SetSpte,
            Self::ZapSpmd(_) => Verb::ZapSpmd,
            Self::SetSpmd(..) => Verb::SetSpmd,
            Self::Walk(_) => Verb::Walk,
            Self::Load(_) => Verb::Load,
            Self::Store(..) => Verb::Store,
            Self::DmaRead(_) => Verb::DmaRead,
            Self::DmaWrite(..) => Verb::DmaWrite,
            Self::GupFast { .. } => Verb::GupFast,
            Self::TryGet { .. } => Verb::TryGet,
            Self::Peek { .. } => Verb::Peek,
            Self::Forget(_) => Verb::Forget,
            Self::Write(..) => Verb::Write,
            Self::Read(_) => Verb::Read,
            Self::Copy(..) => Verb::Copy,
            Self::Count(count, _) => count.verb(),
        }
    }
}

impl<N: Names> EntryOf<N> {
    const fn verb(&self, place: &EntryAt<N>) -> Verb {
        match (place, self) {
            (EntryAt::Pte(_), Self::Read) => Verb::PteRead,
            (EntryAt::Pte(_), Self::Clear) => Verb::PteClear,
            (EntryAt::Pte(_), Self::Set(_)) => Verb::SetPte,
            (EntryAt::Pte(_), Self::Modify(_)) => Verb::PteModify,
            (EntryAt::Pmd(_), Self::Read) => Verb::PmdRead,
            (EntryAt::Pmd(_), Self::Clear) => Verb::PmdClear,
            (EntryAt::Pmd(_), Self::Set(_)) => Verb::SetPmd,
            (EntryAt::Pmd(_), Self::Modify(_)) => Verb::PmdModify,
        }
    }
}

impl Count {
    /// The word that it is written with.
    #[must_use]
    pub const fn verb(self) -> Verb {
        match self {
            Self::Alloc => Verb::Alloc,
            Self::Get => Verb::Get,
            Self::Put => Verb::Put,
            Self::Pin => Verb::Pin,
            Self::Unpin => Verb::Unpin,
            Self::Map => Verb::Map,
            Self::Unmap => Verb::Unmap,
            Self::Free => Verb::Free,
            Self::MarkStable => Verb::MarkStable,
        }
    }
}
