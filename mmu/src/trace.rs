//! What happened, in order: the events that the live machine reports and a trace is made of.
//!
//! Invariant: an event carries the time at which its effect cannot have been later (a store, a step that changes
//! the entry) or earlier (a walk, an invalidation) than others need it to be: a walk is stamped before it reads
//! the entry, a flush when it begins, everything else when it is done. So a walk that read an entry never appears
//! after the clear of that entry.

use std::fmt;
use std::time::Instant;

use steps::one_page::{Permission, Step};
use steps::program::Line;

use crate::address::{Pfn, VirtAddr};
use crate::cache::Translation;

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Agent {
    /// The memory manager, on whatever CPU it runs.
    Mm,
    /// A thread that uses the address space through a CPU TLB.
    Cpu(u16),
    /// A virtual CPU on the shadow page table.
    Vcpu(u16),
    /// A device behind the IOMMU.
    Device(u16),
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A line of an operation, and whether a check held.
    Line {
        /// The line.
        line: Line,
        /// False for a check that failed.
        held: bool,
    },
    /// Every private page was write-protected for a child (`fork`).
    Share,
    /// A page walk filled a TLB, or a fault filled the shadow page table.
    Walk(Permission),
    /// The translation was refused and the memory manager asked.
    Fault,
    /// A load returned a value.
    Load(u64),
    /// A store of a value completed.
    Store(u64),
    /// A load returned less than was published before it began.
    StaleLoad {
        /// What it returned.
        value: u64,
        /// What had been published.
        published: u64,
    },
    /// A load or store reached a frame that nobody owns.
    FreedUse,
    /// A value that was published is in no frame that the page table maps.
    LostStore {
        /// What the mapped frame holds.
        value: u64,
        /// What had been published.
        published: u64,
    },
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When, see the file's header.
    pub at: Instant,
    /// Who.
    pub agent: Agent,
    /// What.
    pub action: Action,
    /// To which page.
    pub page: VirtAddr,
    /// The frame that was reached, `old` for a step of an operation.
    pub frame: Option<Pfn>,
    /// The frame that a step puts in place.
    pub new_frame: Option<Pfn>,
}

/// Somebody who watches the live machine.
pub trait Observer: Send + Sync {
    /// An event happened. Called by the thread that caused it, possibly under a page-table lock: it must not
    /// wait for another user of the address space.
    fn record(&self, event: Event);

    /// The memory manager is about to execute `line` on `page`: the place to widen a window.
    fn before(&self, page: VirtAddr, line: &Line) {
        let _ = (page, line);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn record(&self, _: Event) {}
}

impl Event {
    /// An event of `agent` at `page`, now, that reached `frame`.
    #[must_use]
    pub fn now(agent: Agent, action: Action, page: VirtAddr, frame: Option<Pfn>) -> Self {
        Self { at: Instant::now(), agent, action, page, frame, new_frame: None }
    }

    /// A walk of `agent` for `address`, which began then and has found a translation.
    #[must_use]
    pub fn walk(began: Instant, agent: Agent, address: VirtAddr, found: &Translation) -> Self {
        let permission = if found.permission.write { Permission::ReadWrite } else { Permission::ReadOnly };
        let frame = Some(found.physical(address).pfn());
        let action = Action::Walk(permission);
        Self { at: began, agent, action, page: address.page(), frame, new_frame: None }
    }
}

impl Action {
    /// Whether the event is stamped when it begins.
    #[must_use]
    pub fn begins(line: &Line) -> bool {
        matches!(line, Line::Step(Step::Invalidate(_) | Step::NotifyStart(_)))
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mm => f.write_str("mm"),
            Self::Cpu(number) => write!(f, "CPU {number}"),
            Self::Vcpu(number) => write!(f, "vCPU {number}"),
            Self::Device(number) => write!(f, "device {number}"),
        }
    }
}
