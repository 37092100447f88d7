//! Who decodes what.

use std::sync::Arc;

use mmu::memory::PhysicalMemory;
use pcie::SourceId;

use super::{BusFull, Function, PciBus, Reserved, Window};
use crate::bus::Width;
use crate::interrupt::{Level, Pin, Pins, Wire};
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::config::{Identity, command, header};
use crate::pci::{ConfigSpace, Endpoint};
use crate::upstream::Direct;

struct Nowhere;

impl Pins for Nowhere {
    fn set(&self, _: Pin, _: Level) {}
}

/// Answers every load with its own number.
struct Numbered(u64);

impl Function for Numbered {
    fn read(&self, bar: u8, _: u64, _: Width) -> u64 {
        self.0 << 8 | u64::from(bar)
    }

    fn write(&self, _: u8, _: u64, _: Width, _: u64) {}
}

fn bus(devices: u64) -> PciBus {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).unwrap());
    let upstream = Arc::new(Direct::new(memory, Arc::new(|_| {})));
    let reserved = vec![Reserved { name: "memory", start: 0, len_bytes: 1 << 20 }];
    let mut bus = PciBus::new(upstream, vec![Wire::new(Arc::new(Nowhere), Pin(16))], reserved);
    for number in 0..devices {
        let config = ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 })
            .with_bar(Bar::new(0, 0x1000, BarWidth::Bits32))
            .with_bar(Bar::new(1, 0x100, BarWidth::Bits32))
            .with_interrupt_pin();
        bus.attach(config, |_: Arc<Endpoint>| Ok::<_, BusFull>(Arc::new(Numbered(number)))).unwrap();
    }
    bus.place_bars(Window { start: 0xc000_0000, end: 0xc010_0000 }).unwrap();
    bus
}

fn move_bar(bus: &PciBus, device: u8, bar: u16, to: u64) {
    let source = SourceId::new(0, device, 0);
    bus.write_config(source, header::BARS + 4 * bar, Width::Dword, to);
}

#[test]
fn a_bar_decodes_where_it_was_moved_and_nowhere_else() {
    let bus = bus(2);
    assert_eq!(bus.read(0xc000_0fff, Width::Dword), Some(0));
    assert_eq!(bus.read(0xc000_2000, Width::Dword), Some(0x100));
    move_bar(&bus, 1, 0, 0xd000_0000);
    assert_eq!(bus.read(0xc000_2000, Width::Dword), None);
    assert_eq!(bus.read(0xd000_0000, Width::Dword), Some(0x100));
    let source = SourceId::new(0, 1, 0);
    bus.write_config(source, header::COMMAND, Width::Word, 0);
    assert_eq!(bus.read(0xd000_0000, Width::Dword), None, "memory decoding is off");
}

#[test]
fn of_overlapping_bars_the_lower_function_and_then_the_lower_bar_decodes() {
    let bus = bus(3);
    move_bar(&bus, 2, 0, 0xd000_0000);
    move_bar(&bus, 1, 1, 0xd000_0000);
    assert_eq!(bus.read(0xd000_0000, Width::Dword), Some(0x101));
    assert_eq!(bus.read(0xd000_0100, Width::Dword), Some(0x200), "where only one decodes");
    move_bar(&bus, 1, 0, 0xd000_0000);
    assert_eq!(bus.read(0xd000_0000, Width::Dword), Some(0x100));
}

#[test]
fn an_overlap_is_told_once_however_often_it_happens() {
    let bus = bus(2);
    for _ in 0..3 {
        move_bar(&bus, 1, 0, 0xc000_0000);
        move_bar(&bus, 1, 0, 0x8_0000);
        move_bar(&bus, 1, 0, 0xd000_0000);
    }
    assert_eq!(bus.overlaps.count(), 2, "with a BAR and with memory");
    move_bar(&bus, 1, 0, 0xc000_0000);
    assert_eq!(bus.overlaps.check(SourceId::new(0, 1, 0), &bus.decoded()), 0, "told before");
}

#[test]
fn where_there_is_no_function_everything_reads_as_ones() {
    let bus = bus(1);
    for bits in [8, 1, 0x100, 0xffff] {
        let source = SourceId(bits);
        assert_eq!(bus.read_config(source, 0, Width::Dword), 0xffff_ffff, "{source}");
        bus.write_config(source, 4, Width::Dword, 0);
    }
}

#[test]
fn a_full_bus_and_a_full_window_say_so() {
    let mut bus = bus(32);
    let config = || ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 });
    assert!(bus.attach(config(), |_| Ok::<_, BusFull>(Arc::new(Numbered(0)))).is_err());
    let small = Window { start: 0xc000_0000, end: 0xc000_1000 };
    assert_eq!(
        bus.place_bars(small).unwrap_err().to_string(),
        "no room for a BAR of 0x100 bytes of 00:00.0; give fewer devices"
    );
}

#[test]
fn the_interrupt_line_register_names_the_wire() {
    let bus = bus(1);
    let line = bus.read_config(SourceId(0), header::INTERRUPT_LINE, Width::Word);
    assert_eq!(line, 0x0110);
    assert_eq!(command::MEMORY, 2);
}

#[test]
fn the_next_function_is_put_where_the_bus_says_and_nowhere_when_it_is_full() {
    let mut bus = bus(0);
    for device in 0..32 {
        let next = bus.next_source().unwrap();
        assert_eq!(next, SourceId::new(0, device, 0));
        let identity = Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 };
        let function = |_: Arc<Endpoint>| Ok::<_, BusFull>(Arc::new(Numbered(0)));
        assert_eq!(bus.attach(ConfigSpace::new(identity), function).unwrap(), next);
    }
    assert!(bus.next_source().is_err());
}
