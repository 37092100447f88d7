//! Configuration space by ports and by memory, BARs moved anywhere, the registers of every device, and their DMA.
//!
//! Rules: what identifies a function stays, and its capability lists end; an address is answered by the function whose
//! BAR says so, by the lower number if there are two, and by nobody else; memory stays as it is behind a unit that blocks
//! everything, and while nobody is bus master; no interrupt leaves before somebody is. The DMA engine's thread works beside all this, so here the same bytes do
//! only nearly the same again.

mod rig;

use devices::bus::{Registers, Width};
use devices::pci::host_bridge::{ADDRESS_PORT, DATA_PORT};
use mmu::address::PhysAddr;
use pcie::SourceId;

use self::rig::{MEMORY_BYTES, Rig, Way};
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] =
    &["answered", "nobody", "edu", "engine", "moved", "executed", "walled off", "interrupt", "silent"];

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];
/// The functions on the bus, by their numbers.
const EDU: u8 = 1;
const TESTDEV: u8 = 2;
const ENGINE: u8 = 3;
const FUNCTIONS: [u8; 3] = [EDU, TESTDEV, ENGINE];
/// Where BARs are put: in the place for them, over memory, and over what does not move.
const PLACES: [u64; 8] =
    [0xc000_0000, 0xc010_0000, 0xc010_4000, 0xc010_5000, 0, 0xe000_0000, 0xfec0_0000, 0xffff_f000];
/// Offsets of registers: edu's, then the engine's.
const REGISTERS: [u64; 24] = [
    0x00, 0x04, 0x08, 0x20, 0x24, 0x60, 0x64, 0x80, 0x88, 0x90, 0x98, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0x28,
    0x2c, 0x38, 0x1000, 0x1008, 0x100c, 0x2000, 0x3ff8,
];
/// In the command register: memory space is decoded; requests may be issued.
const DECODING: u64 = 2;
const MASTER: u64 = 4;
const RING: u64 = 0x8000;
/// How often the engine is given the processor before something else is done.
const MOST_LOOKS: u32 = 4;

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    let rig = Rig::new(choices.of(&[Way::Direct, Way::Passing, Way::Walled]));
    let identity = FUNCTIONS.map(|function| identity(&rig, function));
    let command = if choices.one_in(4) { DECODING } else { DECODING | MASTER };
    let (mut engine_has_run, mut has_been_master) = (false, false);
    while !choices.is_over() {
        match choices.below(9) {
            0 | 1 => configure(&rig, choices),
            2 => move_a_bar(&rig, command, choices, census),
            8 => enable(&rig, command, choices),
            3 => {
                engine_has_run = true;
                run_the_engine(&rig, command, choices, census);
            }
            4 if engine_has_run || has_master(&rig) => transfer(&rig, choices),
            4 => {
                let before = rig.memory_bytes();
                transfer(&rig, choices);
                assert!(rig.memory_bytes() == before, "memory has changed, and nobody is bus master");
                census.note("not bus master");
            }
            _ => access(&rig, choices, census),
        }
        has_been_master |= has_master(&rig);
        if !has_been_master {
            assert_eq!(rig.sent.count(), 0, "an interrupt has left, and nobody was bus master");
            census.note("silent");
        }
    }
    assert_eq!(
        FUNCTIONS.map(|function| self::identity(&rig, function)),
        identity,
        "who is who does not change"
    );
    rig.finish(census);
}

/// What software cannot change about a function: ids, class, header type, flags of its BAR, and its capabilities.
fn identity(rig: &Rig, function: u8) -> Vec<u64> {
    let read = |offset| config(rig, function, offset, Width::Dword);
    let mut found = vec![read(0), read(8), read(0x0c) >> 16, read(0x10) & 0xfff, read(0x2c), read(0x34)];
    let mut at = read(0x34) & 0xff;
    while at != 0 {
        found.extend([at, read(at) & 0xffff]);
        at = read(at) >> 8 & 0xff;
        assert!(found.len() < 100, "the list of capabilities has no end");
    }
    let mut at = 0x100;
    while at != 0 {
        found.extend([at, read(at)]);
        at = read(at) >> 20;
        assert!(found.len() < 200, "the list of extended capabilities has no end");
    }
    found
}

fn config(rig: &Rig, function: u8, offset: u64, width: Width) -> u64 {
    rig.bridge.read(ecam(function) + offset, width)
}

const fn ecam(function: u8) -> u64 {
    (function as u64) << 15
}

/// Configuration space, by one of the two ways.
fn configure(rig: &Rig, choices: &mut Choices<'_>) {
    let function = choices.of(&FUNCTIONS);
    let offset = match choices.below(4) {
        0 => choices.below(0x1000),
        1 => choices.of(&[0x04, 0x05, 0x0c, 0x3c, 0x34, 0x40, 0xff, 0xff9, 0xffe, 0xfff]),
        // The capabilities.
        2 => 0x40 + choices.below(0x80),
        _ => 0x100 + choices.below(0x20),
    };
    let (width, value) = (choices.of(&WIDTHS), choices.number());
    if choices.one_in(2) {
        let read = rig.bridge.read(ecam(function) + offset, width);
        assert_eq!(read & !width.ones(), 0, "{read:#x} has more than {width:?}");
        return rig.bridge.write(ecam(function) + offset, width, choices.spoil(value, 4));
    }
    let enable = if choices.one_in(8) { 0 } else { 1 << 31 };
    let address = enable | u64::from(SourceId::new(choices.below(2).to_le_bytes()[0], function, 0).0) << 8;
    let address = address | offset & 0xff;
    rig.bridge.write_port(ADDRESS_PORT, Width::Dword, address);
    assert_eq!(
        rig.bridge.read_port(ADDRESS_PORT, Width::Dword),
        address,
        "the address register keeps all bits"
    );
    let port = choices.of(&[DATA_PORT, DATA_PORT + 1, DATA_PORT + 2, DATA_PORT + 3, ADDRESS_PORT + 1]);
    let read = rig.bridge.read_port(port, width);
    assert_eq!(read & !width.ones(), 0, "{read:#x} has more than {width:?}");
    rig.bridge.write_port(port, width, value);
}

/// What a driver enables: messages to anywhere, and translating ahead, pages and processes.
fn enable(rig: &Rig, command: u64, choices: &mut Choices<'_>) {
    let write = |function, offset, width, value| rig.bridge.write(ecam(function) + offset, width, value);
    let to = if choices.one_in(4) { choices.number() } else { 0xfee0_0000 | choices.below(16) << 12 };
    for (function, msi) in [(EDU, 0x40), (ENGINE, 0x7c)] {
        write(function, 0x04, Width::Word, choices.of(&[command, DECODING]));
        write(function, msi + 4, Width::Qword, to);
        write(function, msi + 2, Width::Word, choices.below(2));
    }
    // The first is that of a halt.
    let number = if choices.one_in(2) { 0 } else { choices.below(8) };
    let vector = base(rig, ENGINE).wrapping_add(0x1000 + 16 * number);
    for (offset, value) in [(0, to), (8, 0x41), (12, choices.below(2))] {
        let _answered = rig.bus.write(vector.wrapping_add(offset), Width::Dword, value);
    }
    write(ENGINE, 0x8e, Width::Word, choices.of(&[0, 1 << 15, 3 << 14]));
    for (offset, value) in [(0x106, 1 << 15), (0x10c, 1), (0x114, 1), (0x11e, 1)] {
        write(ENGINE, offset, Width::Word, choices.of(&[value, 0]));
    }
    for (function, register) in [(EDU, 0x60), (ENGINE, 0x2c)] {
        let _answered = rig.bus.write(base(rig, function).wrapping_add(register), Width::Dword, 7);
    }
}

fn move_a_bar(rig: &Rig, command: u64, choices: &mut Choices<'_>, census: &mut Census) {
    let function = choices.of(&FUNCTIONS);
    let to = if choices.one_in(4) { choices.number() } else { choices.of(&PLACES) };
    rig.bridge.write(ecam(function) + 0x10, choices.of(&[Width::Dword, Width::Qword]), to);
    // Mostly on.
    rig.bridge.write(ecam(function) + 0x04, Width::Word, choices.spoil(command, 4));
    census.note("moved");
}

/// Whose BAR it is, as configuration space says, and the offset in it.
fn owner(rig: &Rig, address: u64) -> Option<(u8, u64)> {
    FUNCTIONS.into_iter().find_map(|function| {
        let (len, wide) = match function {
            EDU => (1 << 20, false),
            TESTDEV => (1 << 12, false),
            _ => (1 << 14, true),
        };
        let bar = config(rig, function, 0x10, if wide { Width::Qword } else { Width::Dword });
        let is_on = config(rig, function, 0x04, Width::Word) & 2 != 0;
        let offset = address.checked_sub(bar & !0xf).filter(|offset| is_on && *offset < len)?;
        Some((function, offset))
    })
}

/// A load or store of memory space.
fn access(rig: &Rig, choices: &mut Choices<'_>, census: &mut Census) {
    let function = choices.of(&FUNCTIONS);
    let bar = config(rig, function, 0x10, Width::Dword) & !0xf;
    let offset = if choices.one_in(4) { choices.number() } else { choices.of(&REGISTERS) };
    let address = bar.wrapping_add(choices.spoil(offset, 16));
    let width = if choices.one_in(4) { choices.of(&WIDTHS) } else { Width::Dword };
    let owner = owner(rig, address);
    if choices.one_in(2) {
        let written = rig.bus.write(address, width, choices.number());
        assert_eq!(written.is_some(), owner.is_some(), "a store to {address:#x}, which is {owner:?}'s");
        return;
    }
    let read = rig.bus.read(address, width);
    assert_eq!(read.is_some(), owner.is_some(), "a load from {address:#x}, which is {owner:?}'s");
    assert_eq!(read.unwrap_or_default() & !width.ones(), 0, "{read:x?} has more than {width:?}");
    census.note(if owner.is_some() { "answered" } else { "nobody" });
    for (function, name, identification) in [(EDU, "edu", 0x0100_00ed), (ENGINE, "engine", 0x4146_0100)] {
        if owner == Some((function, 0)) && width == Width::Dword {
            assert_eq!(read, Some(identification), "{address:#x} is {name}'s");
            census.note(name);
        }
    }
}

/// Where `function` is, if it is anywhere.
fn base(rig: &Rig, function: u8) -> u64 {
    let width = if function == ENGINE { Width::Qword } else { Width::Dword };
    config(rig, function, 0x10, width) & !0xf
}

/// Whether any function may issue requests.
fn has_master(rig: &Rig) -> bool {
    FUNCTIONS.into_iter().any(|function| config(rig, function, 0x04, Width::Word) & 4 != 0)
}

/// A transfer of one of the simple devices.
fn transfer(rig: &Rig, choices: &mut Choices<'_>) {
    let near = |choices: &mut Choices<'_>| {
        let memory = choices.below(MEMORY_BYTES >> 12) << 12 | choices.below(0x1000);
        if choices.one_in(4) { choices.number() } else { memory }
    };
    let (edu, testdev) = (base(rig, EDU), base(rig, TESTDEV));
    let store = |at, width, value| rig.bus.write(at, width, value).unwrap_or_default();
    if choices.one_in(2) {
        let inside = 0x4_0000 + choices.below(0x1000);
        let inside = choices.spoil(inside, 8);
        let (outside, count, command) = (near(choices), choices.below(0x1100), choices.below(8));
        let (source, destination) = if command & 2 == 0 { (outside, inside) } else { (inside, outside) };
        for (offset, value) in
            [(0x80, source), (0x88, destination), (0x90, choices.spoil(count, 8)), (0x98, command)]
        {
            store(edu.wrapping_add(offset), Width::Qword, value);
        }
    } else {
        let (address, len) = (near(choices), choices.below(0x2000));
        let words =
            [address, address >> 32, choices.spoil(len, 8), 0, 1, choices.below(16), address, address >> 32];
        for (offset, value) in [0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20].into_iter().zip(words) {
            store(testdev.wrapping_add(offset), Width::Dword, value & 0xffff_ffff);
        }
        let _trigger = rig.bus.read(testdev, Width::Dword);
    }
}

/// Descriptors, a ring, and the doorbell.
fn run_the_engine(rig: &Rig, command: u64, choices: &mut Choices<'_>, census: &mut Census) {
    rig.bridge.write(ecam(ENGINE) + 0x04, Width::Word, choices.spoil(command, 8));
    if rig.way != Way::Walled {
        for entry in 0..=choices.below(4) {
            for (at, word) in (0..).step_by(8).zip(descriptor(choices)) {
                rig.memory.store(PhysAddr(RING + entry * 64 + at), word);
            }
        }
    }
    let engine = base(rig, ENGINE);
    let store = |offset, width, value| {
        rig.bus.write(engine.wrapping_add(offset), width, value).unwrap_or_default();
    };
    let load = |offset: u64| rig.bus.read(engine.wrapping_add(offset), Width::Dword).unwrap_or_default();
    store(0x08, Width::Dword, choices.of(&[0, 1, 2, 2]));
    store(0x10, Width::Qword, choices.spoil(RING, 8));
    store(0x18, Width::Dword, choices.spoil(2, 8));
    store(0x1c, Width::Dword, choices.spoil(0, 8));
    store(0x2c, Width::Dword, choices.below(8));
    let tail = choices.below(4);
    store(0x20, Width::Dword, choices.spoil(tail, 8));
    store(0x08, Width::Dword, 1);
    // Mostly it is done by then, unless others want the processor too; an answer to a page request never comes.
    for _ in 0..MOST_LOOKS {
        if load(0x0c) & 3 == 0 && load(0x20) == load(0x24) {
            break;
        }
        std::thread::yield_now();
    }
    if load(0x40) != 0 {
        census.note("executed");
    }
}

fn descriptor(choices: &mut Choices<'_>) -> [u64; 8] {
    let near = |choices: &mut Choices<'_>| {
        if choices.one_in(4) { choices.number() } else { choices.below(MEMORY_BYTES >> 4) << 4 }
    };
    let head = choices.below(7) | choices.below(32) << 8 | choices.below(9) << 16;
    [
        choices.spoil(head, 8),
        near(choices),
        near(choices),
        if choices.one_in(4) { choices.number() } else { choices.below(0x3000) },
        choices.word(),
        choices.number(),
        near(choices),
        choices.spoil(0, 32),
    ]
}
