//! Behind the unit, in scalable mode: pages that are missing, and translations that are kept.
//!
//! The tables are written word by word, as in VT-d 9: requests without PASID pass through; PASID 5 has a first stage of
//! four levels, in which one page can be mapped.

use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use iommu::vtd::options::VtdOptions;
use iommu::vtd::{Vtd, Width as UnitWidth};
use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::{Driver, RECORD, Words, drive, r};
use crate::bus::Width;
use crate::pci::capability::address_translation::{ATS, PASID, PRI};
use crate::pci::config::{command, header};
use crate::pci_engine::{PciEngine, PciEngineOptions};
use crate::rig::Rig;
use crate::upstream::Remapped;
use crate::worker::Hooks;

const ROOT: u64 = 0x8_0000;
const CONTEXT: u64 = 0x8_1000;
const DIRECTORY: u64 = 0x8_2000;
const PASIDS: u64 = 0x8_3000;
/// Page tables, from the leaf's level up.
const LEVELS: [u64; 4] = [0x8_7000, 0x8_6000, 0x8_5000, 0x8_4000];
pub(super) const REQUESTS: u64 = 0x8_8000;
const QUEUE: u64 = 0x8_9000;
const WAITED: u64 = 0x8_a000;
pub(super) const FIRST: u64 = 0x8_b000;
pub(super) const SECOND: u64 = 0x8_c000;
/// The page, whose entry has number 5.
const PAGE: u64 = 0x5000;
pub(super) const SOURCE: u64 = 8;
/// Registers of the unit: fault status; head and tail of the page requests, their status and its overflow.
const FSTS: u64 = 0x34;
const PQH: u64 = 0xc0;
const PQT: u64 = 0xc8;
const PRS: u64 = 0xdc;
const PRO: u64 = 2;

/// A machine whose engine may do everything, and its unit.
pub(super) struct Machine {
    pub(super) driver: Driver,
    pub(super) unit: Arc<Vtd>,
    queued: u64,
}

fn write_tables(memory: &PhysicalMemory) {
    let store = |at: u64, value| memory.store(PhysAddr(at), value);
    store(ROOT, CONTEXT | 1);
    // Page requests, device TLB, PASIDs.
    store(CONTEXT + SOURCE * 32, DIRECTORY | 0b1_1101);
    store(DIRECTORY, PASIDS | 1);
    store(PASIDS + 8, 1);
    store(PASIDS, 4 << 6 | 1);
    let fifth = PASIDS + 5 * 64;
    store(fifth + 8, 1);
    store(fifth + 16, LEVELS[3]);
    store(fifth, 1 << 6 | 1);
    for pair in LEVELS.windows(2) {
        store(pair[1], pair[0] | 7);
    }
}

pub(super) fn machine() -> Machine {
    let made = OnceLock::new();
    let rig = Rig::behind(
        |memory, seen| {
            let unit = made.get_or_init(|| Vtd::new(memory, VtdOptions::default(), seen));
            Arc::new(Remapped::new(Arc::clone(unit), 16))
        },
        PciEngine::config(PciEngineOptions::default()),
        |endpoint, _| PciEngine::start(endpoint, Hooks::default()).expect("the host has a thread"),
    );
    let unit = Arc::clone(made.get().expect("made with the rig"));
    write_tables(&rig.memory);
    for (offset, value) in [(0x20, ROOT | 1 << 10), (0x90, QUEUE | 1 << 11), (0xd0, REQUESTS)] {
        unit.write(offset, UnitWidth::Bits64, value);
    }
    for command in [1 << 30, 1 << 26, 1 << 31 | 1 << 26] {
        unit.write(0x18, UnitWidth::Bits32, command);
    }
    let machine = Machine { driver: drive(rig), unit, queued: 0 };
    machine.enable();
    machine
}

/// A write to the page in the name of PASID 5.
pub(super) fn write(value: u64) -> Words {
    Words {
        operation: 2,
        flags: 2,
        pasid: 5,
        destination: PAGE,
        len_bytes: 8,
        operand: value,
        ..Words::default()
    }
}

impl Machine {
    /// Lets the engine do everything.
    pub(super) fn enable(&self) {
        self.driver.configure(header::COMMAND, command::MEMORY | command::BUS_MASTER);
        for (id, offset, value) in [(PASID, 6, 1), (ATS, 6, 1 << 15), (PRI, 12, 1), (PRI, 4, 1)] {
            self.driver.configure_capability(id, offset, value);
        }
    }

    pub(super) fn map(&self, frame: u64) {
        self.driver.rig.memory.store(PhysAddr(LEVELS[0] + 5 * 8), frame | 7);
    }

    pub(super) fn at(&self, address: u64) -> u64 {
        self.driver.rig.memory.load(PhysAddr(address))
    }

    /// Puts a descriptor into the unit's queue, and rings.
    pub(super) fn queue(&mut self, low: u64, high: u64) {
        for (offset, word) in [(0, low), (8, high)] {
            self.driver.rig.memory.store(PhysAddr(QUEUE + self.queued + offset), word);
        }
        self.queued += 32;
        self.unit.write(0x88, UnitWidth::Bits64, self.queued);
    }

    fn requests(&self) -> u64 {
        self.unit.read(PQT, UnitWidth::Bits64) / 32
    }

    pub(super) fn wait_for_request(&self, number: u64) {
        self.driver.wait(|_| self.requests() > number);
    }

    /// Answers page request number `number`.
    pub(super) fn answer(&mut self, number: u64, code: u64) {
        self.wait_for_request(number);
        let request = [0, 8].map(|offset| self.at(REQUESTS + number * 32 + offset));
        assert_eq!(request[0], 1 | 1 << 8 | SOURCE << 16 | 5 << 32, "with PASID 5");
        assert_eq!(request[1] & !(0x1ff << 3), PAGE | 0b111, "reads and writes, the last of its group");
        self.queue(9 | 1 << 4 | code << 12 | SOURCE << 16 | 5 << 32, request[1] & 0x1ff << 3);
    }

    pub(super) fn code(&self) -> u64 {
        self.driver.wait(|driver| driver.load(r::HEAD) == driver.tail);
        self.at(RECORD + 8) >> 8 & 0xff
    }
}

#[test]
fn a_missing_page_is_asked_for_and_the_descriptor_goes_on() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    machine.map(FIRST);
    machine.answer(0, 0);
    assert_eq!((machine.code(), machine.at(FIRST)), (0, 77));
    assert_eq!(machine.unit.read(FSTS, UnitWidth::Bits32), 0, "who asks ahead leaves no fault");
}

#[test]
fn a_page_that_is_granted_and_still_missing_is_asked_for_again() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.answer(0, 0);
    machine.wait_for_request(1);
    machine.map(FIRST);
    machine.answer(1, 0);
    assert_eq!((machine.code(), machine.at(FIRST)), (0, 77));
}

#[test]
fn a_page_request_that_had_no_place_is_made_again() {
    let mut machine = machine();
    machine.unit.write(PQH, UnitWidth::Bits64, 32);
    machine.driver.submit(write(77).encode());
    machine.driver.wait(|_| machine.unit.read(PRS, UnitWidth::Bits32) == PRO);
    // Longer than answers that do not help are put up with, if they come at once.
    thread::sleep(Duration::from_millis(100));
    machine.unit.write(PQH, UnitWidth::Bits64, 0);
    machine.unit.write(PRS, UnitWidth::Bits32, PRO);
    machine.wait_for_request(0);
    machine.map(FIRST);
    machine.answer(0, 0);
    assert_eq!((machine.code(), machine.at(FIRST)), (0, 77));
}

#[test]
fn a_refused_page_fails_the_descriptor_and_a_failure_is_noted() {
    let mut machine = machine();
    let at = machine.driver.rig.endpoint.config().find(PRI).unwrap();
    for (number, code, noted) in [(0, 1, 0), (1, 0xf, 1)] {
        machine.driver.submit(write(77).encode());
        machine.answer(number, code);
        assert_eq!(machine.code(), 8);
        assert_eq!(machine.driver.rig.endpoint.config().get16(at + 6) & 1, noted);
    }
    assert_eq!(machine.driver.load(r::FAULT) & 0xf_ffff, 5);
}

#[test]
fn a_stop_marker_is_told_and_not_answered() {
    let mut machine = machine();
    let stop = Words { operation: 7, pasid: 5, ..Words::default() };
    assert_eq!(machine.driver.run(stop).0, 0);
    let request = [0, 8].map(|offset| machine.at(REQUESTS + offset));
    assert_eq!(request, [1 | 1 << 8 | SOURCE << 16 | 5 << 32, 0b100], "the last of its group, for nothing");
    let at = machine.driver.rig.endpoint.config().find(PRI).unwrap();
    machine.driver.rig.endpoint.configure(at + 4, Width::Word, 0);
    assert_eq!(machine.driver.run(stop).0, 5);
}

#[test]
fn a_reset_gives_up_waiting_for_a_page() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    machine.driver.store(r::CONTROL, r::RESET.into());
    machine.driver.wait(|driver| driver.load(r::CONTROL) == 0);
    assert_eq!(machine.driver.load(r::EXECUTED), 0);
}

/// Longer than it takes to give up, if that is what is done.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_reset_gives_up_asking_where_there_is_no_place() {
    let mut machine = machine();
    machine.unit.write(PQH, UnitWidth::Bits64, 32);
    machine.driver.submit(write(77).encode());
    machine.driver.wait(|_| machine.unit.read(PRS, UnitWidth::Bits32) == PRO);
    machine.driver.store(r::CONTROL, r::RESET.into());
    let begun = Instant::now();
    while machine.driver.load(r::CONTROL) != 0 && begun.elapsed() < SOON {
        thread::yield_now();
    }
    let is_reset = machine.driver.load(r::CONTROL) == 0;
    // So that there is an end of it in any case.
    machine.unit.write(PQH, UnitWidth::Bits64, 0);
    machine.unit.write(PRS, UnitWidth::Bits32, PRO);
    assert!(is_reset, "it still asks");
}

#[test]
fn an_answer_to_what_a_reset_has_given_up_is_none_to_what_is_asked_since() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    machine.driver.store(r::CONTROL, r::RESET.into());
    machine.driver.wait(|driver| driver.load(r::CONTROL) == 0);
    machine.driver.start();
    machine.driver.submit(write(78).encode());
    machine.wait_for_request(1);
    machine.map(FIRST);
    // Refused, and late.
    machine.answer(0, 1);
    machine.answer(1, 0);
    assert_eq!((machine.code(), machine.at(FIRST)), (0, 78));
}

#[test]
fn a_page_that_is_granted_again_and_again_and_never_there_is_missing() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    (0..64).for_each(|number| machine.answer(number, 0));
    machine.driver.wait(|driver| driver.load(r::HEAD) == driver.tail || machine.requests() > 64);
    assert_eq!((machine.code(), machine.requests()), (9, 64));
}

#[test]
fn an_engine_that_goes_waits_for_no_answer() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    let (unit, (gone, told)) = (Arc::clone(&machine.unit), channel());
    let (queue, head) = (machine.queued, machine.at(REQUESTS + 8) & 0x1ff << 3);
    let memory = Arc::clone(&machine.driver.rig.memory);
    let going = thread::spawn(move || {
        drop(machine);
        gone.send(())
    });
    let has_gone = told.recv_timeout(SOON).is_ok();
    // So that there is an end of it in any case: the page is refused.
    memory.store(PhysAddr(QUEUE + queue), 9 | 1 << 4 | 1 << 12 | SOURCE << 16 | 5 << 32);
    memory.store(PhysAddr(QUEUE + queue + 8), head);
    unit.write(0x88, UnitWidth::Bits64, queue + 32);
    assert!(going.join().is_ok());
    assert!(has_gone, "its thread waits for an answer");
}

#[test]
fn without_page_requests_a_missing_page_is_a_fault() {
    let mut machine = machine();
    let at = machine.driver.rig.endpoint.config().find(PRI).unwrap();
    machine.driver.rig.endpoint.configure(at + 4, Width::Word, 0);
    assert_eq!(machine.driver.run(write(77)).0, 4);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn a_page_that_is_refused_for_good_is_not_asked_for() {
    let mut machine = machine();
    // A large page whose frame is not aligned.
    machine.driver.rig.memory.store(PhysAddr(LEVELS[1]), LEVELS[0] | 0x2087);
    assert_eq!(machine.driver.run(write(77)).0, 4);
    assert_eq!(machine.requests(), 0);
    let record = machine.unit.read(0x228, UnitWidth::Bits64);
    assert_eq!(
        (record >> 32 & 0xff, record >> 60 & 3),
        (0x72, 1),
        "a translation request met a reserved bit"
    );
}

#[test]
fn whoever_may_have_no_request_outstanding_asks_for_no_page() {
    let mut machine = machine();
    let at = machine.driver.rig.endpoint.config().find(PRI).unwrap();
    machine.driver.rig.endpoint.configure(at + 12, Width::Dword, 0);
    assert_eq!(machine.driver.run(write(77)).0, 4);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn a_kept_translation_is_used_until_iotlb_and_device_tlb_are_invalidated() {
    let mut machine = machine();
    machine.map(FIRST);
    machine.driver.run(write(1));
    machine.map(SECOND);
    machine.driver.run(write(2));
    assert_eq!((machine.at(FIRST), machine.at(SECOND)), (2, 0), "stale, and meant to be");
    // All of PASID 5 of domain 1: first the IOTLB, then the device's own.
    machine.queue(6 | 2 << 4 | 1 << 16 | 5 << 32, 0);
    machine.driver.run(write(3));
    assert_eq!((machine.at(FIRST), machine.at(SECOND)), (3, 0), "the device has its own");
    machine.queue(8 | SOURCE << 16 | 5 << 32, 0x7fff_ffff_ffff_f000 | 1 << 11);
    machine.queue(5 | 1 << 5 | 1 << 32, WAITED);
    assert_eq!(machine.at(WAITED), 1);
    machine.driver.run(write(4));
    assert_eq!((machine.at(FIRST), machine.at(SECOND)), (3, 4));
}
