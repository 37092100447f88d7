//! The debugger's breakpoints.
//!
//! Invariant: what was put into memory is taken out again where it still stands, by [`Breakpoints::clear`] at the latest. An
//! address in a debug register changes nothing that the guest can see, so those are used first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use crate::kvm::processor::debug::{DEBUG_REGISTERS, Pace, Plan};

/// The instruction that stops.
const INT3: u8 = 0xcc;
/// Those in memory, at one time.
const MOST_IN_MEMORY: usize = 1024;

/// What the debugger called it, which is what it wants to hear when it is hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It does not mind where it is kept.
    Software,
    /// It is to leave memory alone.
    Hardware,
}

/// A byte of memory that is an int3 now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Replaced {
    at: PhysAddr,
    byte: u8,
}

/// All of them, by linear address.
#[derive(Debug, Default)]
pub(super) struct Breakpoints {
    registers: [Option<(u64, Kind)>; DEBUG_REGISTERS],
    memory: BTreeMap<u64, Replaced>,
}

impl Breakpoints {
    /// Puts one into a debug register; whether there was one left.
    pub(super) fn add_to_registers(&mut self, address: u64, kind: Kind) -> bool {
        if self.registers.contains(&Some((address, kind))) {
            return true;
        }
        let free = self.registers.iter_mut().find(|register| register.is_none());
        free.map(|register| *register = Some((address, kind))).is_some()
    }

    /// Puts one into memory, where `at` is the place of the linear address.
    pub(super) fn add_to_memory(&mut self, memory: &PhysicalMemory, address: u64, at: PhysAddr) -> bool {
        if self.memory.contains_key(&address) {
            return true;
        }
        // By another address it may be there already, and then this would be no byte of the guest's.
        let is_there = self.memory.values().any(|replaced| replaced.at == at);
        let mut byte = [0];
        if is_there || self.memory.len() >= MOST_IN_MEMORY || !memory.try_read_bytes(at, &mut byte) {
            return false;
        }
        let [byte] = byte;
        let is_set = memory.try_write_bytes(at, &[INT3]);
        if is_set {
            self.memory.insert(address, Replaced { at, byte });
        }
        is_set
    }

    /// Takes one out; whether it was there.
    pub(super) fn remove(&mut self, memory: &PhysicalMemory, address: u64, kind: Kind) -> bool {
        let register = self.registers.iter_mut().find(|register| **register == Some((address, kind)));
        if let Some(register) = register {
            *register = None;
            return true;
        }
        let replaced = if kind == Kind::Software { self.memory.remove(&address) } else { None };
        replaced.map(|replaced| replaced.put_back(memory)).is_some()
    }

    /// Takes all of them out.
    pub(super) fn clear(&mut self, memory: &PhysicalMemory) {
        self.registers = [None; DEBUG_REGISTERS];
        std::mem::take(&mut self.memory).values().for_each(|replaced| replaced.put_back(memory));
    }

    /// What a processor is told of them.
    pub(super) fn plan(&self, pace: Pace) -> Plan {
        let in_memory: BTreeSet<u64> = self.memory.keys().copied().collect();
        let registers = self.registers.map(|register| register.map(|(address, _)| address));
        Plan { registers, in_memory: Arc::new(in_memory), pace }
    }

    /// What the one at `address` was called.
    pub(super) fn kind(&self, address: u64) -> Kind {
        let of = |kind| self.registers.contains(&Some((address, kind)));
        if of(Kind::Hardware) && !of(Kind::Software) { Kind::Hardware } else { Kind::Software }
    }

    /// Shows memory from `at` on, which was read, as it is without them.
    pub(super) fn hide(&self, at: u64, bytes: &mut [u8]) {
        for (address, replaced) in self.memory.range(at..) {
            let index = usize::try_from(address - at).ok();
            match index.and_then(|index| bytes.get_mut(index)) {
                Some(byte) if *byte == INT3 => *byte = replaced.byte,
                Some(_) => {}
                None => break,
            }
        }
    }

    /// Memory from `at` on is written: what stands under a breakpoint is kept for its end. What is to be written.
    pub(super) fn keep(&mut self, at: u64, bytes: &[u8]) -> Vec<u8> {
        let mut written = bytes.to_vec();
        for (address, replaced) in self.memory.range_mut(at..) {
            let index = usize::try_from(address - at).ok();
            let Some(byte) = index.and_then(|index| written.get_mut(index)) else { break };
            replaced.byte = std::mem::replace(byte, INT3);
        }
        written
    }
}

impl Replaced {
    fn put_back(&self, memory: &PhysicalMemory) {
        let mut now = [0];
        // The guest may have put something else there.
        if memory.try_read_bytes(self.at, &mut now) && now == [INT3] {
            let _is_memory = memory.try_write_bytes(self.at, &[self.byte]);
        }
    }
}

#[cfg(test)]
mod tests;
