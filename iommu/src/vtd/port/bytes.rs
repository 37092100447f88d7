//! Accesses of any length: what is done with a translated address.
//!
//! Invariant: an access never leaves the 4 KiB page that was translated. An address outside memory reads as all ones and
//! takes nothing, as a bus without a device does.

use std::mem;
use std::sync::atomic::Ordering;

use mmu::address::{Access, PAGE_SIZE, PhysAddr, VirtAddr};
use pcie::{Msi, Pasid, Request};

use crate::vtd::interrupts::InterruptSource;
use crate::vtd::port::{Blocked, InFlight, Port};

impl InFlight<'_> {
    /// The physical address that is reached.
    #[must_use]
    pub fn address(&self) -> PhysAddr {
        self.address
    }

    /// Loads the aligned word.
    #[inline]
    #[must_use]
    pub fn load(self) -> u64 {
        match self.memory.load_own(self.address) {
            Some(word) => word,
            None => self.load_elsewhere(),
        }
    }

    /// Takes the access with it, so that nobody keeps anything for its end.
    #[cold]
    #[inline(never)]
    fn load_elsewhere(self) -> u64 {
        self.memory.try_load(self.address).unwrap_or(u64::MAX)
    }

    /// Stores the aligned word.
    #[inline]
    pub fn store(self, value: u64) {
        match self.memory.own_word(self.address) {
            Some(word) => word.store(value, Ordering::Release),
            None => self.store_elsewhere(value),
        }
    }

    #[cold]
    #[inline(never)]
    fn store_elsewhere(self, value: u64) {
        let _outside = self.memory.try_store(self.address, value);
    }

    /// Replaces the aligned word by what `new` makes of it, as one atomic step, and returns what stood there.
    pub fn update(self, new: impl Fn(u64) -> u64) -> u64 {
        let mut word = self.memory.try_load(self.address);
        while let Some(current) = word {
            match self.memory.try_compare_exchange(self.address, current, new(current)) {
                Some(Ok(_)) => return current,
                Some(Err(other)) => word = Some(other),
                None => word = None,
            }
        }
        u64::MAX
    }

    /// Reads bytes, which end in the page.
    pub fn read(self, bytes: &mut [u8]) {
        if !self.memory.try_read_bytes(self.address, bytes) {
            bytes.fill(0xff);
        }
    }

    /// Writes bytes, which end in the page.
    pub fn write(self, bytes: &[u8]) {
        let _outside = self.memory.try_write_bytes(self.address, bytes);
    }
}

impl Port {
    /// Translates a request and leaves it in flight until [`pause`](Self::pause): what is returned may be used up to then,
    /// within its page, and every invalidation that concerns it waits. No other request may come in between.
    ///
    /// # Errors
    /// [`Blocked`], as of [`translate`](Self::translate); then nothing is in flight.
    pub fn hold(&mut self, request: Request) -> Result<PhysAddr, Blocked> {
        let in_flight = self.translate(request)?;
        let address = in_flight.address();
        // Its end is what tells drains that it is over, and that comes later.
        mem::forget(in_flight);
        Ok(address)
    }

    /// Reads `bytes` from `address` on, page by page.
    ///
    /// # Errors
    /// [`Blocked`] at the first page that is not translated; the pages before were read.
    pub fn read(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &mut [u8]) -> Result<(), Blocked> {
        let mut address = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at_mut(until_page_end(address, rest.len()));
            self.translate(Request { pasid, address, access: Access::Read })?.read(piece);
            address = address.offset(piece.len() as u64);
            rest = behind;
        }
        Ok(())
    }

    /// Writes `bytes` from `address` on, page by page. Four bytes to 0xfeexxxxx are an interrupt.
    ///
    /// # Errors
    /// [`Blocked`] at the first page that is not translated; the pages before were written.
    pub fn write(&mut self, pasid: Option<Pasid>, address: VirtAddr, bytes: &[u8]) -> Result<(), Blocked> {
        if let (None, true, Ok(data)) = (pasid, Msi::is_address(address.0), bytes.try_into()) {
            return self.interrupt(Msi { address: address.0, data: u32::from_le_bytes(data) });
        }
        let mut address = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(until_page_end(address, rest.len()));
            self.translate(Request { pasid, address, access: Access::Write })?.write(piece);
            address = address.offset(piece.len() as u64);
            rest = behind;
        }
        Ok(())
    }

    /// Sends an interrupt through the remapping unit.
    ///
    /// # Errors
    /// [`Blocked`] with the reason that is in the fault log.
    pub fn interrupt(&mut self, message: Msi) -> Result<(), Blocked> {
        let source = self.source();
        let sent = self.wiring.unit.interrupt(InterruptSource::Function(source), message);
        sent.map_err(|reason| Blocked {
            requester: source,
            request: Request { pasid: None, address: VirtAddr(message.address), access: Access::Write },
            reason,
        })
    }
}

fn until_page_end(address: VirtAddr, len: usize) -> usize {
    let left = PAGE_SIZE - address.0 % PAGE_SIZE;
    usize::try_from(left).map_or(len, |left| left.min(len))
}
