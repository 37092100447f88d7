//! Drivers that write at random, from what is at the edges: each device works again after a reset.
//!
//! Invariant: the numbers come from the round's own, which a failure names.

use std::fs::File;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::bus::Width;
use crate::virtio::blk::Blk;
use crate::virtio::blk::disk::{Access, Disk};
use crate::virtio::console::{Console, UserEnd};
use crate::virtio::driver::{
    AVAILABLE, BUFFERS, DRIVER_OK, Driver, EVENT_INDEX, FEATURES, FEATURES_OK, INDIRECT, NEEDS_RESET, NEXT,
    SIZE, TABLE, USED, WRITE,
};

const ROUNDS: u64 = 300;
const END: u64 = 1 << 20;
const PLACES: [u64; 13] = [
    TABLE,
    AVAILABLE,
    USED,
    INDIRECT,
    BUFFERS,
    BUFFERS + 0xff8,
    0,
    END - 16,
    END - 4,
    END,
    0xfee0_0000,
    u64::MAX - 15,
    u64::MAX - 3,
];
const LENGTHS: [u32; 13] = [0, 1, 15, 16, 17, 32, 272, 512, 513, 4096, 0x1_0000, u32::MAX - 1, u32::MAX];
/// Of requests to a disk, known and unknown.
const KINDS: [u32; 8] = [0, 1, 4, 8, 11, 13, 2, u32::MAX];
const SECTORS: [u64; 5] = [0, 1, 63, 64, u64::MAX];

/// Numbers that look random (SplitMix64), also from beginnings that are alike.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let end = u64::try_from(from.len()).expect("a short list");
        from[usize::try_from(self.below(end)).expect("below it")]
    }

    fn word(&mut self) -> u16 {
        u16::try_from(self.below(1 << 16)).expect("16 bits")
    }
}

/// Puts tables, a ring and the beginning of a request into memory.
fn spoil(driver: &Driver, random: &mut Random) {
    for table in [TABLE, INDIRECT] {
        let entries: Vec<_> = (0..=SIZE)
            .map(|_| {
                let (flags, next) = (random.below(8), random.below(u64::from(SIZE) + 2));
                let short = |value| u16::try_from(value).expect("it is small");
                (random.pick(&PLACES), random.pick(&LENGTHS), short(flags), short(next))
            })
            .collect();
        driver.describe(table, &entries);
    }
    for slot in 0..u64::from(SIZE) {
        let head = if random.below(16) == 0 { random.word() } else { random.word() % SIZE };
        driver.put(AVAILABLE + 4 + 2 * slot, &head.to_le_bytes());
    }
    if random.below(3) == 0 {
        // The first chain is one; its beginning is what a disk reads, its rest what devices write.
        let len = random.pick(&[1, 513, 4097]);
        driver.describe(TABLE, &[(BUFFERS, 16, NEXT, 1), (BUFFERS + 0x2000, len, WRITE, 0)]);
        driver.put(AVAILABLE + 4, &[0, 0]);
    }
    let offered = if random.below(8) == 0 { random.word() } else { random.word() % (SIZE + 1) };
    driver.put(AVAILABLE + 2, &offered.to_le_bytes());
    driver.put(BUFFERS, &random.pick(&KINDS).to_le_bytes());
    driver.put(BUFFERS + 8, &random.pick(&SECTORS).to_le_bytes());
}

/// Writes registers at any time, most of them where something is.
fn disturb(driver: &Driver, random: &mut Random) {
    for _ in 0..random.below(8) {
        let width = random.pick(&[Width::Byte, Width::Word, Width::Dword, Width::Qword]);
        let part = random.pick(&[0, 0, 0, 0x1000, 0x2000, 0x3000, 0x3000, 0x4000, 0x5000]);
        let value = random.pick(&[0, 1, SIZE.into(), 0xffff, u64::MAX, random.0]);
        driver.store(part + random.below(0x40), width, value);
        driver.load(part + random.below(0x40), width);
    }
}

/// A device, its queue that is used, a request that it serves, and how many bytes it writes for that.
fn survives(mut driver: Driver, queue: u64, request: &[(u64, u32, u16)], written: u32) {
    driver.use_msix();
    let (mut broken, mut served) = (0, 0);
    for round in 1..=ROUNDS {
        let mut random = Random(round);
        driver.reset();
        let features = FEATURES | random.pick(&[0, EVENT_INDEX]);
        if random.below(4) > 0 {
            driver.begin_queue(queue, features);
        } else {
            driver.negotiate(features);
            driver.store(0x16, Width::Word, queue);
            for offset in [0x20, 0x28, 0x30] {
                driver.store(offset, Width::Qword, random.pick(&PLACES));
            }
            driver.store(0x18, Width::Word, random.pick(&[SIZE.into(), 0, 1, 3, 64, 0x8000]));
            driver.store(0x1c, Width::Word, 1);
            driver.store(0x14, Width::Byte, 3 | FEATURES_OK | DRIVER_OK);
        }
        spoil(&driver, &mut random);
        driver.ring();
        match outcome(&driver) {
            Some(Outcome::Broken) => broken += 1,
            Some(Outcome::Served) => served += 1,
            None => {}
        }
        disturb(&driver, &mut random);
        driver.reset();
        driver.use_msix();
        driver.begin_queue(queue, FEATURES);
        driver.put(BUFFERS, &[0; 16]);
        assert_eq!(driver.request(request), written, "round {round}");
    }
    assert!(broken > 0 && served > 0, "{broken} rounds broke it, {served} were served");
}

/// What a device makes of what it is given.
enum Outcome {
    Broken,
    Served,
}

/// What it does soon, if anything.
fn outcome(driver: &Driver) -> Option<Outcome> {
    for _ in 0..20 {
        if driver.status() & NEEDS_RESET != 0 {
            return Some(Outcome::Broken);
        }
        if driver.word(USED + 2) != 0 {
            return Some(Outcome::Served);
        }
        thread::sleep(Duration::from_micros(500));
    }
    None
}

#[test]
fn a_source_of_entropy() {
    survives(super::fresh(), 0, &[(BUFFERS + 0x2000, 8, WRITE)], 8);
}

#[test]
fn a_disk() {
    let path = std::env::temp_dir().join(format!("afterimage-blk-random-{}", std::process::id()));
    File::create(&path).expect("there is room").set_len(64 * 512).expect("there is room");
    let file = File::options().read(true).write(true).open(&path).expect("it is ours");
    std::fs::remove_file(&path).expect("it is ours");
    let disk = Disk::new(file, 64 * 512, "random".to_owned(), Access::ReadWrite, "").expect("64 sectors");
    let disk = Arc::new(disk);
    let driver = Driver::new(Blk::identity(&disk), Blk::models(disk));
    survives(driver, 0, &[(BUFFERS, 16, 0), (BUFFERS + 0x2000, 513, WRITE)], 513);
}

#[test]
fn a_console_that_speaks() {
    let user = UserEnd::new(Box::new(std::io::sink()));
    let driver = Driver::new(Console::identity(), Box::new(Console::new(user)));
    survives(driver, 1, &[(BUFFERS, 16, 0)], 0);
}
