//! Who decodes what.

use std::sync::Arc;

use mmu::memory::PhysicalMemory;
use parking_lot::Mutex;
use pcie::SourceId;

use super::{BusFull, Doorbell, Function, OwnDoorbell, PciBus, Reserved, Ringer, Window};
use crate::bus::Width;
use crate::interrupt::{Level, Pin, Pins, Wire};
use crate::link::bell::Bell;
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

/// A device that has doorbells in its first BAR, and whose driver begins with each store.
struct Ringing(Arc<Bell>);

impl Function for Ringing {
    fn read(&self, _: u8, _: u64, _: Width) -> u64 {
        0
    }

    fn write(&self, _: u8, _: u64, _: Width, _: u64) {}

    fn doorbells(&self) -> Vec<OwnDoorbell> {
        [0x10, 0x14].map(|offset| OwnDoorbell { bar: 0, offset, bell: Arc::clone(&self.0) }).to_vec()
    }

    fn has_begun(&self) -> bool {
        true
    }
}

/// Remembers what is handed over: addresses, sorted.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<u64>>>);

impl Ringer for Book {
    fn attach(&self, doorbell: &Doorbell) -> bool {
        self.0.lock().push(doorbell.address);
        true
    }

    fn detach(&self, doorbell: &Doorbell) {
        let mut book = self.0.lock();
        let at = book.iter().position(|known| *known == doorbell.address).expect("it was handed over");
        book.remove(at);
    }
}

impl Book {
    fn addresses(&self) -> Vec<u64> {
        let mut addresses = self.0.lock().clone();
        addresses.sort_unstable();
        addresses
    }
}

/// Function 0, whose BAR is 0x1000 bytes long, and function 1, which has doorbells; both behind ports if that is
/// asked for.
fn ringing(behind_ports: bool) -> (PciBus, Book) {
    let mut bus = bus(0);
    for rings in [false, true] {
        let config = ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 })
            .with_bar(Bar::new(0, 0x1000, BarWidth::Bits32));
        if behind_ports {
            bus.attach_port().unwrap();
        }
        let bell = Arc::new(Bell::new().unwrap());
        if rings {
            bus.attach(config, |_: Arc<Endpoint>| Ok::<_, BusFull>(Arc::new(Ringing(bell)))).unwrap();
        } else {
            bus.attach(config, |_: Arc<Endpoint>| Ok::<_, BusFull>(Arc::new(Numbered(0)))).unwrap();
        }
    }
    bus.place_bars(Window { start: 0xc000_0000, end: 0xc100_0000 }).unwrap();
    let book = Book::default();
    bus.ring_by(Box::new(book.clone()));
    (bus, book)
}

/// The driver begins, if its device is where it looks for it.
fn begin(bus: &PciBus, at: u64) {
    let _answered = bus.write(at, Width::Dword, 0);
}

#[test]
fn doorbells_are_handed_over_when_a_driver_begins_and_taken_back_when_they_move() {
    let (bus, book) = ringing(false);
    assert!(book.addresses().is_empty(), "nobody has begun");
    begin(&bus, 0xc000_1000);
    begin(&bus, 0xc000_1000);
    assert_eq!(book.addresses(), [0xc000_1010, 0xc000_1014], "once each");
    move_bar(&bus, 1, 0, 0xc000_4000);
    assert_eq!(book.addresses(), [0xc000_4010, 0xc000_4014], "this one's driver has begun");
    bus.write_config(SourceId::new(0, 1, 0), header::COMMAND, Width::Word, 0);
    assert!(book.addresses().is_empty(), "memory decoding is off");
}

#[test]
fn doorbells_that_a_store_does_not_reach_are_not_handed_over() {
    let (bus, book) = ringing(false);
    begin(&bus, 0xc000_1000);
    // The other function's BAR goes before it.
    move_bar(&bus, 0, 0, 0xc000_1000);
    assert!(book.addresses().is_empty());
    move_bar(&bus, 0, 0, 0xc000_2000);
    begin(&bus, 0xc000_1000);
    assert_eq!(book.addresses(), [0xc000_1010, 0xc000_1014]);
    // Memory does, too.
    move_bar(&bus, 1, 0, 0x8_0000);
    assert!(book.addresses().is_empty());
}

#[test]
fn doorbells_behind_a_port_are_handed_over_while_it_forwards() {
    let (bus, book) = ringing(true);
    let port = SourceId::new(0, 1, 0);
    let at = 0xc010_0000;
    begin(&bus, at);
    assert_eq!(book.addresses(), [at + 0x10, at + 0x14]);
    let command = bus.read_config(port, header::COMMAND, Width::Word);
    bus.write_config(port, header::COMMAND, Width::Word, command & !u64::from(command::MEMORY));
    assert!(book.addresses().is_empty(), "the port forwards nothing");
    bus.write_config(port, header::COMMAND, Width::Word, command);
    begin(&bus, at);
    assert_eq!(book.addresses(), [at + 0x10, at + 0x14]);
}

#[test]
fn a_guest_that_moves_its_doorbells_for_ever_leaves_as_many_as_it_has() {
    let (bus, book) = ringing(false);
    for round in 0..20_000_u64 {
        let at = 0xc000_0000 + (round % 256) * 0x1000;
        move_bar(&bus, 1, 0, at);
        begin(&bus, at);
        assert!(book.addresses().len() <= 2);
    }
    let room = book.0.lock().capacity();
    assert!(room < 10, "room is kept for {room}");
}
