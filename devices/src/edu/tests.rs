//! The registers as a driver meets them.

use mmu::address::PhysAddr;
use pcie::Msi;

use super::{Edu, EduOptions, factorial};
use crate::bus::Width;
use crate::interrupt::Level;
use crate::pci::Function;
use crate::pci::capability::{advanced, msi};
use crate::pci::config::{command, header};
use crate::pci::endpoint::Configured;
use crate::rig::Rig;

fn rig() -> Rig<Edu> {
    Rig::new(Edu::config(), |endpoint, _| Edu::new(endpoint, EduOptions::default()))
}

impl Rig<Edu> {
    fn store(&self, offset: u64, value: u64) {
        let width = if offset < 0x80 { Width::Dword } else { Width::Qword };
        self.device.write(0, offset, width, value);
    }

    fn load(&self, offset: u64) -> u64 {
        self.device.read(0, offset, Width::Dword)
    }

    fn transfer(&self, source: u64, destination: u64, count: u64, command: u64) {
        for (offset, value) in [(0x80, source), (0x88, destination), (0x90, count), (0x98, command)] {
            self.store(offset, value);
        }
    }
}

#[test]
fn it_says_what_it_is_and_that_it_lives() {
    let rig = rig();
    assert_eq!(rig.load(0), 0x0100_00ed);
    rig.store(4, 0x1234);
    assert_eq!(rig.load(4), 0xffff_edcb);
    assert_eq!(rig.device.read(0, 0, Width::Word), 0xffff, "narrow accesses are not answered");
    assert_eq!(rig.device.read(0, 0, Width::Qword), u64::MAX, "wide ones only from 0x80 on");
}

#[test]
fn a_factorial_of_any_number_is_found_at_once() {
    let slow = |n: u32| (1..=n).fold(1, u32::wrapping_mul);
    for n in [0, 1, 2, 12, 13, 33, 34, 35, 1000] {
        assert_eq!(factorial(n), slow(n), "{n}!");
    }
    let rig = rig();
    rig.store(8, u64::from(u32::MAX));
    assert_eq!(rig.load(8), 0);
}

#[test]
fn bytes_go_there_and_back() {
    let rig = rig();
    rig.memory.write_bytes(PhysAddr(0x1ff0), b"across the page");
    rig.transfer(0x1ff0, 0x40010, 15, 1);
    rig.transfer(0x40010, 0x3001, 15, 3);
    let mut found = [0; 15];
    rig.memory.read_bytes(PhysAddr(0x3001), &mut found);
    assert_eq!(&found, b"across the page");
    assert_eq!(rig.load(0x98) & 1, 0, "the transfer is over");
}

#[test]
fn a_transfer_that_leaves_the_buffer_moves_nothing() {
    let rig = rig();
    rig.memory.write_bytes(PhysAddr(0), &[7; 16]);
    for (source, destination, count, command) in [
        (0, 0x40ff8, 16, 1),
        (0, 0x3fff8, 16, 1),
        (0, 0x40000, u64::MAX, 1),
        (0x40ff8, 0, 16, 3),
        (u64::MAX, 0, 1, 3),
    ] {
        rig.transfer(source, destination, count, command);
    }
    rig.transfer(0x40ff8, 0x2000, 8, 3);
    assert_eq!(rig.memory.load(PhysAddr(0x2000)), 0);
    assert_eq!(rig.memory.load(PhysAddr(0)), 0x0707_0707_0707_0707);
}

#[test]
fn only_28_address_bits_are_driven() {
    let rig = rig();
    rig.memory.store(PhysAddr(0x5000), 77);
    rig.transfer(0xf000_5000, 0x40000, 8, 1);
    rig.transfer(0x40000, 0x6000, 8, 3);
    assert_eq!(rig.memory.load(PhysAddr(0x6000)), 77);
}

#[test]
fn it_moves_nothing_unless_it_is_bus_master() {
    let rig = rig();
    rig.memory.store(PhysAddr(0x5000), 77);
    rig.transfer(0x5000, 0x40000, 8, 1);
    rig.endpoint.config().write(header::COMMAND, Width::Word, command::MEMORY.into());
    rig.transfer(0x40000, 0x6000, 8, 3);
    assert_eq!(rig.memory.load(PhysAddr(0x6000)), 0);
}

#[test]
fn the_line_is_high_until_every_reason_is_acknowledged() {
    let rig = rig();
    rig.store(0x60, 0b11);
    rig.store(0x64, 0b01);
    assert_eq!((rig.load(0x24), &*rig.seen.levels.lock()), (0b10, &vec![Level::High]));
    rig.store(0x64, 0b10);
    assert_eq!(*rig.seen.levels.lock(), [Level::High, Level::Low]);
}

/// Enables MSI with a message to `address`.
fn enable_msi(rig: &Rig<Edu>, address: u64) {
    let at = rig.endpoint.config().find(msi::ID).unwrap();
    rig.endpoint.configure(at + 4, Width::Qword, address);
    rig.endpoint.configure(at + 12, Width::Word, 0x31);
    rig.endpoint.configure(at + 2, Width::Word, 1);
}

#[test]
fn with_msi_it_sends_the_message_and_leaves_the_line_alone() {
    let rig = rig();
    enable_msi(&rig, 0xfee0_2000);
    rig.transfer(0, 0x40000, 8, 5);
    assert_eq!(*rig.seen.messages.lock(), [Msi { address: 0xfee0_2000, data: 0x31 }]);
    assert_eq!(rig.load(0x24), 0x100);
    assert!(rig.seen.levels.lock().is_empty());
}

#[test]
fn a_message_to_memory_is_a_write_and_no_interrupt() {
    let rig = rig();
    for address in [0x3000, 0x1_fee0_2000] {
        enable_msi(&rig, address);
        rig.store(0x60, 1);
    }
    assert!(rig.seen.messages.lock().is_empty());
    assert_eq!(rig.memory.load(PhysAddr(0x3000)), 0x31);
}

#[test]
fn a_reset_of_the_function_puts_back_configuration_space_registers_and_line() {
    let rig = rig();
    enable_msi(&rig, 0xfee0_2000);
    rig.store(4, 0x1234);
    rig.store(8, 5);
    rig.store(0x20, 0x80);
    rig.memory.store(PhysAddr(0x5000), 77);
    rig.transfer(0x5000, 0x40000, 8, 1);
    let msi = rig.endpoint.config().find(msi::ID).unwrap();
    rig.endpoint.configure(msi + 2, Width::Word, 0);
    rig.store(0x60, 1);
    assert_eq!(*rig.seen.levels.lock(), [Level::High]);
    let at = rig.endpoint.config().find(advanced::ID).expect("it can be reset");
    assert_eq!(
        rig.endpoint.config().read(at + 2, Width::Word),
        0x0306,
        "length; reset, and that nothing is pending"
    );
    // As the bus does it.
    assert_eq!(rig.endpoint.configure(at + 4, Width::Byte, 1), Configured::Reset);
    rig.device.reset();
    rig.endpoint.end_reset();
    assert_eq!(rig.endpoint.config().read(at + 4, Width::Word), 0, "it is done at once");
    assert_eq!(rig.endpoint.config().get32(msi + 4), 0);
    assert_eq!(rig.endpoint.config().command(), 0);
    for register in [4, 8, 0x20, 0x24, 0x80, 0x88, 0x90, 0x98] {
        assert_eq!(rig.load(register), 0, "{register:#x}");
    }
    assert_eq!(*rig.seen.levels.lock(), [Level::High, Level::Low]);
    rig.endpoint.configure(header::COMMAND, Width::Word, command::BUS_MASTER.into());
    rig.transfer(0x40000, 0x6000, 8, 3);
    assert_eq!(rig.memory.load(PhysAddr(0x6000)), 0, "its buffer is empty");
}
