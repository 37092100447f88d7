//! Store buffers (x86-TSO): a plain store of a program waits until it reaches memory.
//!
//! Invariant: the stores of an agent reach memory in their order; the agent itself reads its newest, everybody else memory.
//! A locked instruction and a fence wait until the own buffer is empty. Source: Sewell and others, x86-TSO, 2010.

use std::sync::atomic::Ordering;

use ordering::lowering::{AgentId, Key};

use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    /// The place of a plain store in the buffer of `agent`, if it waits there.
    fn waits(&self, agent: AgentId, place: &Key) -> Option<usize> {
        let of = &self.scene.agents[agent];
        if of.buffer == 0 || self.held[agent].indivisible.load(Ordering::Relaxed) {
            return None;
        }
        of.stores.iter().position(|key| key == place)
    }

    /// A plain store.
    pub(crate) fn store(&self, agent: AgentId, place: &Key, word: u64) -> Result<(), Stuck> {
        let Some(index) = self.waits(agent, place) else { return self.reach(place, word) };
        let mut buffer = self.held[agent].buffer.lock();
        if buffer.len() >= self.scene.agents[agent].buffer {
            return Err(Stuck::Waits("the store buffer is full"));
        }
        buffer.push_back((index, word));
        Ok(())
    }

    /// What the agent's newest store to a place says, if that is still in its buffer.
    pub(crate) fn newest(&self, agent: AgentId, place: &Key) -> Option<u64> {
        let index = self.waits(agent, place)?;
        self.held[agent].buffer.lock().iter().rev().find(|(at, _)| *at == index).map(|(_, word)| *word)
    }

    /// A locked instruction waits for the own buffer.
    pub(crate) fn drained(&self, agent: AgentId) -> Result<(), Stuck> {
        let held = &self.held[agent];
        match held.indivisible.load(Ordering::Relaxed) || held.buffer.lock().is_empty() {
            true => Ok(()),
            false => Err(Stuck::Waits("its own stores have not reached memory")),
        }
    }

    /// The oldest store of the agent reaches memory.
    pub(crate) fn reach_memory(&self, agent: AgentId) -> Result<(), Stuck> {
        let mut buffer = self.held[agent].buffer.lock();
        let (index, word) = *buffer.front().ok_or(Stuck::Waits("the store buffer is empty"))?;
        self.reach(&self.scene.agents[agent].stores[index], word)?;
        buffer.pop_front();
        Ok(())
    }

    /// A store is in memory.
    pub(crate) fn reach(&self, place: &Key, word: u64) -> Result<(), Stuck> {
        match place {
            Key::Pte(page) => self.memory.store(self.layout.page(*page).slot, word),
            Key::Pmd(pmd) => self.memory.store(self.layout.pmd(*pmd), word),
            Key::User(index) => {
                let value =
                    u32::try_from(word).map_err(|_| Stuck::Cannot("no value of a variable".to_owned()))?;
                self.shared.variables[*index].store(value, Ordering::Release);
            }
            Key::Lock(name) => {
                self.shared.locks.lock().entry(name.clone()).or_default().holder = None;
            }
            Key::Pwc(..)
            | Key::Tlb(..)
            | Key::Tagged(..)
            | Key::LoadedMm(_)
            | Key::LoadedTag(_)
            | Key::InFlight(..)
            | Key::DeviceTlb(..)
            | Key::Completion(..)
            | Key::Pasid(_)
            | Key::PasidCache(_)
            | Key::Spte(_)
            | Key::InProgress(_)
            | Key::Content(_)
            | Key::Refs(_)
            | Key::Mapcount(_)
            | Key::Pins(_)
            | Key::Stable(_)
            | Key::Requested(_)
            | Key::Slot(_)
            | Key::Shares(..)
            | Key::Store(..)
            | Key::Section(..)
            | Key::Awaits(..)
            | Key::Handle(..)
            | Key::Orig(..)
            | Key::PmdOrig(..)
            | Key::Dma(..)
            | Key::Gone(_)
            | Key::Aborted(_)
            | Key::PasidHigh(_)
            | Key::PasidRead(_)
            | Key::Torn(_)
            | Key::Spmd(_)
            | Key::Returned(..)
            | Key::Ghost(_) => return Err(Stuck::Cannot(format!("no plain store goes to {place:?}"))),
        }
        Ok(())
    }

    /// The word of a store that the model has in the buffer of `agent`: which of its places, and what.
    pub(crate) fn buffered(&self, agent: AgentId, index: u32) -> Option<(usize, u64)> {
        self.held[agent].buffer.lock().get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests;
