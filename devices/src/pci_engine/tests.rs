//! The engine as a driver meets it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mmu::address::PhysAddr;
use pcie::Msi;

use super::register as r;
use super::{PciEngine, PciEngineOptions};
use crate::bus::Width;
use crate::interrupt::Level;
use crate::pci::capability::{CapabilityId, address_translation, msi, msix};
use crate::pci::config::{command, header};
use crate::pci::{Function, bus};
use crate::rig::Rig;
use crate::worker::Hooks;

mod giving_up;
mod pages;
mod reset;

const RING: u64 = 0x1_0000;
const RECORD: u64 = 0x2_0000;
const PENDING: u64 = 0xffff;
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A descriptor in the making; without anything it does nothing and completes at [`RECORD`].
#[derive(Clone, Copy, Default)]
struct Words {
    operation: u64,
    flags: u64,
    vector: u64,
    pasid: u64,
    source: u64,
    destination: u64,
    len_bytes: u64,
    operand: u64,
    compare: u64,
    reserved: u64,
}

impl Words {
    fn encode(self) -> [u64; 8] {
        [
            self.operation | (self.flags | 0b1000) << 8 | self.vector << 16 | self.pasid << 32,
            self.source,
            self.destination,
            self.len_bytes,
            self.operand,
            self.compare,
            RECORD,
            self.reserved,
        ]
    }
}

struct Driver {
    rig: Rig<PciEngine>,
    tail: u64,
}

fn driver() -> Driver {
    let config = PciEngine::config(PciEngineOptions::default());
    drive(Rig::new(config, |endpoint, _| {
        PciEngine::start(endpoint, Hooks::default()).expect("the host has a thread")
    }))
}

fn drive(rig: Rig<PciEngine>) -> Driver {
    let mut driver = Driver { rig, tail: 0 };
    driver.start();
    driver
}

impl Driver {
    /// Sets an engine that was reset going.
    fn start(&mut self) {
        self.tail = 0;
        self.store(r::RING_ADDRESS, RING);
        self.store(r::RING_SIZE, 3);
        self.store(r::CONTROL, r::RUN.into());
    }

    fn store(&self, register: u16, value: u64) {
        let width = if register == r::RING_ADDRESS { Width::Qword } else { Width::Dword };
        self.rig.device.write(0, register.into(), width, value);
    }

    fn load(&self, register: u16) -> u64 {
        self.rig.device.read(0, register.into(), Width::Dword)
    }

    /// Software writes to configuration space.
    fn configure(&self, offset: u16, value: u16) {
        bus::configure(&self.rig.endpoint, &*self.rig.device, offset, Width::Word, value.into());
    }

    /// What stands in the capability `id`.
    fn of_capability(&self, id: CapabilityId, offset: u16) -> u16 {
        let config = self.rig.endpoint.config();
        config.get16(config.find(id).expect("the engine has it") + offset)
    }

    /// Software writes to the capability `id`.
    fn configure_capability(&self, id: CapabilityId, offset: u16, value: u16) {
        let at = self.rig.endpoint.config().find(id).expect("the engine has it");
        self.configure(at + offset, value);
    }

    /// Puts a descriptor into the ring and rings the doorbell.
    fn submit(&mut self, words: [u64; 8]) {
        self.rig.memory.store(PhysAddr(RECORD + 8), PENDING);
        for (at, word) in (RING + self.tail * 64..).step_by(8).zip(words) {
            self.rig.memory.store(PhysAddr(at), word);
        }
        self.tail = (self.tail + 1) % 8;
        self.store(r::TAIL, self.tail);
    }

    /// Runs a descriptor to its end: its code, its bytes and its result.
    fn run(&mut self, words: Words) -> (u64, u64, u64) {
        self.submit(words.encode());
        self.wait(|driver| driver.rig.memory.load(PhysAddr(RECORD + 8)) != PENDING);
        let status = self.rig.memory.load(PhysAddr(RECORD + 8));
        self.wait(|driver| driver.load(r::HEAD) == driver.tail);
        (status >> 8 & 0xff, status >> 32, self.rig.memory.load(PhysAddr(RECORD)))
    }

    /// Waits for what must come; if it does not, the test ends all the same.
    fn wait(&self, until: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !until(self) {
            assert!(begun.elapsed() < PATIENCE, "it does not come");
            std::thread::yield_now();
        }
    }
}

#[test]
fn it_reads_writes_copies_and_changes_words_atomically() {
    let mut driver = driver();
    let write = Words {
        operation: 2,
        destination: 0x1ffd,
        len_bytes: 9,
        operand: 0x0807_0605_0403_0201,
        ..Words::default()
    };
    assert_eq!(driver.run(write), (0, 9, 0));
    let copy = Words { operation: 3, source: 0x1ffd, destination: 0x3000, len_bytes: 9, ..Words::default() };
    assert_eq!(driver.run(copy), (0, 9, 0));
    assert_eq!(driver.rig.memory.load(PhysAddr(0x3000)), 0x0807_0605_0403_0201);
    let read = Words { operation: 1, source: 0x3000, len_bytes: 9, ..Words::default() };
    assert_eq!(driver.run(read), (0, 9, 0x0807_0605_0403_0202));
    let atomic = |operation, operand, compare| Words {
        operation,
        destination: 0x3000,
        operand,
        compare,
        ..Words::default()
    };
    assert_eq!(driver.run(atomic(5, 10, 0)), (0, 8, 0x0807_0605_0403_0201));
    assert_eq!(driver.run(atomic(4, 5, 0)), (0, 8, 10));
    assert_eq!(driver.run(atomic(6, 1, 15)), (0, 8, 15));
    assert_eq!(driver.run(atomic(6, 2, 15)), (0, 8, 1));
    assert_eq!(driver.run(Words::default()), (0, 0, 0));
    assert_eq!((driver.load(r::EXECUTED), driver.load(r::FAILED)), (8, 0));
}

#[test]
fn a_long_copy_moves_every_byte() {
    let mut driver = driver();
    let pattern: Vec<u8> = (0..=250).cycle().take(20_000).collect();
    driver.rig.memory.write_bytes(PhysAddr(0x4_0001), &pattern);
    let copy = Words {
        operation: 3,
        source: 0x4_0001,
        destination: 0x8_0fff,
        len_bytes: 20_000,
        ..Words::default()
    };
    assert_eq!(driver.run(copy), (0, 20_000, 0));
    let mut found = vec![0; pattern.len()];
    driver.rig.memory.read_bytes(PhysAddr(0x8_0fff), &mut found);
    assert!(found == pattern);
}

#[test]
fn what_a_descriptor_must_not_say_has_a_code() {
    let mut driver = driver();
    let end = driver.rig.memory.len_bytes();
    for (code, words) in [
        (1, Words { operation: 8, ..Words::default() }),
        (1, Words { reserved: 1, ..Words::default() }),
        (1, Words { flags: 0b10_0000, ..Words::default() }),
        (1, Words { pasid: 1 << 20, ..Words::default() }),
        (2, Words { operation: 2, len_bytes: (1 << 20) + 1, ..Words::default() }),
        (3, Words { operation: 4, destination: 4, ..Words::default() }),
        (5, Words { operation: 1, source: end, len_bytes: 1, ..Words::default() }),
        (5, Words { operation: 1, source: u64::MAX, len_bytes: 2, ..Words::default() }),
        (7, Words { operation: 1, flags: 1, pasid: 5, len_bytes: 1, ..Words::default() }),
    ] {
        assert_eq!(driver.run(words).0, code);
    }
    assert_eq!(driver.load(r::FAILED), 9);
    let most = Words { operation: 1, len_bytes: 1 << 20, ..Words::default() };
    assert_eq!(driver.run(most).0, 0, "as many bytes as a descriptor may move");
}

#[test]
fn the_first_fault_is_kept_until_it_is_cleared() {
    let mut driver = driver();
    let end = driver.rig.memory.len_bytes();
    let words = |destination| Words { operation: 2, destination, len_bytes: 8, ..Words::default() };
    assert_eq!(driver.run(words(end - 4)).0, 5);
    driver.run(words(end + 0x100));
    assert_eq!(driver.load(r::FAULT_ADDRESS), end - 4);
    assert_eq!(driver.load(r::FAULT), u64::from(r::FAULT_VALID | r::FAULT_WRITE) | 5 << 24);
    driver.store(r::FAULT, r::FAULT_VALID.into());
    driver.run(words(end + 0x100));
    assert_eq!(driver.load(r::FAULT_ADDRESS), end + 0x100);
}

#[test]
fn a_ring_that_cannot_be_read_halts_it_until_a_reset() {
    let mut driver = driver();
    driver.store(r::RING_ADDRESS, driver.rig.memory.len_bytes());
    driver.store(r::INTERRUPT_ENABLE, r::INTERRUPT_HALT.into());
    driver.submit(Words::default().encode());
    driver.wait(|driver| driver.load(r::STATUS) == u64::from(r::HALTED));
    driver.wait(|driver| *driver.rig.seen.levels.lock() == [Level::High]);
    driver.store(r::CONTROL, r::RESET.into());
    driver.wait(|driver| driver.load(r::CONTROL) == 0);
    assert_eq!((driver.load(r::STATUS), driver.load(r::TAIL), driver.load(r::INTERRUPT_STATUS)), (0, 0, 0));
    driver.wait(|driver| driver.rig.seen.levels.lock().last() == Some(&Level::Low));
}

#[test]
fn a_ring_larger_than_any_halts_it() {
    let mut driver = driver();
    driver.store(r::RING_SIZE, 13);
    driver.submit(Words::default().encode());
    driver.wait(|driver| driver.load(r::STATUS) == u64::from(r::HALTED));
}

#[test]
fn it_interrupts_by_the_line_until_the_reason_is_cleared() {
    let mut driver = driver();
    driver.store(r::INTERRUPT_ENABLE, r::INTERRUPT_DONE.into());
    driver.run(Words { flags: 0b1_0000, ..Words::default() });
    driver.wait(|driver| *driver.rig.seen.levels.lock() == [Level::High]);
    driver.store(r::INTERRUPT_STATUS, r::INTERRUPT_DONE.into());
    assert_eq!(*driver.rig.seen.levels.lock(), [Level::High, Level::Low]);
}

#[test]
fn a_line_that_is_high_goes_down_when_messages_take_its_place() {
    for (id, enable) in [(msi::ID, 1), (msix::ID, 1 << 15)] {
        let mut driver = driver();
        driver.store(r::INTERRUPT_ENABLE, r::INTERRUPT_DONE.into());
        driver.run(Words { flags: 0b1_0000, ..Words::default() });
        driver.wait(|driver| *driver.rig.seen.levels.lock() == [Level::High]);
        let at = driver.rig.endpoint.config().find(id).unwrap();
        driver.rig.endpoint.configure(at + 2, Width::Word, enable);
        assert_eq!(*driver.rig.seen.levels.lock(), [Level::High, Level::Low]);
        driver.rig.endpoint.configure(at + 2, Width::Word, 0);
        assert_eq!(driver.rig.seen.levels.lock().last(), Some(&Level::High), "the reason still stands");
    }
}

#[test]
fn it_interrupts_with_the_vector_that_the_descriptor_names() {
    let mut driver = driver();
    let at = driver.rig.endpoint.config().find(msix::ID).unwrap();
    for (offset, value) in [(0x1030, 0xfee0_0000), (0x1038, 0x41), (0x103c, 0)] {
        driver.rig.device.write(0, offset, Width::Dword, value);
    }
    driver.rig.endpoint.configure(at + 2, Width::Word, 1 << 15);
    driver.run(Words { flags: 0b1_0000, vector: 3, ..Words::default() });
    driver.wait(|driver| !driver.rig.seen.messages.lock().is_empty());
    assert_eq!(*driver.rig.seen.messages.lock(), [Msi { address: 0xfee0_0000, data: 0x41 }]);
    assert!(driver.rig.seen.levels.lock().is_empty());
}

#[test]
fn no_vector_leaves_it_while_it_is_not_bus_master() {
    let mut driver = driver();
    let at = driver.rig.endpoint.config().find(msix::ID).unwrap();
    for (offset, value) in [(0x1000, 0xfee0_0000), (0x1008, 0x41), (0x100c, 0)] {
        driver.rig.device.write(0, offset, Width::Dword, value);
    }
    driver.rig.endpoint.configure(at + 2, Width::Word, 1 << 15);
    driver.rig.endpoint.configure(header::COMMAND, Width::Word, command::MEMORY.into());
    driver.submit(Words::default().encode());
    driver.wait(|driver| driver.load(r::STATUS) == u64::from(r::HALTED));
    let seen = Arc::clone(&driver.rig.seen);
    // With it goes its thread.
    drop(driver);
    assert!(seen.messages.lock().is_empty());
}

#[test]
fn with_pasid_enabled_a_descriptor_may_name_a_process() {
    let mut driver = driver();
    let at = driver.rig.endpoint.config().find(address_translation::PASID).unwrap();
    driver.rig.endpoint.configure(at + 6, Width::Word, 1);
    let read = Words { operation: 1, flags: 1, pasid: 5, len_bytes: 8, ..Words::default() };
    assert_eq!(driver.run(read).0, 0);
}

#[test]
fn it_waits_while_it_is_not_run_and_fails_while_it_is_not_bus_master() {
    let mut driver = driver();
    driver.store(r::CONTROL, 0);
    driver.submit(Words::default().encode());
    driver.rig.endpoint.configure(header::COMMAND, Width::Word, command::MEMORY.into());
    driver.store(r::CONTROL, r::RUN.into());
    driver.wait(|driver| driver.load(r::STATUS) == u64::from(r::HALTED));
    assert_eq!(driver.load(r::FAULT) >> 24 & 0x1f, 6);
}

#[test]
fn accesses_that_are_not_defined_do_nothing() {
    let driver = driver();
    driver.rig.device.write(0, r::RING_SIZE.into(), Width::Byte, 5);
    driver.rig.device.write(0, 0x1a, Width::Dword, 5);
    driver.rig.device.write(0, 0x3000, Width::Dword, 5);
    assert_eq!(driver.load(r::RING_SIZE), 3);
    assert_eq!(driver.rig.device.read(0, 0x00, Width::Word), 0xffff);
    assert_eq!(driver.rig.device.read(0, 0x60, Width::Dword), 0xffff_ffff);
    driver.store(r::IDENTIFICATION, 0);
    assert_eq!(driver.load(r::IDENTIFICATION), u64::from(r::IDENTIFICATION_VALUE));
}
