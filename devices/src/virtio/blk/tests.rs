//! Requests to a disk, and what becomes of the file.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;

use super::Blk;
use super::disk::{Access, Disk};
use crate::bus::Width;
use crate::virtio::driver::{BUFFERS, Driver, FEATURES, WRITE};

const FLUSH: u64 = 1 << 9;
const HEADER: u64 = BUFFERS;
const STATUS: u64 = BUFFERS + 0x800;
const DATA: u64 = BUFFERS + 0x1000;
const SECTORS: u64 = 2048;

/// A disk of [`SECTORS`] and its driver.
struct Rig {
    path: PathBuf,
    driver: Driver,
}

impl Rig {
    fn new(name: &str, access: Access) -> Self {
        Self::sized(name, access, SECTORS)
    }

    fn sized(name: &str, access: Access, sectors: u64) -> Self {
        let path = env::temp_dir().join(format!("afterimage-blk-{name}-{}", process::id()));
        File::create(&path).unwrap().set_len(sectors * 512).unwrap();
        let file = File::options().read(true).write(access == Access::ReadWrite).open(&path).unwrap();
        let disk = Arc::new(Disk::new(file, sectors * 512, name.to_owned(), access, "number-1").unwrap());
        let models = Blk::models(Arc::clone(&disk));
        Self { path, driver: Driver::ready(Blk::identity(&disk), models, FEATURES | FLUSH) }
    }

    /// A request; the status.
    fn ask(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) -> u8 {
        let mut header = kind.to_le_bytes().to_vec();
        header.extend([0; 4]);
        header.extend(sector.to_le_bytes());
        self.driver.put(HEADER, &header);
        self.driver.put(STATUS, &[0xee]);
        let pieces: Vec<_> =
            [(HEADER, 16, 0)].into_iter().chain(data.iter().copied()).chain([(STATUS, 1, WRITE)]).collect();
        self.driver.request(&pieces);
        self.driver.bytes(STATUS, 1)[0]
    }

    /// Discards, or zeroes, a run of sectors.
    fn change(&mut self, kind: u32, sector: u64, sectors: u32, flags: u32) -> u8 {
        let mut segment = sector.to_le_bytes().to_vec();
        segment.extend(sectors.to_le_bytes());
        segment.extend(flags.to_le_bytes());
        self.driver.put(DATA, &segment);
        self.ask(kind, 0, &[(DATA, 16, 0)])
    }

    fn file(&self) -> File {
        File::open(&self.path).unwrap()
    }

    fn in_file(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file().read_exact_at(&mut bytes, at).unwrap();
        bytes
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap();
    }
}

#[test]
fn it_says_how_large_it_is_and_what_it_can() {
    let rig = Rig::new("config", Access::ReadOnly);
    assert_eq!(rig.driver.load(0x2000, Width::Qword), SECTORS);
    assert_eq!(rig.driver.load(0x2014, Width::Dword), 512);
    rig.driver.store(0, Width::Dword, 0);
    assert_eq!(
        rig.driver.load(4, Width::Dword) & 0x7fff,
        1 << 14 | 1 << 13 | 1 << 12 | 1 << 9 | 1 << 6 | 1 << 5 | 1 << 2
    );
    assert_eq!((rig.driver.load(0x2022, Width::Word), rig.driver.load(0x12, Width::Word)), (4, 4), "queues");
}

#[test]
fn what_is_written_is_read_again_wherever_its_buffers_are_split() {
    let mut rig = Rig::new("split", Access::ReadWrite);
    let bytes: Vec<u8> = (0..1024_u32).map(|at| at.to_le_bytes()[0] ^ 0x5a).collect();
    rig.driver.put(DATA, &bytes);
    assert_eq!(rig.ask(1, 7, &[(DATA, 1, 0), (DATA + 1, 600, 0), (DATA + 601, 423, 0)]), 0);
    assert_eq!(rig.in_file(7 * 512, 1024), bytes);
    let there = DATA + 0x8ff3;
    assert_eq!(rig.ask(0, 7, &[(there, 1000, WRITE), (there + 1000, 24, WRITE)]), 0);
    assert_eq!(rig.driver.bytes(there, 1024), bytes);
}

#[test]
fn a_request_longer_than_the_devices_buffer_is_done_in_pieces() {
    let mut rig = Rig::new("long", Access::ReadWrite);
    let bytes: Vec<u8> = (0..0x3_0000_u32).map(|at| (at / 512).to_le_bytes()[0]).collect();
    rig.driver.put(DATA, &bytes);
    assert_eq!(rig.ask(1, 0, &[(DATA, 0x3_0000, 0)]), 0);
    assert_eq!(rig.in_file(0, bytes.len()), bytes);
    rig.driver.put(DATA, &vec![0; bytes.len()]);
    assert_eq!(rig.ask(0, 0, &[(DATA, 0x3_0000, WRITE)]), 0);
    assert_eq!(rig.driver.bytes(DATA, bytes.len()), bytes);
}

#[test]
fn every_queue_reads_and_writes_the_same_disk() {
    let mut rig = Rig::new("queues", Access::ReadWrite);
    rig.driver.reset();
    rig.driver.begin_queues(&[0, 1, 2, 3], FEATURES | FLUSH);
    for queue in 0..4_u8 {
        rig.driver.turn_to(queue.into());
        rig.driver.put(DATA, &[queue + 1; 512]);
        assert_eq!((rig.ask(1, queue.into(), &[(DATA, 512, 0)]), rig.ask(4, 0, &[])), (0, 0));
    }
    for queue in 0..4_u8 {
        rig.driver.turn_to(queue.into());
        let other = 3 - queue;
        assert_eq!(rig.ask(0, other.into(), &[(DATA, 512, WRITE)]), 0);
        assert_eq!(rig.driver.bytes(DATA, 512), [other + 1; 512]);
    }
}

#[test]
fn data_that_goes_the_wrong_way_is_an_error_and_moves_nothing() {
    let mut rig = Rig::new("wrong-way", Access::ReadWrite);
    rig.driver.put(DATA, &[0x77; 1024]);
    assert_eq!(rig.ask(1, 1, &[(DATA, 512, 0)]), 0, "the right way");
    // Alone, and behind a buffer that goes the right way: to read into, to write from, to be told a name in, to name
    // what to discard.
    for (kind, right, wrong) in [(0, WRITE, 0), (1, 0, WRITE), (8, WRITE, 0), (11, 0, WRITE), (13, 0, WRITE)]
    {
        assert_eq!(rig.ask(kind, 1, &[(DATA, 512, wrong)]), 1, "{kind}");
        let both = [(DATA, 512, right), (DATA + 512, 512, wrong)];
        if right != WRITE {
            assert_eq!(rig.ask(kind, 1, &both), 1, "{kind}, both ways");
        }
        assert_eq!(rig.driver.bytes(DATA, 1024), [0x77; 1024], "{kind}");
        assert_eq!(rig.in_file(512, 512), [0x77; 512], "{kind}");
        assert_eq!(rig.in_file(1024, 512), [0; 512], "{kind}");
    }
}

#[test]
fn header_and_status_may_share_buffers_with_the_data() {
    let mut rig = Rig::new("framing", Access::ReadWrite);
    let mut header = [0; 16];
    header[8] = 3;
    rig.driver.put(HEADER, &header);
    rig.driver.put(DATA, &[0xee; 513]);
    let written = rig.driver.request(&[(HEADER, 7, 0), (HEADER + 7, 9, 0), (DATA, 513, WRITE)]);
    assert_eq!((written, rig.driver.bytes(DATA, 513)), (513, vec![0; 513]));
}

#[test]
fn what_lies_beyond_the_disk_is_refused_and_so_is_part_of_a_sector() {
    let mut rig = Rig::new("beyond", Access::ReadWrite);
    for (sector, len) in
        [(SECTORS, 512), (SECTORS - 1, 1024), (u64::MAX, 512), (u64::MAX - 1, 1024), (0, 511), (0, 1)]
    {
        assert_eq!(rig.ask(0, sector, &[(DATA, len, WRITE)]), 1, "read of {len} bytes at {sector}");
        assert_eq!(rig.ask(1, sector, &[(DATA, len, 0)]), 1, "write of {len} bytes at {sector}");
    }
    assert_eq!(rig.ask(0, SECTORS - 1, &[(DATA, 512, WRITE)]), 0);
    assert_eq!(rig.file().metadata().unwrap().len(), SECTORS * 512, "no file grows");
}

#[test]
fn nobody_changes_a_disk_that_is_read_only() {
    let mut rig = Rig::new("ro", Access::ReadOnly);
    rig.driver.put(DATA, &[7; 512]);
    assert_eq!(rig.ask(1, 0, &[(DATA, 512, 0)]), 1);
    assert_eq!((rig.change(11, 0, 8, 0), rig.change(13, 0, 8, 0)), (1, 1));
    assert_eq!(rig.ask(0, 0, &[(DATA, 512, WRITE)]), 0);
    assert_eq!(rig.driver.bytes(DATA, 512), [0; 512]);
}

#[test]
fn nobody_changes_a_disk_that_is_read_only_although_its_file_is_not() {
    let mut rig = Rig::new("ro-file", Access::ReadWrite);
    let file = File::options().read(true).write(true).open(&rig.path).unwrap();
    let disk = Disk::new(file, SECTORS * 512, "ro-file".to_owned(), Access::ReadOnly, "").unwrap();
    let (identity, disk) = (Blk::identity(&disk), Arc::new(disk));
    rig.driver = Driver::ready(identity, Blk::models(disk), FEATURES | FLUSH);
    File::options().write(true).open(&rig.path).unwrap().write_all_at(&[7; 4096], 0).unwrap();
    assert_eq!(
        (rig.ask(1, 0, &[(DATA, 512, 0)]), rig.change(11, 0, 8, 0), rig.change(13, 0, 8, 1)),
        (1, 1, 1)
    );
    assert_eq!(rig.in_file(0, 4096), [7; 4096]);
}

#[test]
fn a_write_lasts_when_it_is_acknowledged_unless_its_driver_flushes() {
    for (features, write) in [(FEATURES, 1), (FEATURES | FLUSH, 0)] {
        let mut rig = Rig::new("through", Access::ReadWrite);
        // It takes what is written, and cannot be flushed.
        let file = File::options().read(true).write(true).open("/dev/zero").unwrap();
        let disk = Disk::new(file, SECTORS * 512, "zero".to_owned(), Access::ReadWrite, "").unwrap();
        let (identity, disk) = (Blk::identity(&disk), Arc::new(disk));
        rig.driver = Driver::ready(identity, Blk::models(disk), features);
        assert_eq!(rig.ask(1, 0, &[(DATA, 512, 0)]), write, "{features:#x}");
        assert_eq!(rig.ask(4, 0, &[]), 1);
    }
}

#[test]
fn more_runs_or_longer_ones_than_it_says_are_refused() {
    let mut rig = Rig::sized("runs", Access::ReadWrite, 1 << 17);
    let most = rig.driver.load(0x2034, Width::Dword);
    for (runs, status) in [(most, 0), (most + 1, 1)] {
        for run in 0..runs {
            rig.driver.put(DATA + 16 * run, &[&run.to_le_bytes()[..], &[1, 0, 0, 0, 1, 0, 0, 0]].concat());
        }
        let len_bytes = u32::try_from(16 * runs).unwrap();
        assert_eq!(rig.ask(13, 0, &[(DATA, len_bytes, 0)]), status, "{runs} runs");
    }
    let longest = u32::try_from(rig.driver.load(0x2030, Width::Dword)).unwrap();
    assert_eq!((rig.change(13, 0, longest, 1), rig.change(13, 0, longest + 1, 1)), (0, 1));
}

#[test]
fn it_says_its_number_and_refuses_what_it_does_not_know() {
    let mut rig = Rig::new("number", Access::ReadWrite);
    assert_eq!(rig.ask(8, 0, &[(DATA, 20, WRITE)]), 0);
    assert_eq!(rig.driver.bytes(DATA, 20), *b"number-1\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!((rig.ask(2, 0, &[]), rig.ask(14, 0, &[]), rig.ask(u32::MAX, 0, &[])), (2, 2, 2));
    assert_eq!(rig.ask(4, 0, &[]), 0);
}

#[test]
fn what_is_discarded_is_a_hole_and_what_is_zeroed_reads_as_zeroes() {
    let mut rig = Rig::new("holes", Access::ReadWrite);
    rig.driver.put(DATA, &[7; 0x8000]);
    assert_eq!(rig.ask(1, 0, &[(DATA, 0x8000, 0)]), 0);
    assert_eq!(rig.ask(4, 0, &[]), 0);
    let before = rig.file().metadata().unwrap().blocks();
    assert_eq!(rig.change(13, 8, 3, 0), 0);
    assert_eq!((rig.in_file(8 * 512, 1536), rig.in_file(11 * 512, 512)), (vec![0; 1536], vec![7; 512]));
    assert_eq!(rig.change(13, 16, 8, 1), 0);
    assert_eq!((rig.in_file(16 * 512, 4096), rig.in_file(24 * 512, 512)), (vec![0; 4096], vec![7; 512]));
    assert_eq!(rig.change(11, 32, 32, 0), 0);
    assert!(rig.file().metadata().unwrap().blocks() < before || before == 0);
    for (kind, sector, sectors, flags, status) in [
        (11, 0, 1, 1, 2),
        (13, 0, 1, 2, 2),
        (11, SECTORS, 1, 0, 1),
        (13, 0, u32::MAX, 0, 1),
        (13, u64::MAX, 1, 0, 1),
    ] {
        assert_eq!(rig.change(kind, sector, sectors, flags), status, "{kind} {sector} {sectors} {flags}");
    }
    assert_eq!((rig.ask(11, 0, &[]), rig.ask(11, 0, &[(DATA, 15, 0)])), (1, 1));
}

#[test]
fn a_file_that_became_shorter_is_an_error_of_the_disk() {
    let mut rig = Rig::new("shorter", Access::ReadWrite);
    File::options().write(true).open(&rig.path).unwrap().set_len(512).unwrap();
    assert_eq!(rig.ask(0, 0, &[(DATA, 512, WRITE)]), 0);
    assert_eq!(rig.ask(0, 8, &[(DATA, 512, WRITE)]), 1);
}

#[test]
fn a_full_host_is_an_error_of_the_disk_and_no_end() {
    let path = env::temp_dir().join(format!("afterimage-blk-full-{}", process::id()));
    // Writes to it find no room, whatever is free.
    let Ok(file) = File::options().read(true).write(true).open("/dev/full") else { return };
    let disk = Arc::new(Disk::new(file, SECTORS * 512, "full".to_owned(), Access::ReadWrite, "").unwrap());
    let models = Blk::models(Arc::clone(&disk));
    File::create(&path).unwrap();
    let mut rig = Rig { path, driver: Driver::ready(Blk::identity(&disk), models, FEATURES | FLUSH) };
    for _ in 0..3 {
        assert_eq!(rig.ask(1, 0, &[(DATA, 512, 0)]), 1);
    }
    assert_eq!(rig.ask(0, 0, &[(DATA, 512, WRITE)]), 0, "and it can still be read");
    assert_eq!(rig.ask(4, 0, &[]), 1, "such a file cannot be flushed");
    assert_eq!(rig.ask(4, 0, &[]), 1);
}
