//! What the programs hold: what each remembers, its handles and sections, locks, variables, who waits for whom.
//!
//! Invariant: a lock has one holder, or any number of agents that share it; nobody releases what he does not hold.
//! Source: include/linux/rwsem.h, kernel/smp.c, Documentation/RCU.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use mmu::address::Pfn;
use ordering::lowering::{AgentId, FrameId, Party, Scene};
use parking_lot::Mutex;
use steps::{LockMode, Section};

/// One agent's.
#[derive(Debug)]
pub(crate) struct Held {
    /// By page: the entry as it last saw or wrote it, as a word.
    pub(crate) entries: Vec<AtomicU64>,
    /// By upper entry, likewise.
    pub(crate) uppers: Vec<AtomicU64>,
    /// References, by the name of the handle.
    pub(crate) handles: Mutex<HashMap<String, FrameId>>,
    /// Where others wait for it.
    pub(crate) sections: Mutex<BTreeSet<Section>>,
    /// Its stores that have not reached memory: which of the scene's places, and the word; the oldest first.
    pub(crate) buffer: Mutex<VecDeque<(usize, u64)>>,
    /// By page: where an access leads that its device has translated, and that has not landed.
    pub(crate) flights: Vec<Mutex<Option<Pfn>>>,
    /// Whether a wait of it was aborted that it has not looked at since.
    pub(crate) aborted: AtomicBool,
    /// Whether its step is one of several that are taken as one.
    pub(crate) indivisible: AtomicBool,
    /// Whether the reference that it takes without a lock is one to what an upper entry maps.
    pub(crate) huge: Mutex<bool>,
}

/// A lock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lock {
    /// Who holds it alone.
    pub(crate) holder: Option<AgentId>,
    /// Who share it.
    pub(crate) sharers: BTreeSet<AgentId>,
}

/// What all programs share beside memory.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) locks: Mutex<HashMap<String, Lock>>,
    /// Who waits for whose answer.
    pub(crate) awaited: Mutex<BTreeSet<(AgentId, Party)>>,
    /// What is posted and not done, by number, the oldest first.
    pub(crate) queue: Mutex<VecDeque<u32>>,
    /// By page: who waits for a response to a request for it, as the agent's index plus one.
    pub(crate) requested: Vec<AtomicU32>,
    /// User variables.
    pub(crate) variables: Vec<AtomicU32>,
    /// By page: the ranges that are open over it, and how often one was opened or closed.
    pub(crate) ranges: Vec<Mutex<Ranges>>,
}

/// The ranges over one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ranges {
    pub(crate) open: u32,
    pub(crate) sequence: u64,
}

impl Held {
    pub(crate) fn new(scene: &Scene) -> Self {
        Self {
            entries: scene.pages.iter().map(|_| AtomicU64::new(0)).collect(),
            uppers: scene.pmds.iter().map(|_| AtomicU64::new(0)).collect(),
            handles: Mutex::default(),
            sections: Mutex::default(),
            buffer: Mutex::default(),
            flights: scene.pages.iter().map(|_| Mutex::default()).collect(),
            aborted: AtomicBool::new(false),
            indivisible: AtomicBool::new(false),
            huge: Mutex::new(false),
        }
    }

    /// Nothing is in flight, and no wait was aborted.
    pub(crate) fn end_flights(&self) {
        self.flights.iter().for_each(|flight| *flight.lock() = None);
        self.aborted.store(false, Ordering::Release);
    }
}

impl Lock {
    /// Takes it for `agent`; false: somebody is in the way.
    pub(crate) fn take(&mut self, agent: AgentId, mode: LockMode) -> bool {
        let free = self.holder.is_none();
        match mode {
            LockMode::Exclusive if free && self.sharers.is_empty() => self.holder = Some(agent),
            LockMode::Shared if free && !self.sharers.contains(&agent) => drop(self.sharers.insert(agent)),
            LockMode::Exclusive | LockMode::Shared => return false,
        }
        true
    }
}

impl Shared {
    pub(crate) fn new(scene: &Scene) -> Self {
        Self {
            locks: Mutex::default(),
            awaited: Mutex::default(),
            queue: Mutex::default(),
            requested: scene.pages.iter().map(|_| AtomicU32::new(0)).collect(),
            variables: scene.variables.iter().map(|_| AtomicU32::new(0)).collect(),
            ranges: scene.pages.iter().map(|_| Mutex::default()).collect(),
        }
    }
}
