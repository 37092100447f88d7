//! The registers, between software on one side and the engine's thread on the other.
//!
//! Invariant: HEAD and the counters change by the thread alone. The lock is held for as long as it takes to look or to
//! change something, never across a request.

use mmu::address::{Access, VirtAddr};
use pcie::{BadPasid, Pasid};

use super::descriptor::Code;
use super::register as r;
use crate::bus::Width;
use crate::masked::MaskedBytes;

/// The registers.
#[derive(Debug)]
pub(super) struct State {
    file: MaskedBytes,
}

/// What the thread is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Wait.
    Nothing,
    /// Put everything back.
    Reset,
    /// Give up: the ring cannot be as it is described.
    Halt,
    /// Execute the entry that lies there.
    Execute { pasid: Option<Pasid>, entry: VirtAddr, index: u16 },
}

/// A request that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) address: VirtAddr,
    pub(super) pasid: Option<Pasid>,
    pub(super) access: Access,
}

impl State {
    pub(super) fn new() -> Self {
        let len_bytes = u16::try_from(r::LEN_BYTES).unwrap_or_default();
        let mut file = MaskedBytes::new(len_bytes);
        file.set(r::IDENTIFICATION, &r::IDENTIFICATION_VALUE.to_le_bytes());
        file.set(r::LIMITS, &[r::MOST_ENTRIES_LOG2, r::MOST_BYTES_LOG2]);
        for (offset, mask) in [
            (r::CONTROL, r::RUN | r::RESET),
            (r::RING_ADDRESS, !0x3f),
            (r::RING_ADDRESS + 4, !0),
            (r::RING_SIZE, 0xff),
            (r::RING_PASID, !0),
            (r::TAIL, 0xffff),
            (r::INTERRUPT_ENABLE, r::INTERRUPTS),
        ] {
            file.allow(offset, &mask.to_le_bytes());
        }
        file.clear_by_ones(r::INTERRUPT_STATUS, &r::INTERRUPTS.to_le_bytes());
        file.clear_by_ones(r::FAULT, &r::FAULT_VALID.to_le_bytes());
        Self { file }
    }

    /// A load by software, of 4 or 8 bytes, aligned.
    pub(super) fn read(&self, offset: u64, width: Width) -> u64 {
        place(offset, width).map_or(width.ones(), |offset| self.file.read(offset, width))
    }

    /// A store by software, of 4 or 8 bytes, aligned.
    pub(super) fn write(&mut self, offset: u64, width: Width, value: u64) {
        let Some(offset) = place(offset, width) else { return };
        // A reset that is under way is not taken back.
        let resets = self.get(r::CONTROL) & r::RESET;
        self.file.write(offset, width, value);
        self.raise(r::CONTROL, resets);
    }

    /// What the thread is to do.
    pub(super) fn next(&self) -> Next {
        let control = self.get(r::CONTROL);
        if control & r::RESET != 0 {
            return Next::Reset;
        }
        if control & r::RUN == 0 || self.get(r::STATUS) & r::HALTED != 0 {
            return Next::Nothing;
        }
        let (head, tail, size) = (self.get(r::HEAD), self.get(r::TAIL), self.get(r::RING_SIZE));
        let Ok(pasid) = self.ring_pasid() else { return Next::Halt };
        if size > r::MOST_ENTRIES_LOG2.into() {
            return Next::Halt;
        }
        let mask = (1 << size) - 1;
        if head & mask == tail & mask {
            return Next::Nothing;
        }
        let ring = u64::from_le_bytes(self.file.get(r::RING_ADDRESS));
        // Below 2^12.
        let index = u16::try_from(head & mask).unwrap_or_default();
        let entry = VirtAddr(ring.wrapping_add(u64::from(index) * super::descriptor::LEN_BYTES as u64));
        Next::Execute { pasid, entry, index }
    }

    /// As software asks for it in CONTROL.
    pub(super) fn ask_for_reset(&mut self) {
        self.raise(r::CONTROL, r::RESET);
    }

    /// Whether the descriptor at hand is to be given up.
    pub(super) fn is_resetting(&self) -> bool {
        self.get(r::CONTROL) & r::RESET != 0
    }

    pub(super) fn begin(&mut self) {
        self.raise(r::STATUS, r::BUSY);
    }

    /// The entry at `index` is over.
    pub(super) fn finish(&mut self, index: u16, code: Code) {
        let size = self.get(r::RING_SIZE).min(r::MOST_ENTRIES_LOG2.into());
        let head = (u32::from(index) + 1) & ((1 << size) - 1);
        self.set(r::HEAD, head);
        self.set(r::STATUS, self.get(r::STATUS) & !r::BUSY);
        self.count(r::EXECUTED);
        if code != Code::Done {
            self.count(r::FAILED);
        }
    }

    /// The ring cannot be used.
    pub(super) fn halt(&mut self) {
        self.set(r::STATUS, r::HALTED);
        self.raise(r::INTERRUPT_STATUS, r::INTERRUPT_HALT);
    }

    /// Keeps the first fault.
    pub(super) fn note(&mut self, fault: &Fault) {
        if self.get(r::FAULT) & r::FAULT_VALID == 0 {
            let write = if fault.access == Access::Write { r::FAULT_WRITE } else { 0 };
            let pasid = fault.pasid.map_or(0, |pasid| r::FAULT_PASID | pasid.number());
            let code = (fault.code as u32) << r::FAULT_CODE_SHIFT;
            self.set(r::FAULT, r::FAULT_VALID | write | pasid | code);
            self.file.set(r::FAULT_ADDRESS, &fault.address.0.to_le_bytes());
        }
        self.raise(r::INTERRUPT_STATUS, r::INTERRUPT_FAULT);
    }

    /// There is a reason to interrupt.
    pub(super) fn ask(&mut self, reasons: u32) {
        self.raise(r::INTERRUPT_STATUS, reasons);
    }

    /// Whether a reason is enabled.
    pub(super) fn interrupts(&self) -> bool {
        self.get(r::INTERRUPT_STATUS) & self.get(r::INTERRUPT_ENABLE) != 0
    }

    fn ring_pasid(&self) -> Result<Option<Pasid>, BadPasid> {
        let register = self.get(r::RING_PASID);
        let number = (register & r::RING_PASID_VALID != 0).then_some(register & !r::RING_PASID_VALID);
        number.map(Pasid::new).transpose()
    }

    fn get(&self, offset: u16) -> u32 {
        u32::from_le_bytes(self.file.get(offset))
    }

    fn set(&mut self, offset: u16, value: u32) {
        self.file.set(offset, &value.to_le_bytes());
    }

    fn raise(&mut self, offset: u16, bits: u32) {
        self.set(offset, self.get(offset) | bits);
    }

    fn count(&mut self, offset: u16) {
        let count = u64::from_le_bytes(self.file.get(offset));
        self.file.set(offset, &count.wrapping_add(1).to_le_bytes());
    }
}

/// The offset of an access that is defined.
fn place(offset: u64, width: Width) -> Option<u16> {
    let aligned = matches!(width, Width::Dword | Width::Qword) && offset.is_multiple_of(width.bytes().into());
    u16::try_from(offset).ok().filter(|_| aligned)
}
