//! The assumptions about hardware and kernel that a scenario makes.
//!
//! Invariant: what is not said is the first value that docs/language.md lists.

use crate::language::syntax::{BuiltIn, Scenario};

/// How `flush_tlb` reaches the CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// All at once.
    Whole,
    /// One after the other.
    Split,
    /// In any order, each when its interrupts are on.
    Ipi,
}

/// Which invalidations of device TLBs are given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// None.
    Never,
    /// Those of devices that are gone.
    Gone,
    /// Also those of devices that are there.
    Late,
}

/// What is assumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether reading an entry and filling the cache are two steps.
    pub split_walk: bool,
    /// Whether an invalidation discards the walks that devices have begun.
    pub inv_drains: bool,
    /// Whether an invalidation discards what is on its way to a device TLB.
    pub ats_drains: bool,
    /// Whether a device's access is translated and lands in two steps.
    pub split_dma: bool,
    /// Whether what is posted is done in its order.
    pub ordered_queue: bool,
    /// Which invalidations of device TLBs are given up.
    pub timeout: Timeout,
    /// How CPUs are reached.
    pub flush: Flush,
    /// Whether a cache may lose an entry at any time.
    pub evict: bool,
    /// Whether stores wait in a buffer.
    pub store_buffers: bool,
    /// Whether hardware walks at any time.
    pub speculation: bool,
    freed: bool,
    walked: bool,
    unlock: bool,
    unlinked: bool,
    deadlock: bool,
    livelock: bool,
    range: bool,
}

impl Options {
    pub(super) fn new(scenario: &Scenario) -> Self {
        // The last of several counts; a variant's comes behind its base's.
        let is = |name: &str, value: &str| {
            let said = scenario.options.iter().rev().find(|(option, _)| option.node == name);
            said.is_some_and(|(_, found)| found.node == value)
        };
        Self {
            split_walk: is("walk", "split"),
            inv_drains: !is("inv_drains", "off"),
            ats_drains: !is("ats_drains", "off"),
            split_dma: is("dma", "split"),
            ordered_queue: is("queue", "ordered"),
            timeout: match () {
                () if is("timeout", "gone") => Timeout::Gone,
                () if is("timeout", "late") => Timeout::Late,
                () => Timeout::Never,
            },
            flush: match () {
                () if is("flush", "split") => Flush::Split,
                () if is("flush", "ipi") => Flush::Ipi,
                () => Flush::Whole,
            },
            evict: !is("evict", "off"),
            speculation: is("speculation", "on"),
            store_buffers: is("memory", "tso"),
            freed: !is("use_after_free", "off"),
            walked: !is("walk_after_free", "off"),
            unlock: !is("unlock", "off"),
            unlinked: !is("walk_unlinked", "off"),
            deadlock: !is("deadlock", "off"),
            livelock: !is("livelock", "off"),
            range: !is("range", "off"),
        }
    }

    /// Whether the built-in property is on.
    pub(super) fn is_on(&self, property: BuiltIn) -> bool {
        match property {
            BuiltIn::FreedFrame => self.freed,
            BuiltIn::FreedTable => self.walked,
            BuiltIn::Unlock => self.unlock,
            BuiltIn::UnlinkedTable => self.unlinked,
            BuiltIn::Deadlock => self.deadlock,
            BuiltIn::Livelock => self.livelock,
            BuiltIn::Range => self.range,
        }
    }
}
