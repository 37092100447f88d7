//! Requests to virtio devices: through the unit as a strict driver has it, against the same without a unit.
//!
//! Invariant: what is read differs from block to block, and an answer is looked at, so nobody can do less and look right.
//! Each request finds the device's thread asleep, as one after a pause does: otherwise the driver that does nothing
//! between two requests would keep the thread awake, and the other would not.

use std::fs::File;
use std::hint::{black_box, spin_loop};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use devices::link::bell::Bell;
use devices::user_network::UserNetwork;
use devices::user_network::address::{GATEWAY, GUEST, Reach};
use devices::virtio::blk::Blk;
use devices::virtio::blk::disk::{Access, Disk};
use devices::virtio::net::Net;
use devices::virtio::net::address::MacAddress;
use iommu::stale::watch::StaleOptions;
use tests_support::measure::round::{Row, Turn, Unit};
use tests_support::measure::target::Held;

use crate::Run;
use crate::guest::{Behind, Buffer, FREE, Guest};
use crate::unit::WATCHED;

/// VERSION_1 and ACCESS_PLATFORM.
const FEATURES: u64 = 1 << 32 | 1 << 33;
const FLUSH: u64 = 1 << 9;
/// Longer than a thread takes to find that there is nothing to do.
const UNTIL_ASLEEP: Duration = Duration::from_micros(100);
const BLOCKS: u64 = 1024;
const BLOCK_BYTES: u32 = 4096;
const SECTORS_OF_BLOCK: u64 = 8;
const HEADER: Buffer = Buffer { page: FREE, len_bytes: 16, is_written: false };
const STATUS: Buffer = Buffer { page: FREE + 1, len_bytes: 1, is_written: true };
const DATA: Buffer = Buffer { page: FREE + 2, len_bytes: BLOCK_BYTES, is_written: true };
/// Before each frame.
const PREFIX_BYTES: usize = 12;
const ARP_BYTES: usize = 42;
const FRAME_BYTES: u32 = 54;
const _: () = assert!(FRAME_BYTES as usize == PREFIX_BYTES + ARP_BYTES, "a frame has both");
const ROOM: Buffer = Buffer { page: FREE, len_bytes: 2048, is_written: true };
const FRAME: Buffer = Buffer { page: FREE + 1, len_bytes: FRAME_BYTES, is_written: false };

/// Strict: 0.7 of what there is without a unit.
const STRICT: Held = Held::Within { must: 1.0 / 0.7, stretch: 1.0 / 0.9 };
const REPORT: Held = Held::Within { must: 1.3, stretch: 1.15 };

pub(crate) fn run(run: &mut Run) {
    for (what, make) in [
        ("virtio-blk 4 KiB random read, strict", reads as fn(Behind, usize) -> Box<dyn FnMut() -> Turn>),
        ("virtio-net ARP request and answer, strict", answers),
    ] {
        let count = run.effort.pick(500, 4);
        let row = Row::new(what, Unit::Nanoseconds, make(Behind::Unit(StaleOptions::default()), count))
            .against("ours, no unit", STRICT, make(Behind::Nothing, count));
        run.rows.push(row.run(run.effort));
        let row =
            Row::new(format!("{what}, report on"), Unit::Nanoseconds, make(Behind::Unit(WATCHED), count))
                .against("ours, report off", REPORT, make(Behind::Unit(StaleOptions::default()), count));
        run.rows.push(row.run(run.effort));
    }
}

/// The first word of each block is its own.
fn disk() -> Disk {
    let file = rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).map(File::from);
    let file = file.expect("the host has a file in memory");
    let bytes = BLOCKS * u64::from(BLOCK_BYTES);
    file.set_len(bytes).expect("a file can be long");
    for block in 0..BLOCKS {
        let word = (block + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        file.write_all_at(&word, block * u64::from(BLOCK_BYTES)).expect("the file has room");
    }
    Disk::new(file, bytes, "disk".to_owned(), Access::ReadWrite, "bench").expect("whole sectors")
}

fn reads(behind: Behind, count: usize) -> Box<dyn FnMut() -> Turn> {
    let disk = Arc::new(disk());
    let mut guest = Guest::new(Blk::identity(&disk), Blk::models(disk), behind, 1, FEATURES | FLUSH);
    let mut random = fastrand::Rng::with_seed(1);
    let blocks: Vec<u64> = (0..count).map(|_| random.u64(0..BLOCKS)).collect();
    Box::new(move || apart(blocks.iter(), |block| read(&mut guest, *block)))
}

/// One request for each of `these`, with a pause before it that is not timed.
fn apart<T>(these: impl ExactSizeIterator<Item = T>, mut request: impl FnMut(T) -> u64) -> Turn {
    let (operations, mut took, mut checksum) = (these.len() as u64, Duration::ZERO, 0_u64);
    for this in these {
        let paused = Instant::now();
        while paused.elapsed() < UNTIL_ASLEEP {
            spin_loop();
        }
        let began = Instant::now();
        checksum = checksum.wrapping_add(black_box(request(this)));
        took += began.elapsed();
    }
    Turn { took, operations, checksum }
}

/// The first word of a block.
fn read(guest: &mut Guest, block: u64) -> u64 {
    let mut header = [0; 16];
    header[8..].copy_from_slice(&(block * SECTORS_OF_BLOCK).to_le_bytes());
    guest.put(HEADER.page, 0, &header);
    guest.put(STATUS.page, 0, &[0xff]);
    let chain = [HEADER, DATA, STATUS];
    guest.offer(0, 0, &chain);
    guest.take_back(0, &chain);
    assert_eq!(guest.bytes(STATUS.page, 0), [0], "the disk reads");
    u64::from_le_bytes(guest.bytes(DATA.page, 0))
}

fn answers(behind: Behind, count: usize) -> Box<dyn FnMut() -> Turn> {
    let bell = Bell::new().expect("the host has a descriptor");
    let address = MacAddress::local(1);
    let net = Box::new(Net::new(Box::new(UserNetwork::new(Reach::None)), bell));
    let mut guest = Guest::new(Net::identity(address), net.into(), behind, 2, FEATURES);
    Box::new(move || apart(0..count, |_| ask(&mut guest)))
}

/// Who has the gateway's address (RFC 826); the sum of the answer's bytes.
fn ask(guest: &mut Guest) -> u64 {
    let mut frame = [0; PREFIX_BYTES + ARP_BYTES];
    let (_, arp) = frame.split_at_mut(PREFIX_BYTES);
    arp[..6].fill(0xff);
    arp[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    arp[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    arp[28..32].copy_from_slice(&GUEST.octets());
    arp[38..42].copy_from_slice(&GATEWAY.octets());
    guest.put(FRAME.page, 0, &frame);
    guest.put(ROOM.page, 0, &[0; PREFIX_BYTES + ARP_BYTES]);
    guest.offer(0, 0, &[ROOM]);
    guest.offer(1, 0, &[FRAME]);
    guest.take_back(1, &[FRAME]);
    guest.take_back(0, &[ROOM]);
    let answer: [u8; PREFIX_BYTES + ARP_BYTES] = guest.bytes(ROOM.page, 0);
    assert_eq!(answer[PREFIX_BYTES + 20..PREFIX_BYTES + 22], [0, 2], "an answer");
    assert_eq!(answer[PREFIX_BYTES + 28..PREFIX_BYTES + 32], GATEWAY.octets(), "of the gateway's");
    answer.iter().copied().map(u64::from).sum()
}
