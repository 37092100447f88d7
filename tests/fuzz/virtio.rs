//! The transport's registers and the rings of each virtio device, behind a unit that maps a part of memory, or before none.
//!
//! Rules: a reset ends, and afterwards a right driver's request is used; what the unit does not let the device write stays
//! as it is; a message goes to the local APICs or nowhere; what identifies the device stays. The device's thread works
//! beside all this, so the same bytes do only nearly the same again.

mod rig;

use devices::bus::Width;
use mmu::address::PhysAddr;

use self::rig::{ABSENT, Kind, READ_ONLY, Rig, WORKING};
use super::{Census, Choices};

pub(super) const EXPECTED: &[&str] = &[
    "rng",
    "blk",
    "console",
    "net",
    "mapped",
    "begun",
    "used",
    "broken",
    "reset",
    "works again",
    "interrupt",
];

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];
/// Parts of BAR 0.
const REASONS: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;
const VECTORS: u64 = 0x4000;
/// Registers of the common configuration.
const STATUS: u64 = 0x14;
const SELECT: u64 = 0x16;
const COMMAND: u16 = 4;
const MESSAGES: u64 = 0xfee0_0000;
const DRIVER: u64 = 3;
const FEATURES_OK: u64 = 8;
const DRIVER_OK: u64 = 4;
const NEEDS_RESET: u64 = 0x40;
/// VERSION_1 and ACCESS_PLATFORM, a table behind a descriptor, an index of events; and the disk's flush.
const FEATURES: u64 = 1 << 33 | 1 << 32;
const ITS_TABLES: u64 = 1 << 28;
const EVENTS: u64 = 1 << 29;
const FLUSH: u64 = 1 << 9;
/// Where a queue's parts lie, and how far those of the next one are from them.
const TABLE: u64 = 0x1_0000;
const AVAILABLE: u64 = 0x1_1000;
const USED: u64 = 0x1_2000;
const NEXT_QUEUE: u64 = 0x4000;
/// Descriptors that a descriptor names, headers of requests, and data.
const INDIRECT: u64 = 0x2_0000;
const HEADERS: u64 = 0x3_0000;
const DATA: u64 = 0x4_0000;
const STATUS_BYTE: u64 = HEADERS + 0x100;
/// Capabilities.
const MSIX: u64 = 0x11;
const VENDOR: u64 = 0x09;
/// Entries of a ring.
const SIZE: u64 = 16;
/// In a descriptor.
const NEXT: u64 = 1;
const WRITE: u64 = 2;
const NAMES_A_TABLE: u64 = 4;
/// How often the device is given the processor before something else is done.
const MOST_LOOKS: u32 = 4;

/// A device, and what its driver believes.
struct Fuzz {
    rig: Rig,
    kind: Kind,
    offered: [u16; 2],
}

pub(super) fn run(choices: &mut Choices<'_>, census: &mut Census) {
    let kind = choices.of(&[Kind::Rng, Kind::Blk, Kind::Console, Kind::Net]);
    let is_mapped = !choices.one_in(4);
    let mut fuzz = Fuzz { rig: Rig::new(kind, is_mapped), kind, offered: [0; 2] };
    census.note(match kind {
        Kind::Rng => "rng",
        Kind::Blk => "blk",
        Kind::Console => "console",
        Kind::Net => "net",
    });
    if is_mapped {
        census.note("mapped");
    }
    let identity = fuzz.identity();
    let kept = fuzz.rig.kept();
    if !choices.one_in(8) {
        fuzz.begin(choices, census);
    }
    while !choices.is_over() {
        fuzz.turn(choices, census);
    }
    fuzz.works(census);
    assert!(fuzz.rig.kept() == kept, "the device has written what it may not");
    assert_eq!(fuzz.identity(), identity, "what the device is does not change");
    fuzz.rig.sent.check(census);
}

impl Fuzz {
    fn turn(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        match choices.below(16) {
            0 => self.begin(choices, census),
            1 => {
                let (at, width) = (choices.below(0x48), choices.of(&WIDTHS));
                self.rig.store(at, width, choices.number());
            }
            2 => self.reset(census),
            3 => self.interrupts(choices),
            4 => {
                let value = choices.of(&[WORKING, WORKING, 2, 6 | 1 << 10]);
                self.rig.configure(COMMAND, Width::Word, value);
            }
            5 => self.look_around(choices),
            6 => self.window(choices),
            7 => self.type_in(choices),
            8 | 9 => self.describe(choices),
            10 => self.ask(choices.below(2), choices),
            11 => self.wait(),
            _ => self.offer(choices),
        }
    }

    fn status(&self) -> u64 {
        self.rig.load(STATUS, Width::Byte)
    }

    /// Features that are offered, and how many queues there are.
    fn identity(&self) -> [u64; 3] {
        let half = |select| {
            self.rig.store(0, Width::Dword, select);
            self.rig.load(4, Width::Dword)
        };
        [half(0), half(1), self.rig.load(0x12, Width::Word)]
    }

    /// The steps of a driver, of which one may be wrong.
    fn begin(&mut self, choices: &mut Choices<'_>, census: &mut Census) {
        self.reset(census);
        let own = if self.kind == Kind::Blk { FLUSH } else { 0 };
        let wanted =
            FEATURES | choices.of(&[0, ITS_TABLES, EVENTS, ITS_TABLES | EVENTS]) | choices.of(&[0, own]);
        let features = choices.spoil(wanted, 32);
        let size = choices.of(&[SIZE, SIZE, SIZE, 1, 64]);
        let places =
            [TABLE, AVAILABLE, USED].map(|at| if choices.one_in(64) { choices.number() } else { at });
        self.start(features, choices.spoil(size, 32), places);
        if self.status() & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK {
            census.note("begun");
        }
    }

    fn start(&mut self, features: u64, size: u64, places: [u64; 3]) {
        let rig = &self.rig;
        rig.store(STATUS, Width::Byte, DRIVER);
        for select in 0..2 {
            rig.store(0x08, Width::Dword, select);
            rig.store(0x0c, Width::Dword, features >> (32 * select));
        }
        rig.store(STATUS, Width::Byte, DRIVER | FEATURES_OK);
        for queue in 0..2 {
            rig.store(SELECT, Width::Word, queue);
            rig.store(0x18, Width::Word, size);
            rig.store(0x1a, Width::Word, queue);
            for (register, at) in [0x20, 0x28, 0x30].into_iter().zip(places) {
                rig.store(register, Width::Qword, at.wrapping_add(NEXT_QUEUE * queue));
            }
            rig.put(AVAILABLE + NEXT_QUEUE * queue, &[0; 4]);
            rig.put(USED + NEXT_QUEUE * queue, &[0; 4]);
            rig.store(0x1c, Width::Word, 1);
        }
        rig.store(STATUS, Width::Byte, DRIVER | FEATURES_OK | DRIVER_OK);
        self.offered = [0; 2];
    }

    fn reset(&self, census: &mut Census) {
        if self.status() & NEEDS_RESET != 0 {
            census.note("broken");
        }
        if [USED, USED + NEXT_QUEUE].iter().any(|at| self.rig.half(at + 2) != 0) {
            census.note("used");
        }
        self.rig.store(STATUS, Width::Byte, 0);
        self.rig.until("a reset", || self.status() == 0);
        census.note("reset");
    }

    /// Vectors, and whether they are used.
    fn interrupts(&self, choices: &mut Choices<'_>) {
        let to = if choices.one_in(4) { choices.number() } else { MESSAGES | choices.below(16) << 12 };
        let at = VECTORS + 16 * choices.below(4);
        for (offset, value) in [(0, to), (4, to >> 32), (8, 0x41), (12, choices.below(2))] {
            self.rig.store(at + offset, Width::Dword, value);
        }
        let control = choices.of(&[1 << 15, 1 << 15, 0, 3 << 14]);
        self.rig.configure(self.rig.capability(MSIX) + 2, Width::Word, control);
    }

    fn look_around(&self, choices: &mut Choices<'_>) {
        let part = choices.of(&[0, REASONS, DEVICE, NOTIFY, VECTORS, 0x5000, 0x6000]);
        let at = part + choices.below(0x80);
        self.rig.load(at, choices.of(&WIDTHS));
        if choices.one_in(4) {
            self.rig.store(at, choices.of(&WIDTHS), choices.number());
        }
    }

    /// A register behind the window in configuration space.
    fn window(&self, choices: &mut Choices<'_>) {
        // The capabilities of that kind, of which one is the window, and what lies behind them.
        let at = self.rig.capability(VENDOR) + u16::from(choices.byte() & 0x7f);
        let width = choices.of(&[Width::Byte, Width::Word, Width::Dword]);
        self.rig.configured(at, width);
        self.rig.configure(at, width, choices.number() & width.ones());
    }

    /// What comes from without.
    fn type_in(&self, choices: &mut Choices<'_>) {
        let input = vec![choices.byte(); usize::from(choices.byte())];
        if self.kind == Kind::Console {
            assert!(self.rig.user.offer(&input) <= input.len(), "it took more than there was");
            let [columns, rows] = [choices.byte(), choices.byte()].map(u16::from);
            self.rig.user.look(devices::virtio::console::WindowSize { columns, rows });
        }
        self.rig.put(DATA + choices.below(0x1000), &input);
    }

    /// Descriptors, of a queue's table or of one that a descriptor names.
    fn describe(&self, choices: &mut Choices<'_>) {
        let table = choices.of(&[TABLE, TABLE, TABLE + NEXT_QUEUE, INDIRECT]);
        let first = choices.below(SIZE);
        for index in first..=first + choices.below(4) {
            let flags = choices.of(&[0, NEXT, WRITE, WRITE | NEXT, NAMES_A_TABLE]);
            let place = choices.of(&[DATA, HEADERS, INDIRECT, READ_ONLY, ABSENT, ABSENT - 8, TABLE, USED]);
            let at = if choices.one_in(16) { choices.number() } else { place };
            let len = choices.of(&[16, 1, 64, 512, 0x1000, 0x1_0000]);
            let words =
                [at, choices.spoil(len, 8) & 0xffff_ffff | flags << 32 | choices.spoil(index + 1, 16) << 48];
            self.rig.put(table + 16 * index, words.map(u64::to_le_bytes).as_flattened());
        }
    }

    /// A request that is nearly right, from descriptor 0 on.
    fn ask(&self, queue: u64, choices: &mut Choices<'_>) {
        let number = if self.kind == Kind::Blk { choices.of(&[0, 1, 4, 8, 11, 13, 2]) } else { 0 };
        let sector = choices.below(0x90);
        let header = [choices.spoil(number, 16), choices.spoil(sector, 16)];
        self.rig.put(HEADERS, header.map(u64::to_le_bytes).as_flattened());
        // Segments of the disk: where, how many sectors, how.
        let segment = [choices.below(0x90), choices.below(0x90) | choices.below(3) << 32];
        let segment = segment.map(|word| choices.spoil(word, 8));
        self.rig.put(DATA, segment.map(u64::to_le_bytes).as_flattened());
        let len = choices.of(&[16, 512, 1024, 1530, 0x1000]);
        let len = choices.spoil(len, 16) & 0xffff_ffff;
        let data = if matches!(number, 0 | 8) { WRITE } else { 0 };
        // Mostly where the device may do what it is asked for.
        let place = choices.of(&[DATA, DATA, DATA, DATA, READ_ONLY, READ_ONLY - 8, ABSENT - 8]);
        let pieces: &[(u64, u64, u64)] = match self.kind {
            Kind::Rng => &[(place, len, WRITE)],
            Kind::Blk if number == 4 => &[(HEADERS, 16, NEXT), (STATUS_BYTE, 1, WRITE)],
            Kind::Blk => &[(HEADERS, 16, NEXT), (place, len, data | NEXT), (STATUS_BYTE, 1, WRITE)],
            Kind::Console | Kind::Net if queue == 0 => &[(place, len, WRITE)],
            Kind::Console | Kind::Net => &[(HEADERS, 12, NEXT), (place, len, 0)],
        };
        self.write_chain(queue, pieces);
    }

    /// Descriptors one behind the other: where, how many bytes, how.
    fn write_chain(&self, queue: u64, pieces: &[(u64, u64, u64)]) {
        for (index, (at, len, flags)) in (0..).zip(pieces) {
            let words = [*at, len | flags << 32 | (index + 1) << 48];
            self.rig.put(TABLE + NEXT_QUEUE * queue + 16 * index, words.map(u64::to_le_bytes).as_flattened());
        }
    }

    /// One chain or some, or an index that is none; and the doorbell.
    fn offer(&mut self, choices: &mut Choices<'_>) {
        let queue = choices.below(2);
        if !choices.one_in(4) {
            self.ask(queue, choices);
        }
        let half = AVAILABLE + NEXT_QUEUE * queue;
        let Some(offered) = self.offered.get_mut(usize::from(queue == 1)) else { return };
        for _ in 0..=choices.below(3) {
            let head = if choices.one_in(8) { choices.below(SIZE) } else { 0 };
            let head = choices.spoil(head, 64).to_le_bytes();
            self.rig.put(half + 4 + 2 * (u64::from(*offered) % SIZE), &head[..2]);
            *offered = offered.wrapping_add(1);
        }
        let index = choices.spoil((*offered).into(), 64).to_le_bytes();
        // What the driver says about interrupts, now and then: by flags, and by an index.
        if choices.one_in(8) {
            self.rig.put(half, &[choices.byte() & 1, 0]);
            self.rig.put(half + 4 + 2 * SIZE, &[choices.byte(), 0]);
        }
        self.rig.put(half + 2, &index[..2]);
        self.rig.store(NOTIFY + 4 * queue, Width::Word, queue);
        if choices.one_in(2) {
            self.wait();
        }
    }

    /// Gives the device time.
    fn wait(&self) {
        let used = || [USED, USED + NEXT_QUEUE].map(|at| self.rig.half(at + 2));
        let before = used();
        for _ in 0..MOST_LOOKS {
            if used() != before || self.status() & NEEDS_RESET != 0 {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// After a reset a right driver's request is used.
    fn works(&mut self, census: &mut Census) {
        self.reset(census);
        self.rig.configure(COMMAND, Width::Word, WORKING);
        self.start(FEATURES, SIZE, [TABLE, AVAILABLE, USED]);
        let (queue, pieces): (u64, &[(u64, u64, u64)]) = match self.kind {
            Kind::Rng => (0, &[(DATA, 64, WRITE)]),
            Kind::Blk => (0, &[(HEADERS, 16, NEXT), (DATA, 512, WRITE | NEXT), (STATUS_BYTE, 1, WRITE)]),
            Kind::Console => (1, &[(DATA, 64, 0)]),
            Kind::Net => (1, &[(HEADERS, 12, NEXT), (DATA, 64, 0)]),
        };
        self.rig.put(HEADERS, &[0; 16]);
        self.rig.put(STATUS_BYTE, &[0xff]);
        self.write_chain(queue, pieces);
        let half = AVAILABLE + NEXT_QUEUE * queue;
        self.rig.put(half + 4, &[0; 2]);
        self.rig.put(half + 2, &[1, 0]);
        self.rig.store(NOTIFY + 4 * queue, Width::Word, queue);
        self.rig.until("a right request", || self.rig.half(USED + NEXT_QUEUE * queue + 2) == 1);
        let mut status = [0xff];
        self.rig.memory.read_bytes(PhysAddr(STATUS_BYTE), &mut status);
        assert!(self.kind != Kind::Blk || status == [0], "a right request to the disk ends with {status:?}");
        census.note("works again");
    }
}
