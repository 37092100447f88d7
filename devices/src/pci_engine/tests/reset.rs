//! A reset of the function, and what software takes back without one: bus mastering, page requests.

use std::thread;
use std::time::Duration;

use mmu::address::PhysAddr;

use super::pages::{FIRST, SECOND, machine, write};
use super::{Driver, Words, driver, r};
use crate::bus::Width;
use crate::interrupt::Level;
use crate::pci::Function;
use crate::pci::capability::address_translation::{ATS, PASID, PRI};
use crate::pci::capability::{express, msi, msix};
use crate::pci::config::{command, header};

const DEVICE_CONTROL: u16 = 8;
const INITIATE: u16 = 1 << 15;
/// The largest payload that the control register can name; its bits outlive a reset.
const PAYLOAD: u16 = 5 << 5;
const STOPPED: u16 = 1 << 8;

impl Driver {
    fn reset_function(&self) {
        let others = self.of_capability(express::ID, DEVICE_CONTROL);
        self.configure_capability(express::ID, DEVICE_CONTROL, others | INITIATE);
    }
}

#[test]
fn a_reset_puts_configuration_space_and_registers_back() {
    let machine = machine();
    let driver = &machine.driver;
    let writes =
        [(express::ID, 8, PAYLOAD | 0x1f), (express::ID, 0x28, 1 << 6), (msi::ID, 2, 1), (msi::ID, 12, 5)];
    for (id, offset, value) in writes {
        driver.configure_capability(id, offset, value);
    }
    driver.configure_capability(msix::ID, 2, 1 << 15);
    driver.configure(header::BARS, 0xc000);
    driver.rig.device.write(0, 0x1000, Width::Qword, 0xfee0_0000);
    driver.rig.device.write(0, 0x100c, Width::Dword, 0);
    driver.reset_function();
    assert_eq!(driver.of_capability(express::ID, 6), 1 << 12, "it says that it can");
    for (id, offset, after) in [
        (express::ID, 8, PAYLOAD),
        (express::ID, 0x28, 0),
        (msi::ID, 2, 1 << 7),
        (msi::ID, 12, 0),
        (msix::ID, 2, 7),
        (ATS, 6, 0),
        (PASID, 6, 0),
        (PRI, 4, 0),
        (PRI, 6, STOPPED | 1 << 15),
        (PRI, 12, 0),
    ] {
        assert_eq!(driver.of_capability(id, offset), after, "{id:?} at {offset}");
    }
    let config = driver.rig.endpoint.config();
    assert_eq!((config.command(), config.get32(header::BARS)), (0, 4), "a BAR of 64 bits");
    drop(config);
    for register in [r::CONTROL, r::RING_ADDRESS, r::RING_SIZE, r::TAIL, r::HEAD] {
        assert_eq!(driver.load(register), 0, "{register:#x}");
    }
    assert_eq!(driver.rig.device.read(0, 0x1000, Width::Qword), 0);
    assert_eq!(driver.rig.device.read(0, 0x100c, Width::Dword), 1, "masked");
}

#[test]
fn an_engine_that_was_reset_works_again() {
    let mut machine = machine();
    machine.map(FIRST);
    assert_eq!(machine.driver.run(write(1)).0, 0);
    machine.map(SECOND);
    // The IOTLB forgets all of PASID 5 of domain 1, and the device is not told.
    machine.queue(6 | 2 << 4 | 1 << 16 | 5 << 32, 0);
    machine.driver.reset_function();
    machine.enable();
    machine.driver.start();
    assert_eq!(machine.driver.run(write(2)).0, 0);
    assert_eq!((machine.at(FIRST), machine.at(SECOND)), (1, 2), "it has kept no translation");
    assert_eq!(machine.driver.load(r::EXECUTED), 1);
}

#[test]
fn a_reset_ends_the_wait_for_a_page_and_the_answer_reaches_nobody() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    machine.driver.reset_function();
    machine.enable();
    machine.driver.start();
    machine.answer(0, 0xf);
    machine.driver.submit(write(78).encode());
    machine.wait_for_request(1);
    machine.map(FIRST);
    machine.answer(1, 0);
    assert_eq!(
        (machine.code(), machine.at(FIRST)),
        (0, 78),
        "not refused by the failure that was meant for another"
    );
}

#[test]
fn nothing_of_a_descriptor_is_carried_out_when_the_function_has_been_reset() {
    let mut driver = driver();
    let (place, mut after) = (0x4_0000, vec![0; 0x8_0000]);
    for _ in 0..20 {
        let words =
            Words { operation: 2, destination: place, len_bytes: 0x8_0000, operand: !0, ..Words::default() };
        driver.submit(words.encode());
        driver.wait(|driver| driver.rig.memory.load(PhysAddr(place)) != 0);
        driver.reset_function();
        driver.configure(header::COMMAND, command::MEMORY | command::BUS_MASTER);
        driver.rig.memory.write_bytes(PhysAddr(place), &vec![0; after.len()]);
        thread::sleep(Duration::from_millis(1));
        driver.rig.memory.read_bytes(PhysAddr(place), &mut after);
        assert!(after.iter().all(|byte| *byte == 0));
        driver.start();
    }
}

#[test]
fn a_reset_takes_the_interrupt_back() {
    let mut driver = driver();
    driver.store(r::INTERRUPT_ENABLE, r::INTERRUPT_DONE.into());
    driver.run(Words { flags: 0b1_0000, ..Words::default() });
    driver.wait(|driver| *driver.rig.seen.levels.lock() == [Level::High]);
    driver.reset_function();
    assert_eq!(*driver.rig.seen.levels.lock(), [Level::High, Level::Low]);
    assert_eq!(driver.rig.endpoint.config().get16(header::STATUS) & 1 << 3, 0);
}

#[test]
fn a_function_without_the_capability_has_no_reset() {
    let config = crate::edu::Edu::config();
    let rig = crate::rig::Rig::new(config, |endpoint, _| {
        crate::edu::Edu::new(endpoint, crate::edu::EduOptions::default())
    });
    rig.endpoint.configure(0x48, Width::Word, INITIATE.into());
    assert_eq!(rig.endpoint.config().command(), command::MEMORY | command::BUS_MASTER);
}

#[test]
fn page_requests_have_stopped_when_they_are_off_and_the_last_one_is_answered() {
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    machine.driver.configure_capability(PRI, 4, 0);
    assert!(!has_stopped(&machine.driver), "one is outstanding");
    machine.answer(0, 1);
    machine.driver.wait(has_stopped);
    assert_eq!(machine.code(), 8);
}

#[test]
fn page_requests_are_given_up_when_software_says_so_while_they_are_off() {
    const RESET: u16 = 1 << 1;
    let mut machine = machine();
    machine.driver.submit(write(77).encode());
    machine.wait_for_request(0);
    machine.driver.configure_capability(PRI, 4, RESET | 1);
    machine.driver.configure_capability(PRI, 4, 0);
    assert!(!has_stopped(&machine.driver), "a reset of what is on does nothing");
    machine.driver.configure_capability(PRI, 4, RESET);
    assert!(has_stopped(&machine.driver));
    assert_eq!(machine.driver.of_capability(PRI, 4), 0, "it reads as 0");
    assert_eq!(machine.code(), 8);
    machine.answer(0, 0xf);
    machine.map(FIRST);
    machine.enable();
    assert_eq!(machine.driver.run(write(78)).0, 0);
}

fn has_stopped(driver: &Driver) -> bool {
    driver.of_capability(PRI, 6) & STOPPED != 0
}
