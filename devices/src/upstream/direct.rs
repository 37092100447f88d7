//! No remapping unit: what a device says is the physical address.
//!
//! Invariant: a request that leaves memory moves nothing; a write into the message range is an interrupt.

use std::sync::Arc;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::{Address, Atomic, DmaFault, Requester, SourceId, Transfer, Upstream};
use crate::interrupt::{Message, is_message_address};

/// Takes an interrupt message to the local APICs.
pub type Sink = Arc<dyn Fn(Message) + Send + Sync>;

/// Memory without a remapping unit in front of it.
pub struct Direct {
    memory: Arc<PhysicalMemory>,
    sink: Sink,
}

impl Direct {
    /// All of `memory`; messages go to `sink`.
    #[must_use]
    pub fn new(memory: Arc<PhysicalMemory>, sink: Sink) -> Self {
        Self { memory, sink }
    }

    fn holds(&self, address: Address, len_bytes: usize) -> bool {
        let end = u64::try_from(len_bytes).ok().and_then(|len| address.0.checked_add(len));
        end.is_some_and(|end| end <= self.memory.len_bytes())
    }
}

impl Upstream for Direct {
    fn transfer(&self, from: Requester, address: Address, transfer: Transfer<'_>) -> Result<(), DmaFault> {
        let len_bytes = transfer.len_bytes();
        match transfer {
            Transfer::Write(data) if is_message_address(address.0) => {
                let data = data.try_into().map_err(|_| DmaFault::Unsupported { address, len_bytes })?;
                self.send(from.source, Message { address: address.0, data: u32::from_le_bytes(data) });
                Ok(())
            }
            transfer if self.holds(address, len_bytes) => {
                perform(&self.memory, PhysAddr(address.0), transfer)
                    .ok_or(DmaFault::Unsupported { address, len_bytes })
            }
            _ => Err(DmaFault::Unsupported { address, len_bytes }),
        }
    }

    fn send(&self, _: SourceId, message: Message) {
        (self.sink)(message);
    }
}

/// Moves the bytes; none if an atomic's word is not aligned. An aligned word of 8 bytes is moved in one piece.
fn perform(memory: &PhysicalMemory, at: PhysAddr, transfer: Transfer<'_>) -> Option<()> {
    match transfer {
        Transfer::Read(bytes) => match (<&mut [u8; 8]>::try_from(&mut *bytes), memory.try_load(at)) {
            (Ok(word), Some(value)) => *word = value.to_le_bytes(),
            _ => memory.read_bytes(at, bytes),
        },
        Transfer::Write(bytes) => match (<[u8; 8]>::try_from(bytes), memory.try_load(at)) {
            (Ok(word), Some(_)) => memory.store(at, u64::from_le_bytes(word)),
            _ => memory.write_bytes(at, bytes),
        },
        Transfer::Atomic { operation, before } => *before = update(memory, at, operation)?,
    }
    Some(())
}

/// What stood there before.
fn update(memory: &PhysicalMemory, at: PhysAddr, operation: Atomic) -> Option<u64> {
    memory.try_load(at)?;
    Some(match operation {
        Atomic::FetchAdd(value) => memory.fetch_add(at, value),
        Atomic::Swap(value) => memory.swap(at, value),
        Atomic::CompareAndSwap { compare, swap } => {
            memory.compare_exchange(at, compare, swap).unwrap_or_else(|found| found)
        }
    })
}
