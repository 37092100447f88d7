//! The two ways to configuration space.

use std::sync::Arc;

use mmu::memory::PhysicalMemory;

use super::{ADDRESS_PORT, BridgeFunction, DATA_PORT, HostBridge};
use crate::bus::{Registers, Width};
use crate::interrupt::{Level, Pin, Pins, Wire};
use crate::pci::PciBus;
use crate::pci::bus::BusFull;
use crate::pci::capability::address_translation;
use crate::upstream::Direct;

struct Nowhere;

impl Pins for Nowhere {
    fn set(&self, _: Pin, _: Level) {}
}

fn bridge() -> HostBridge {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).unwrap());
    let upstream = Arc::new(Direct::new(memory, Arc::new(|_| {})));
    let mut bus = PciBus::new(upstream, vec![Wire::new(Arc::new(Nowhere), Pin(16))], Vec::new());
    bus.attach(BridgeFunction::config(), |_| Ok::<_, BusFull>(Arc::new(BridgeFunction))).unwrap();
    HostBridge::new(Arc::new(bus))
}

#[test]
fn an_unaligned_register_number_with_the_first_data_port_reaches_its_register() {
    let bridge = bridge();
    for (register, width, value) in
        [(0, Width::Word, 0x1b36), (2, Width::Word, 0x0008), (0xb, Width::Byte, 6), (0xa, Width::Byte, 0)]
    {
        bridge.write_port(ADDRESS_PORT, Width::Dword, 0x8000_0000 | register);
        assert_eq!(bridge.read_port(ADDRESS_PORT, Width::Dword), 0x8000_0000 | register);
        assert_eq!(bridge.read_port(DATA_PORT, width), value, "register {register:#x}");
    }
}

#[test]
fn an_aligned_register_number_with_any_data_port_does_too() {
    let bridge = bridge();
    bridge.write_port(ADDRESS_PORT, Width::Dword, 0x8000_0000);
    assert_eq!(bridge.read_port(DATA_PORT + 2, Width::Word), 0x0008);
    assert_eq!(bridge.read_port(DATA_PORT + 1, Width::Byte), 0x1b);
}

#[test]
fn nothing_answers_while_the_enable_bit_is_clear_or_the_access_is_narrow() {
    let bridge = bridge();
    bridge.write_port(ADDRESS_PORT, Width::Dword, 0);
    assert_eq!(bridge.read_port(DATA_PORT, Width::Dword), 0xffff_ffff);
    bridge.write_port(ADDRESS_PORT, Width::Byte, 0x80);
    assert_eq!(bridge.read_port(ADDRESS_PORT, Width::Dword), 0);
    assert_eq!(bridge.read_port(ADDRESS_PORT + 1, Width::Byte), 0xff);
}

#[test]
fn ecam_reaches_the_same_bytes() {
    let bridge = bridge();
    assert_eq!(bridge.read(0, Width::Dword), 0x0008_1b36);
    bridge.write(0x3c, Width::Byte, 0x55);
    assert_eq!(bridge.read(0x3c, Width::Byte), 0x55);
    assert_eq!(bridge.read(0x8000, Width::Word), 0xffff, "device 1 is empty");
    assert_eq!(bridge.read(u64::MAX, Width::Dword), 0xffff_ffff);
}

#[test]
fn an_access_that_leaves_its_four_bytes_ends_with_them() {
    let bridge = bridge();
    bridge.write_port(ADDRESS_PORT, Width::Dword, 0x8000_0000);
    assert_eq!(bridge.read_port(DATA_PORT + 3, Width::Dword), 0xffff_ff00, "the upper half of the device id");
    assert_eq!(bridge.read_port(DATA_PORT + 1, Width::Dword), 0xff00_081b);
    assert_eq!(bridge.read_port(DATA_PORT + 3, Width::Word), 0xff00);
    bridge.write_port(ADDRESS_PORT, Width::Dword, 0x8000_003c);
    bridge.write(0x3d, Width::Byte, 0);
    let behind = bridge.read(0x40, Width::Dword);
    bridge.write_port(DATA_PORT, Width::Byte, 0x77);
    bridge.write_port(ADDRESS_PORT, Width::Dword, 0x8000_0038);
    bridge.write_port(DATA_PORT + 3, Width::Dword, 0x6655_4433);
    assert_eq!(bridge.read(0x3c, Width::Byte), 0x77, "a write ends there too");
    assert_eq!(bridge.read(0x40, Width::Dword), behind);
}

#[test]
fn no_data_port_reaches_the_extended_space() {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).unwrap());
    let upstream = Arc::new(Direct::new(memory, Arc::new(|_| {})));
    let mut bus = PciBus::new(upstream, vec![Wire::new(Arc::new(Nowhere), Pin(16))], Vec::new());
    let config = BridgeFunction::config().with(&address_translation::ats());
    bus.attach(config, |_| Ok::<_, BusFull>(Arc::new(BridgeFunction))).unwrap();
    let bridge = HostBridge::new(Arc::new(bus));
    assert_ne!(bridge.read(0x100, Width::Dword), 0, "an extended capability");
    for number in [0xfc, 0xff] {
        bridge.write_port(ADDRESS_PORT, Width::Dword, 0x8000_0000 | number);
        assert_eq!(bridge.read_port(DATA_PORT + 3, Width::Dword), 0xffff_ff00, "register {number:#x}");
    }
}
