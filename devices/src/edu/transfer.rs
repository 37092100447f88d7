//! One transfer between memory and the device's buffer.
//!
//! Invariant: a transfer that would leave the buffer moves nothing. One that faults leaves its command register with
//! START clear like any other: the device has no error bit, so the fault goes to the log.

use mmu::address::VirtAddr;

use crate::pci::Endpoint;
use crate::upstream::DmaFault;

/// In a command: go.
pub(super) const START: u64 = 1;
/// In a command: from the buffer to memory, not the other way.
const TO_MEMORY: u64 = 2;
/// In a command: interrupt at the end.
pub(super) const INTERRUPT: u64 = 4;

/// Where the buffer lies, as the device's own registers name it.
const BUFFER: u64 = 0x4_0000;
const BUFFER_BYTES: usize = 4096;

/// The registers of a transfer, and the buffer.
pub(super) struct Transfer {
    pub(super) source: u64,
    pub(super) destination: u64,
    pub(super) count: u64,
    pub(super) command: u64,
    buffer: Box<[u8; BUFFER_BYTES]>,
}

impl Default for Transfer {
    fn default() -> Self {
        let buffer = Box::new([0; BUFFER_BYTES]);
        Self { source: 0, destination: 0, count: 0, command: 0, buffer }
    }
}

impl Transfer {
    /// Runs to its end.
    pub(super) fn run(&mut self, endpoint: &Endpoint, command: u64, mask: u64) {
        self.command = command & !START;
        let inside = if command & TO_MEMORY == 0 { self.destination } else { self.source };
        let Some(range) = range(inside, self.count) else {
            log::warn!(
                "{} edu: {:#x} bytes at {inside:#x} leave its buffer at {BUFFER:#x}",
                endpoint.source(),
                self.count
            );
            return;
        };
        let done = if command & TO_MEMORY == 0 {
            endpoint.read(None, VirtAddr(self.source & mask), &mut self.buffer[range])
        } else {
            endpoint.write(None, VirtAddr(self.destination & mask), &self.buffer[range])
        };
        done.unwrap_or_else(|fault| report(endpoint, &fault));
    }
}

fn range(start: u64, count: u64) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(start.checked_sub(BUFFER)?).ok()?;
    let end = start.checked_add(usize::try_from(count).ok()?)?;
    (end <= BUFFER_BYTES).then_some(start..end)
}

fn report(endpoint: &Endpoint, fault: &DmaFault) {
    log::warn!("{} edu: the transfer failed: {fault}", endpoint.source());
}
