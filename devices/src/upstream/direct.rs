//! No remapping unit: what a device says is the physical address.
//!
//! Invariant: a request that leaves memory moves nothing; a write into the message range is an interrupt. A PASID changes
//! nothing, and nobody takes page requests.

use std::sync::Arc;

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::memory::PhysicalMemory;
use pcie::{Ats, Msi, PageGroupResponse, PageRequest, Pasid, RequestOutcome, SourceId};

use super::{Atomic, DmaFault, Port, Sink, Upstream};

/// Memory without a remapping unit in front of it.
#[derive(Clone)]
pub struct Direct {
    memory: Arc<PhysicalMemory>,
    sink: Sink,
}

impl Direct {
    /// All of `memory`; interrupts go to `sink`.
    #[must_use]
    pub fn new(memory: Arc<PhysicalMemory>, sink: Sink) -> Self {
        Self { memory, sink }
    }

    /// Replaces the aligned word at `at` by what `operation` makes of it; what stood there.
    fn update(&self, at: PhysAddr, operation: Atomic) -> Option<u64> {
        let mut before = self.memory.try_load(at)?;
        loop {
            match self.memory.try_compare_exchange(at, before, operation.apply(before))? {
                Ok(_) => return Some(before),
                Err(found) => before = found,
            }
        }
    }
}

impl Upstream for Direct {
    fn port(&self, _: SourceId) -> Box<dyn Port> {
        Box::new(self.clone())
    }

    fn send(&self, _: SourceId, message: Msi) {
        (self.sink)(message);
    }
}

impl Port for Direct {
    fn read(&mut self, _: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), DmaFault> {
        let done = self.memory.try_read_bytes(PhysAddr(address.0), bytes);
        done.then_some(()).ok_or(DmaFault::Unsupported { address, len_bytes: bytes.len() })
    }

    fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), DmaFault> {
        if let (None, true, Ok(data)) = (pasid, Msi::is_address(address.0), bytes.try_into()) {
            (self.sink)(Msi { address: address.0, data: u32::from_le_bytes(data) });
            return Ok(());
        }
        let done = self.memory.try_write_bytes(PhysAddr(address.0), bytes);
        done.then_some(()).ok_or(DmaFault::Unsupported { address, len_bytes: bytes.len() })
    }

    fn atomic(&mut self, _: Option<Pasid>, address: VirtAddr, operation: Atomic) -> Result<u64, DmaFault> {
        let unsupported = DmaFault::Unsupported { address, len_bytes: size_of::<u64>() };
        self.update(PhysAddr(address.0), operation).ok_or(unsupported)
    }

    fn hold(&mut self, address: VirtAddr, _: Access) -> Result<PhysAddr, DmaFault> {
        Ok(PhysAddr(address.0))
    }

    fn release(&mut self) {}

    fn set_ats(&mut self, _: Ats) {}

    fn reset(&mut self) {}

    fn drop_responses(&mut self) {}

    fn request_page(&mut self, request: PageRequest) -> Result<RequestOutcome, DmaFault> {
        Err(DmaFault::Unsupported { address: request.address, len_bytes: 0 })
    }

    fn next_response(&mut self) -> Option<PageGroupResponse> {
        None
    }
}
