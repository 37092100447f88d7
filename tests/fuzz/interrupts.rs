//! The I/O APIC's registers and inputs, the entries that remap its messages, and the serial port beside it.
//!
//! Rules: an input that is masked sends nothing; one that is level triggered sends once until its end comes or software
//! writes its entry; a message goes to the local APICs, remapped or not, and to nobody if its index is beyond the
//! remapping table, whatever lies there; input that the serial port took is no more
//! than what was offered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use devices::bus::{Registers, Width};
use devices::interrupt::{Level, Pin, Pins, Wire};
use devices::io_apic::{IoApic, Outlet, PINS, Trigger};
use devices::serial::{PORTS, Serial};
use iommu::spec::interrupt::Format;
use iommu::vtd::interrupts::InterruptSource;
use iommu::vtd::{Vtd, Width as UnitWidth};
use parking_lot::Mutex;
use pcie::{Msi, MsiSink, SourceId};

use super::layout::{self, Layout, Mode};
use super::rig::{self, Rig, Sent};
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] =
    &["forwarded", "remapped", "blocked", "beyond", "masked", "end of interrupt", "serial", "interrupt"];

const SOURCE: SourceId = SourceId::new(0xf0, 31, 0);
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const END: u64 = 0x40;
/// In an entry.
const MASKED: u64 = 1 << 16;
const WAITING: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
/// Entries of the remapping table; behind them lies what looks like more.
const ENTRIES: u64 = layout::INTERRUPT_ENTRIES;

/// Takes what the I/O APIC sends through the unit, and remembers which inputs sent.
struct Way {
    unit: Arc<Vtd>,
    sent: Arc<Sent>,
    forwarded: Mutex<Vec<(Pin, Trigger, bool)>>,
    beyond: AtomicU64,
}

impl Outlet for Way {
    fn forward(&self, pin: Pin, message: Msi, trigger: Trigger) {
        let remapped = self.unit.remap(InterruptSource::IoApic(SOURCE), message);
        if matches!(Format::of(message), Format::Remappable { index } if u64::from(index) >= ENTRIES) {
            assert!(
                remapped.is_err(),
                "the table has {ENTRIES} entries, and {message:x?} became {remapped:x?}"
            );
            self.beyond.fetch_add(1, Ordering::Relaxed);
        }
        self.forwarded.lock().push((pin, trigger, remapped.is_ok()));
        if let Ok(message) = remapped {
            self.sent.send(message);
        }
    }
}

struct Fuzz {
    rig: Rig,
    layout: Layout,
    way: Arc<Way>,
    io_apic: Arc<IoApic>,
    serial: Serial,
}

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    let rig = Rig::new(rig::options(choices));
    let layout = Layout::new(&rig.memory, Mode::Legacy);
    layout::start(&rig.unit, Mode::Legacy);
    let (unit, sent) = (Arc::clone(&rig.unit), Arc::clone(&rig.sent));
    let way = Arc::new(Way { unit, sent, forwarded: Mutex::default(), beyond: AtomicU64::new(0) });
    let io_apic = IoApic::new(way.clone());
    let line = Wire::new(io_apic.clone(), Pin(devices::serial::PIN)).line();
    let serial = Serial::new(line, Box::new(io::sink()));
    let mut fuzz = Fuzz { rig, layout, way, io_apic, serial };
    while !choices.is_over() {
        fuzz.turn(choices, census);
    }
    if fuzz.way.beyond.load(Ordering::Relaxed) > 0 {
        census.note("beyond");
    }
    fuzz.rig.sent.check(census);
}

impl Fuzz {
    fn turn(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        match choices.below(8) {
            0 | 1 => self.set_entry(choices),
            2 | 3 => self.set_level(choices, census),
            4 => {
                self.io_apic.end_of_interrupt(choices.of(&[0x30, 0x31, 0x32]));
                census.note("end of interrupt");
            }
            5 => self.use_serial(choices, census),
            6 => self.remap(choices),
            _ => {
                let (offset, width) = (choices.of(&[SELECT, WINDOW, END, 4]), width(choices));
                self.io_apic.write(offset, width, choices.number());
                let read = self.io_apic.read(choices.number(), width);
                assert_eq!(read & !width.ones(), 0, "{read:#x} has more than {width:?}");
            }
        }
        for (_, _, is_remapped) in self.way.forwarded.lock().drain(..) {
            census.note("forwarded");
            census.note(if is_remapped { "remapped" } else { "blocked" });
        }
    }

    fn entry(&self, pin: u8) -> u64 {
        let half = |register: u8| {
            self.io_apic.write(SELECT, Width::Dword, register.into());
            self.io_apic.read(WINDOW, Width::Dword)
        };
        half(0x10 + 2 * pin) | half(0x11 + 2 * pin) << 32
    }

    fn set_entry(&self, choices: &mut Choices<'_>) {
        let pin = u64::from(pin(choices));
        let flags = choices.of(&[0, LEVEL, MASKED, LEVEL | MASKED]);
        let (vector, index) = (0x30 + choices.below(3), choices.below(ENTRIES + 2));
        let low = choices.spoil(vector | flags, 4);
        // The remappable format with an index, or a destination.
        let high = choices.spoil(index << 17 | 1 << 16, 4);
        for (register, value) in [(0x11 + 2 * pin, high), (0x10 + 2 * pin, low)] {
            self.io_apic.write(SELECT, Width::Dword, register);
            self.io_apic.write(WINDOW, Width::Dword, value & 0xffff_ffff);
        }
    }

    fn set_level(&self, choices: &mut Choices<'_>, census: &mut Census) {
        let pin = pin(choices);
        let entry = if pin < PINS { self.entry(pin) } else { MASKED };
        self.way.forwarded.lock().clear();
        let (high, low) = (Level::High, Level::Low);
        for level in choices.of(&[[low, high], [high, low], [high, high], [low, low]]) {
            self.io_apic.set(Pin(pin), level);
        }
        let forwarded = self.way.forwarded.lock();
        assert!(forwarded.iter().all(|(from, ..)| from.0 == pin), "only {pin} has moved: {forwarded:?}");
        let waits = entry & (LEVEL | WAITING) == LEVEL | WAITING;
        let most = usize::from(entry & MASKED == 0 && !waits);
        assert!(forwarded.len() <= most, "{entry:#x} lets {most} pass, and these went: {forwarded:?}");
        if most == 0 {
            census.note("masked");
        }
    }

    fn use_serial(&self, choices: &mut Choices<'_>, census: &mut Census) {
        let offset = choices.below(PORTS.into()).to_le_bytes()[0];
        let mut bytes = [choices.byte(); 4];
        let len = usize::from(choices.of(&[Width::Byte, Width::Word, Width::Dword]).bytes());
        match choices.below(3) {
            0 => self.serial.read(offset, &mut bytes[..len]),
            1 => self.serial.write(offset, &bytes[..len]),
            _ => {
                let input = vec![choices.byte(); usize::from(choices.byte())];
                assert!(self.serial.offer(&input) <= input.len(), "it took more than there was");
            }
        }
        census.note("serial");
    }

    /// An entry of the table, and what is cached of it.
    fn remap(&mut self, choices: &mut Choices<'_>) {
        let index = choices.below(ENTRIES + 2);
        let low = 1
            | choices.below(2) << 4
            | choices.below(8) << 5
            | (0x30 + choices.below(3)) << 16
            | choices.below(0x100) << 40;
        let high = u64::from(SOURCE.0) | choices.below(4) << 18;
        self.layout.put(layout::place(layout::INTERRUPTS, 2 * index), choices.spoil(low, 4));
        self.layout.put(layout::place(layout::INTERRUPTS, 2 * index + 1), choices.spoil(high, 8));
        let tail = self.rig.long(0x88);
        self.layout.put(layout::place(layout::QUEUE, tail / 8), 4 | choices.below(2) << 4 | index << 32);
        self.layout.put(layout::place(layout::QUEUE, tail / 8 + 1), 0);
        self.rig.unit.write(0x88, UnitWidth::Bits64, (tail + 16) % 0x1000);
    }
}

fn width(choices: &mut Choices<'_>) -> Width {
    choices.of(&[Width::Byte, Width::Word, Width::Dword, Width::Qword])
}

/// An input, mostly one of four, or none that there is.
fn pin(choices: &mut Choices<'_>) -> u8 {
    choices.of(&[0, 4, 16, PINS - 1, PINS, u8::MAX])
}
