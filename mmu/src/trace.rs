//! What happened: the events that the live machine reports, of which a run is made again.
//!
//! Invariant: an event's effect lies between its two times, and no earlier or later. What cannot be timed where it
//! happens is announced: it may happen at any time from then on, or never.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use steps::one_page::Protection;
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

/// One execution of a program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// Its number: no other execution of this process has it.
    pub number: u64,
    /// The program's name: the kernel function.
    pub program: &'static str,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A line of an operation, and whether a check held.
    Line {
        /// By which execution.
        run: Run,
        /// The line.
        line: Line,
        /// False for a check that failed.
        held: bool,
    },
    /// Every private page was write-protected for a child (`fork`).
    Share,
    /// Announced: the child gives its pages up.
    Exit,
    /// Announced: the user stores this value.
    Turn(u64),
    /// A page walk filled a TLB, or a fault filled the shadow page table.
    Walk(Protection),
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
    /// It cannot have happened before.
    pub began: Instant,
    /// It had happened; of what is announced, when that was done.
    pub ended: Instant,
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

    /// Whether events are wanted; if not, none has to be made, and no clock read. It never changes.
    fn watches(&self) -> bool {
        true
    }

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

    fn watches(&self) -> bool {
        false
    }
}

impl Event {
    /// An event of `agent` at `page`, now, that reached `frame`.
    #[must_use]
    pub fn now(agent: Agent, action: Action, page: VirtAddr, frame: Option<Pfn>) -> Self {
        Self::since(Instant::now(), agent, action, page, frame)
    }

    /// An event that began then and is over now.
    #[must_use]
    pub fn since(began: Instant, agent: Agent, action: Action, page: VirtAddr, frame: Option<Pfn>) -> Self {
        Self { began, ended: Instant::now(), agent, action, page, frame, new_frame: None }
    }

    /// A walk of `agent` for `address`, which began then and has found a translation.
    #[must_use]
    pub fn walk(began: Instant, agent: Agent, address: VirtAddr, found: &Translation) -> Self {
        let permission = if found.permission.write { Protection::ReadWrite } else { Protection::ReadOnly };
        let frame = Some(found.physical(address).pfn());
        Self::since(began, agent, Action::Walk(permission), address.page(), frame)
    }
}

impl Run {
    /// An execution of `program` that begins.
    #[must_use]
    pub fn begin(program: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), program }
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
