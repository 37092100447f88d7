//! The DMA engine: rings that lie where they should not, and descriptors that change them.
//!
//! Invariant: requests without translation reach memory that is nobody's, devices, or nothing. Source: docs/dma-engine.md.

use super::Hostile;
use super::raw::{load32, store32, store64};
use super::sign::Sign;
use crate::pci::Capability;

const CONTROL: u64 = 0x08;
const STATUS: u64 = 0x0c;
const HALTED: u32 = 2;
const RING_ADDRESS: u64 = 0x10;
const RING_SIZE: u64 = 0x18;
const RING_PASID: u64 = 0x1c;
const TAIL: u64 = 0x20;
const HEAD: u64 = 0x24;
const INTERRUPT_STATUS: u64 = 0x28;
const INTERRUPT_ENABLE: u64 = 0x2c;
const RUN: u32 = 1;
const RESET: u32 = 2;
const PASID_CONTROL: u16 = 6;
const VECTORS: u64 = 0x1000;
const ENTRY_BYTES: u64 = 64;
const MOST_BYTES: u64 = 0x1000;

/// A descriptor at `at`, for a ring that begins at `ring`: half of them change the ring.
fn descriptor(guest: &mut Hostile, at: u64, ring: u64) {
    let mut place =
        || if guest.random.rarely(2) { ring + guest.random.below(0x1000) } else { guest.random.place() };
    let (source, destination, record) = (place(), place(), place());
    let operation = guest.random.below(9) | guest.random.next() & 0x1f00 | guest.random.below(9) << 16;
    let pasid = guest.random.below(4096) << 32;
    let len_bytes = guest.random.below(MOST_BYTES);
    let (operand, comparand) = (guest.random.next(), guest.random.next());
    let words = [operation | pasid, source, destination, len_bytes, operand, comparand, record, 0];
    for (number, word) in (0_u64..).zip(words) {
        store64(at + number * 8, word);
    }
}

/// Rings of any size, on themselves, at the end of memory and nowhere.
pub(super) fn ring(guest: &mut Hostile) {
    for function in guest.engines.into_iter().flatten() {
        function.enable();
        let ring = guest.random.page();
        (0..8).for_each(|number| descriptor(guest, ring + number * ENTRY_BYTES, ring));
        if let Some(at) = function.capability(Capability::PASID).filter(|_| guest.random.rarely(8)) {
            function.write16(at + PASID_CONTROL, guest.random.half());
        }
        let at = if guest.random.rarely(8) { guest.random.place() } else { ring };
        run(guest, function.bar(), at);
    }
}

/// Lets the engine with these registers execute what lies there. One that has halted begins anew.
pub(super) fn run(guest: &mut Hostile, registers: u64, ring: u64) {
    let has_halted = load32(registers + STATUS) & HALTED != 0;
    guest.shows(Sign::Halted, has_halted);
    if guest.lacks(Sign::Executed) {
        guest.shows(Sign::Executed, load32(registers + HEAD) != 0);
    }
    if has_halted || guest.random.rarely(8) {
        store32(registers + CONTROL, RESET);
    }
    store64(registers + RING_ADDRESS, ring);
    store32(registers + RING_SIZE, guest.random.pick(&[3, 3, 3, 3, 0, 1, 12, 13, u32::MAX]));
    store32(registers + RING_PASID, guest.random.pick(&[0, 0, 0, 0, 0, 0, 1 << 31, u32::MAX]));
    store32(registers + INTERRUPT_ENABLE, guest.random.word());
    store32(registers + INTERRUPT_STATUS, guest.random.word());
    store32(registers + CONTROL, RUN);
    store32(
        registers + TAIL,
        if guest.random.rarely(4) { guest.random.word() } else { guest.random.word() & 7 },
    );
}

/// Messages to any processor with any vector: out of the engine's table, and written like any word.
pub(super) fn messages(guest: &mut Hostile) {
    crate::apic::enable();
    for function in guest.engines.into_iter().flatten() {
        let registers = function.bar();
        for vector in 0..8 {
            let entry = registers + VECTORS + vector * 16;
            let anybody = guest.random.next() & 0xff;
            let destination = guest.random.pick(&[0, 1, 0xff, anybody]);
            let address = 0xfee0_0000 | destination << 12 | guest.random.next() & 0xfff;
            store32(entry, if guest.random.rarely(4) { guest.random.word() } else { address as u32 });
            store32(entry + 4, guest.random.pick(&[0, 0, 0, 1, u32::MAX]));
            store32(entry + 8, super::interrupts::entry(guest) & 0xffff);
            store32(entry + 12, 0);
        }
        if let Some(at) = function.capability(Capability::MSIX) {
            function.write16(at + 2, 1 << 15);
        }
    }
    ring(guest);
    guest.shows_interrupts();
}
