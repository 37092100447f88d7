//! The unit's registers, its queue and its knobs, in any order and with any values.
//!
//! Rules: what is read-only keeps its value and what is reserved reads 0; the queues' heads and tails are places in a
//! ring; the fault log says what its records say; a message goes to the local APICs. Source: VT-d 11.4.

use iommu::spec::page_request;
use iommu::vtd::Width;
use iommu::vtd::interrupts::InterruptSource;
use iommu::vtd::knobs::Fault;
use iommu::vtd::port::Port;
use mmu::address::{Access, PhysAddr};
use pcie::{Ats, Msi, PageRequest, Pasid, Request, SourceId, Wants};

use super::layout::{self, DOMAINS, Layout, Mode, PASID_NUMBERS, SOURCES};
use super::rig::{self, MEMORY_BYTES, Rig};
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] = &[
    "translated",
    "blocked",
    "fault recorded",
    "fault overflow",
    "queue error",
    "descriptor executed",
    "wait completed",
    "page request",
    "interrupt",
];

/// Registers that software knows, by their offsets.
const KNOWN: [u64; 30] = [
    0x00, 0x08, 0x10, 0x18, 0x1c, 0x20, 0x28, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x80, 0x88, 0x90, 0x9c, 0xa0,
    0xa4, 0xb0, 0xb8, 0xc0, 0xc8, 0xd0, 0xdc, 0xe0, 0xe4, 0xf0, 0xf8, 0x220, 0x22c,
];

/// The bits of each word that may ever be set, as 32-bit words from the given offset on; of all others none.
const SETTABLE: [(u64, &[u64]); 11] = [
    (0x18, &[0xffff_ffff, 0xc780_0000]),
    (0x20, &[0xffff_fc00, 0xffff_ffff, 0xffff_ffff, 0xf800_0003]),
    (0x34, &[0x0000_ff73, 0xc000_0000, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]),
    (0x80, &[0x0007_fff0, 0, 0x0007_fff0, 0, 0xffff_f807, 0xffff_ffff]),
    (0x9c, &[1, 0xc000_0000, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]),
    (0xb0, &[0xf, 0xffff, 0xffff_f80f, 0xffff_ffff]),
    (0xc0, &[0x0007_ffe0, 0, 0x0007_ffe0, 0, 0xffff_f007, 0xffff_ffff]),
    (0xdc, &[3, 0xc000_0000, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]),
    (0xf0, &[0xffff_f07f, 0xffff_ffff]),
    (0xf8, &[0, 0xb603_ffff]),
    (RECORDS, &[]),
];
const RECORDS: u64 = 0x220;
const RECORD_COUNT: u64 = 8;
/// The same for a fault record.
const RECORD: [u64; 4] = [0xffff_f000, 0xffff_ffff, 0x9000_ffff, 0xf00f_ffff];
const IN_USE: u64 = 1 << 31;

const FAULT_STATUS: u64 = 0x34;
const OVERFLOW: u64 = 1 << 0;
const PENDING: u64 = 1 << 1;
const QUEUE_ERROR: u64 = 1 << 4;

struct Fuzz {
    rig: Rig,
    layout: Layout,
    ports: [Port; 2],
    constants: [u64; 3],
}

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    let rig = Rig::new(rig::options(choices));
    let mode = choices.of(&[Mode::Scalable, Mode::Legacy]);
    let layout = Layout::new(&rig.memory, mode);
    if !choices.one_in(8) {
        layout::start(&rig.unit, mode);
    }
    let ports = SOURCES.map(|source| rig.unit.port(source, 8));
    let constants = [rig.word(0), rig.long(8), rig.long(0x10)];
    let mut fuzz = Fuzz { rig, layout, ports, constants };
    while !choices.is_over() {
        fuzz.turn(choices, census);
        fuzz.check(census);
    }
    fuzz.check_every_word();
    fuzz.rig.sent.check(census);
}

impl Fuzz {
    fn turn(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        match choices.below(13) {
            0..=2 => self.write(choices),
            3..=5 => self.submit(choices, census),
            6 => self.layout.change(choices),
            7 => self.turn_a_knob(choices),
            8 => self.ask_for_a_page(choices, census),
            9 => {
                let message =
                    Msi { address: 0xfee0_0000 | choices.word() & 0xf_fffc, data: low(choices.word()) };
                let _answer =
                    self.rig.unit.interrupt(InterruptSource::Function(choices.of(&SOURCES)), message);
            }
            10 => self.recover(),
            _ => self.access(choices, census),
        }
    }

    /// What a driver does when nothing goes any more.
    fn recover(&self) {
        let write = |offset, value| self.rig.unit.write(offset, Width::Bits32, value);
        write(0x18, 0);
        write(FAULT_STATUS, 0xffff_ffff);
        (0..RECORD_COUNT).for_each(|index| write(RECORDS + 16 * index + 12, IN_USE));
        write(0x88, 0);
        layout::start(&self.rig.unit, self.layout.mode);
        self.rig.unit.release_queue();
    }

    fn write(&self, choices: &mut Choices<'_>) {
        let offset = match choices.below(8) {
            0 => choices.of(&[0xff8, 0xffc, 0x1000, 0x1004, 0x1_0000, u64::MAX - 7]),
            1 => choices.of(&KNOWN) + choices.below(9),
            2 => RECORDS + 4 * choices.below(4 * RECORD_COUNT + 4),
            _ => choices.of(&KNOWN),
        };
        let width = choices.of(&[Width::Bits32, Width::Bits64]);
        let value = match choices.below(6) {
            0 => choices.number(),
            1 => u64::MAX,
            2 => 0,
            // A table, with any mode or size.
            3 => choices.below(16) << 12 | choices.below(0x1000),
            // A command: what is on, or another.
            4 => choices.spoil(0x8600_0000, 2),
            _ => choices.spoil(self.rig.unit.read(offset & 0xfff, width), 1),
        };
        self.rig.unit.write(offset, width, value);
        let _value = self.rig.unit.read(offset, width);
    }

    /// A descriptor or two at the tail, and the doorbell.
    fn submit(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        let address = self.rig.long(0x90);
        let (base, len) = (address & !0xfff, 0x1000 << (address & 7));
        let width = if address >> 11 & 1 == 0 { 16 } else { 32 };
        let mut tail = self.rig.long(0x88) % len / width * width;
        for _ in 0..=choices.below(3) {
            for (at, word) in (0..width).step_by(8).zip(descriptor(choices)) {
                let place = PhysAddr(base.wrapping_add(tail + at));
                if self.rig.memory.try_load(place).is_some() {
                    self.layout.put(place, word);
                }
            }
            tail = (tail + width) % len;
        }
        let before = self.rig.long(0x80);
        self.rig.unit.write(0x88, Width::Bits64, choices.spoil(tail, 16));
        if self.rig.long(0x80) != before {
            census.note("descriptor executed");
        }
        if self.rig.memory.load(layout::place(layout::STATUS, 0)) != 0 {
            census.note("wait completed");
        }
    }

    fn turn_a_knob(&self, choices: &mut Choices<'_>) {
        let unit = &self.rig.unit;
        let source = choices.of(&SOURCES);
        let nth = choices.below(4);
        match choices.below(9) {
            0 => unit.hold_queue(nth),
            1 => unit.break_queue(Fault::Drop { nth }),
            2 => unit.break_queue(Fault::Postpone { nth }),
            3 => unit.hold_device_tlb(source),
            4 => unit.release_device_tlb(source),
            5 => unit.time_out_device_tlb(source),
            6 => unit.hold_page_requests(),
            7 => unit.release_page_requests(),
            _ => unit.release_queue(),
        }
    }

    fn ask_for_a_page(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        let port = &mut self.ports[usize::from(choices.one_in(2))];
        let request = PageRequest {
            source: port.source(),
            pasid: pasid(choices),
            address: layout::address(choices),
            wants: Wants { read: !choices.one_in(8), write: choices.one_in(2), ..Wants::default() },
            group: u16::from(choices.byte()) * 3,
            last: !choices.one_in(4),
            private_data: choices.one_in(4).then_some([3, 4]),
        };
        page_request::encode(&request).into_iter().for_each(|word| self.layout.name(word));
        if port.request_page(request).is_ok() {
            census.note("page request");
        }
        while port.next_response().is_some() {}
    }

    fn access(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        let port = &mut self.ports[usize::from(choices.one_in(2))];
        if choices.one_in(8) {
            port.set_ats(choices.of(&[Ats::Enabled, Ats::Disabled]));
        }
        let (pasid, address) = (pasid(choices), layout::address(choices));
        let mut bytes = [choices.byte(); 16];
        let answer = match choices.below(3) {
            0 => port.read(pasid, address, &mut bytes),
            1 => port.translate(Request { pasid, address, access: Access::Write }).map(|write| {
                write.update(|word| word ^ 0xff);
            }),
            _ => port.translate(Request { pasid, address, access: Access::Read }).map(|read| {
                let _word = read.load();
            }),
        };
        census.note(if answer.is_ok() { "translated" } else { "blocked" });
        drop(self.rig.unit.take_stale_uses());
    }

    /// What can be seen at a glance.
    fn check(&self, census: &mut Census) {
        let rig = &self.rig;
        assert_eq!(
            [rig.word(0), rig.long(8), rig.long(0x10)],
            self.constants,
            "VER, CAP and ECAP are constants"
        );
        let status = rig.word(FAULT_STATUS);
        let in_use = |index: u64| rig.word(RECORDS + 16 * index + 12) & IN_USE != 0;
        let pending = status & PENDING != 0;
        assert_eq!(
            pending,
            (0..RECORD_COUNT).any(in_use),
            "PPF is set while a record is in use: {status:#x}"
        );
        assert!(!pending || in_use(status >> 8 & 0xff), "FRI names a record that is in use: {status:#x}");
        for (bit, what) in
            [(PENDING, "fault recorded"), (OVERFLOW, "fault overflow"), (QUEUE_ERROR, "queue error")]
        {
            if status & bit != 0 {
                census.note(what);
            }
        }
        assert_eq!(rig.word(0x18) & 0x8680_0000, rig.word(0x1c) & 0x8680_0000, "GSTS follows GCMD");
    }

    fn check_every_word(&self) {
        for offset in (0x18..0x1000).step_by(4) {
            let word = self.rig.word(offset);
            assert_eq!(word & !settable(offset), 0, "{word:#x} at {offset:#x} has bits that are reserved");
        }
    }
}

/// The bits of the word at `offset` that may be set.
fn settable(offset: u64) -> u64 {
    if let Some(at) = offset.checked_sub(RECORDS).filter(|at| *at < 16 * RECORD_COUNT) {
        return RECORD.into_iter().nth(usize::try_from(at / 4 % 4).unwrap_or(0)).unwrap_or(0);
    }
    let of = |(start, words): &(u64, &[u64])| {
        let at = usize::try_from(offset.checked_sub(*start)? / 4).ok()?;
        words.get(at).copied()
    };
    SETTABLE.iter().find_map(of).unwrap_or(0)
}

/// A descriptor of any type, with what may stand in each of its fields.
pub(super) fn descriptor(choices: &mut Choices<'_>) -> [u64; 4] {
    let kind = choices.of(&[1, 2, 2, 3, 4, 5, 5, 6, 6, 7, 8, 9]);
    let granularity = 1 + choices.below(3);
    let domain = choices.below(DOMAINS);
    let source = u64::from(choices.of(&SOURCES).0);
    let pasid = choices.below(PASID_NUMBERS);
    let address = layout::address(choices).page().0;
    let span = if choices.one_in(2) { choices.below(8) } else { choices.below(0x80) & !0x20 };
    let [low, high] = match kind {
        1 => [granularity << 4 | domain << 16 | source << 32 | choices.below(4) << 48, 0],
        2 => [granularity << 4 | 3 << 6 | domain << 16, address | span],
        3 => [source << 32, address | choices.below(2) | ones(choices)],
        4 => [choices.below(2) << 4 | choices.below(32) << 27 | choices.below(64) << 32, 0],
        5 => wait(choices),
        6 => [(granularity | 2) << 4 | domain << 16 | pasid << 32, address | span],
        7 => [choices.of(&[0, 1, 3]) << 4 | domain << 16 | pasid << 32, 0],
        8 => [source << 16 | pasid << 32, address | choices.below(2) << 11 | ones(choices)],
        _ => [1 << 4 | source << 16 | pasid << 32 | choices.below(16) << 12, choices.below(512) << 3],
    };
    [choices.spoil(low | kind, 16), choices.spoil(high, 16), choices.spoil(0, 32), choices.spoil(0, 32)]
}

/// A span of a device-TLB invalidation: the lowest zero bit from 12 on.
fn ones(choices: &mut Choices<'_>) -> u64 {
    ((1 << choices.below(52)) - 1) << 12
}

/// Writes its status, mostly to where it is looked for.
fn wait(choices: &mut Choices<'_>) -> [u64; 2] {
    let place = if choices.one_in(8) {
        PhysAddr(choices.number() % MEMORY_BYTES)
    } else {
        layout::place(layout::STATUS, 0)
    };
    let flags = choices.below(16) | 2;
    [flags << 4 | 1 << 32, place.0 & !3]
}

pub(super) fn pasid(choices: &mut Choices<'_>) -> Option<Pasid> {
    let number = choices.below(PASID_NUMBERS + 2);
    // None for two of the numbers.
    u32::try_from(number)
        .ok()
        .filter(|number| u64::from(*number) < PASID_NUMBERS)
        .and_then(|number| Pasid::new(number).ok())
}

fn low(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}

/// Both functions' ids, so that it is known that they differ in the half of a root entry.
const _: () = assert!(SourceId(0x08).devfn() < 128 && SourceId(0x90).devfn() >= 128);
