//! Lines, masks and the end of an interrupt.

use std::sync::Arc;

use parking_lot::Mutex;
use pcie::Msi;

use super::{IoApic, Outlet, Trigger};
use crate::bus::{Registers, Width};
use crate::interrupt::{Level, Pin, Pins};

#[derive(Default)]
struct Sent(Mutex<Vec<(u8, Msi, Trigger)>>);

impl Outlet for Sent {
    fn forward(&self, pin: Pin, message: Msi, trigger: Trigger) {
        self.0.lock().push((pin.0, message, trigger));
    }
}

fn chip() -> (Arc<IoApic>, Arc<Sent>) {
    let sent = Arc::new(Sent::default());
    (IoApic::new(sent.clone()), sent)
}

fn store(chip: &IoApic, register: u64, value: u64) {
    chip.write(0, Width::Dword, register);
    chip.write(0x10, Width::Dword, value);
}

fn load(chip: &IoApic, register: u64) -> u64 {
    chip.write(0, Width::Dword, register);
    chip.read(0x10, Width::Dword)
}

const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
const WAITING: u64 = 1 << 14;

#[test]
fn a_level_is_sent_again_at_its_end_while_the_line_is_high() {
    let (chip, sent) = chip();
    store(&chip, 0x10 + 2 * 17, LEVEL | 0x51);
    store(&chip, 0x11 + 2 * 17, 3 << 24);
    chip.set(Pin(17), Level::High);
    let message = Msi { address: 0xfee0_3000, data: 0xc051 };
    assert_eq!(*sent.0.lock(), [(17, message, Trigger::Level)]);
    chip.set(Pin(17), Level::High);
    store(&chip, 0x10 + 2 * 17, LEVEL | 0x51);
    assert_eq!(sent.0.lock().len(), 1, "it waits for the end");
    assert_eq!(load(&chip, 0x10 + 2 * 17), LEVEL | WAITING | 0x51);
    chip.end_of_interrupt(0x50);
    assert_eq!(sent.0.lock().len(), 1, "another vector's end");
    chip.end_of_interrupt(0x51);
    assert_eq!(sent.0.lock().len(), 2);
    chip.set(Pin(17), Level::Low);
    chip.end_of_interrupt(0x51);
    assert_eq!((sent.0.lock().len(), load(&chip, 0x10 + 2 * 17)), (2, LEVEL | 0x51));
}

#[test]
fn an_edge_is_sent_once_and_ignored_while_it_is_masked() {
    let (chip, sent) = chip();
    let edge = |chip: &IoApic| {
        chip.set(Pin(4), Level::High);
        chip.set(Pin(4), Level::Low);
    };
    edge(&chip);
    edge(&chip);
    assert!(sent.0.lock().is_empty(), "masked at reset");
    store(&chip, 0x10 + 8, 0x34);
    assert!(sent.0.lock().is_empty(), "it was not held");
    edge(&chip);
    assert_eq!(sent.0.lock().len(), 1);
    store(&chip, 0x10 + 8, MASKED | 0x34);
    chip.set(Pin(4), Level::High);
    store(&chip, 0x10 + 8, 0x34);
    assert_eq!(sent.0.lock().len(), 1, "a line that is high already has no edge");
}

#[test]
fn an_entry_in_the_remappable_format_sends_its_handle() {
    let (chip, sent) = chip();
    // Handle 0x8005: bits 14 to 0 from bit 49 on, bit 15 in bit 11; the format in bit 48.
    store(&chip, 0x11 + 8, 5 << 17 | 1 << 16);
    store(&chip, 0x10 + 8, 1 << 11 | 0x20);
    chip.set(Pin(4), Level::High);
    assert_eq!(sent.0.lock()[0].1, Msi { address: 0xfee0_0000 | 5 << 5 | 1 << 4 | 1 << 2, data: 0x20 });
}

#[test]
fn registers_that_do_not_exist_do_nothing() {
    let (chip, _) = chip();
    assert_eq!(load(&chip, 1), 0x0017_0020);
    store(&chip, 0x40, 5);
    store(&chip, 0xff, 5);
    assert_eq!((load(&chip, 0x40), load(&chip, 0xff)), (0, 0));
    chip.set(Pin(24), Level::High);
    store(&chip, 0, u64::MAX);
    assert_eq!(load(&chip, 0), 0x0f00_0000);
}

#[test]
fn the_end_of_interrupt_register_ends_one_too() {
    let (chip, sent) = chip();
    store(&chip, 0x10, LEVEL | 0x60);
    chip.set(Pin(0), Level::High);
    chip.write(0x40, Width::Dword, 0x60);
    assert_eq!(sent.0.lock().len(), 2);
}

#[test]
fn a_line_that_stays_high_is_one_edge() {
    let (chip, sent) = chip();
    store(&chip, 0x10 + 2 * 4, 0x34);
    for level in [Level::High, Level::High, Level::Low, Level::Low] {
        chip.set(Pin(4), level);
    }
    assert_eq!(sent.0.lock().len(), 1);
    chip.set(Pin(4), Level::High);
    assert_eq!(sent.0.lock().len(), 2);
}

#[test]
fn an_edge_of_a_level_triggered_input_is_none_when_it_becomes_edge_triggered() {
    let (chip, sent) = chip();
    store(&chip, 0x10 + 2 * 14, LEVEL | 0x51);
    chip.set(Pin(14), Level::High);
    chip.set(Pin(14), Level::Low);
    chip.end_of_interrupt(0x51);
    store(&chip, 0x10 + 2 * 14, 0x52);
    assert_eq!(sent.0.lock().len(), 1, "the level's alone");
    chip.set(Pin(14), Level::High);
    assert_eq!(sent.0.lock().len(), 2);
}
