//! An interface between a driver, right or hostile, and a cable that a test holds.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::address::MacAddress;
use super::{Losses, Net};
use crate::bus::Width;
use crate::link::bell::Bell;
use crate::link::{FRAME_BYTES, Link, Received, Sent};
use crate::virtio::driver::{BUFFERS, Driver, FEATURES, NEXT, SIZE, TABLE, WRITE};

const RECEIVE: u64 = 0;
const TRANSMIT: u64 = 1;
const PREFIX: u64 = 12;
/// Room for a frame and its prefix.
const ROOM: u32 = 2048;

/// The far end.
#[derive(Clone, Default)]
struct Far(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    sent: Vec<Vec<u8>>,
    /// For the guest; an empty one stands for one that is too long.
    waiting: VecDeque<Vec<u8>>,
    takes_nothing: bool,
}

impl Link for Far {
    fn send(&mut self, frame: &[u8]) -> Sent {
        let mut ends = self.0.lock();
        if ends.takes_nothing {
            return Sent::Lost;
        }
        ends.sent.push(frame.to_vec());
        Sent::Taken
    }

    fn receive(&mut self, room: &mut [u8; FRAME_BYTES]) -> Received {
        match self.0.lock().waiting.pop_front() {
            None => Received::Nothing,
            Some(frame) if frame.is_empty() => Received::Lost,
            Some(frame) => {
                room[..frame.len()].copy_from_slice(&frame);
                Received::Frame(frame.len())
            }
        }
    }

    fn lose(&mut self) -> u64 {
        self.0.lock().waiting.drain(..).count() as u64
    }

    fn wait(&mut self, bell: &Bell) {
        bell.wait();
    }
}

struct Interface {
    driver: Driver,
    far: Far,
    losses: Arc<Losses>,
}

/// A driver that uses queue `queue`.
fn interface(queue: u64) -> Interface {
    let far = Far::default();
    let net = Net::new(Box::new(far.clone()), Bell::new().expect("the host has descriptors"));
    let losses = net.losses();
    let mut driver = Driver::new(Net::identity(MacAddress::local(0)), Box::new(net));
    driver.use_msix();
    driver.begin_queue(queue, FEATURES | 1 << 3 | 1 << 5 | 1 << 16);
    Interface { driver, far, losses }
}

impl Interface {
    /// The far end sends a frame of `len` bytes.
    fn arrive(&self, len: usize) {
        self.far.0.lock().waiting.push_back(vec![5; len]);
        self.driver.rig.device.look();
    }

    fn until_lost(&self, counts: (u64, u64)) {
        self.driver.until("a loss", || self.losses.counts() == counts);
    }
}

#[test]
fn the_configuration_has_address_cable_and_length() {
    let Interface { driver, .. } = interface(RECEIVE);
    assert_eq!(driver.load(0x2000, Width::Dword), 0x1200_5452);
    assert_eq!(driver.load(0x2004, Width::Word), 0x5634);
    // The cable is in, there is one pair of queues, and a packet has 1500 bytes.
    assert_eq!([6, 8, 10].map(|at| driver.load(0x2000 + at, Width::Word)), [1, 1, 1500]);
}

#[test]
fn what_the_guest_sends_arrives_without_its_prefix() {
    let Interface { mut driver, far, losses } = interface(TRANSMIT);
    driver.put(BUFFERS, &[0; 12]);
    driver.put(BUFFERS + PREFIX, &[8; FRAME_BYTES]);
    assert_eq!(driver.request(&[(BUFFERS, 12, 0), (BUFFERS + PREFIX, 60, 0)]), 0);
    assert_eq!(driver.request(&[(BUFFERS, 5, 0), (BUFFERS + 5, 7 + 1518, 0)]), 0);
    assert_eq!(far.0.lock().sent, [vec![8; 60], vec![8; FRAME_BYTES]]);
    assert_eq!(losses.counts(), (0, 0));
}

#[test]
fn what_arrives_is_one_buffer_behind_its_prefix() {
    let mut net = interface(RECEIVE);
    net.driver.describe(TABLE, &[(BUFFERS, 20, WRITE | NEXT, 1), (BUFFERS + 20, ROOM, WRITE, 0)]);
    net.driver.offer(0);
    net.arrive(60);
    assert_eq!(net.driver.used(), (0, 72));
    let mut expected = vec![0; 12];
    expected[10] = 1;
    expected.extend([5; 60]);
    assert_eq!(net.driver.bytes(BUFFERS, 73), [expected, vec![0]].concat());
}

#[test]
fn a_frame_without_a_buffer_is_lost_and_counted_and_the_next_arrives() {
    let mut net = interface(RECEIVE);
    (0..1000).for_each(|_| net.arrive(60));
    net.until_lost((0, 1000));
    net.driver.describe(TABLE, &[(BUFFERS, ROOM, WRITE, 0)]);
    net.driver.offer(0);
    net.arrive(61);
    assert_eq!((net.driver.used(), net.losses.counts()), ((0, 73), (0, 1000)));
}

#[test]
fn a_frame_that_a_buffer_does_not_hold_is_lost_and_the_buffer_is_not() {
    let mut net = interface(RECEIVE);
    net.driver.describe(TABLE, &[(BUFFERS, 100, WRITE, 0)]);
    net.driver.offer(0);
    net.arrive(89);
    net.arrive(0);
    net.until_lost((0, 2));
    net.arrive(88);
    assert_eq!(net.driver.used(), (0, 100));
}

#[test]
fn a_frame_that_is_longer_than_allowed_or_that_nobody_takes_is_lost_and_counted() {
    let mut net = interface(TRANSMIT);
    let longer = u32::try_from(FRAME_BYTES + 1).expect("a frame is short");
    assert_eq!(net.driver.request(&[(BUFFERS, 12, 0), (BUFFERS, longer, 0)]), 0);
    // Nothing of it is looked at, wherever it lies.
    assert_eq!(net.driver.request(&[(BUFFERS, 12, 0), (1 << 40, 1 << 31, 0)]), 0);
    net.far.0.lock().takes_nothing = true;
    assert_eq!(net.driver.request(&[(BUFFERS, 12, 0), (BUFFERS, 60, 0)]), 0);
    assert_eq!((net.losses.counts(), net.far.0.lock().sent.len()), ((3, 0), 0));
}

/// What is offered, and what the prefix begins with.
type Offer = (&'static str, u64, [u8; 2], &'static [(u64, u32, u16)]);

#[test]
fn what_is_no_frame_and_no_room_for_one_breaks_the_device_until_it_is_reset() {
    const HOSTILE: [Offer; 9] = [
        ("no prefix", TRANSMIT, [0, 0], &[(BUFFERS, 11, 0)]),
        ("no frame", TRANSMIT, [0, 0], &[(BUFFERS, 12 + 13, 0)]),
        ("to be written", TRANSMIT, [0, 0], &[(BUFFERS, 80, WRITE)]),
        ("to be written behind", TRANSMIT, [0, 0], &[(BUFFERS, 80, 0), (BUFFERS, 80, WRITE)]),
        ("a checksum", TRANSMIT, [1, 0], &[(BUFFERS, 80, 0)]),
        ("segments", TRANSMIT, [0, 1], &[(BUFFERS, 80, 0)]),
        ("nowhere", TRANSMIT, [0, 0], &[(BUFFERS, 12, 0), (1 << 40, 60, 0)]),
        ("to be read", RECEIVE, [0, 0], &[(BUFFERS, ROOM, 0)]),
        ("no room", RECEIVE, [0, 0], &[(BUFFERS, 25, WRITE)]),
    ];
    for (what, queue, prefix, pieces) in HOSTILE {
        let mut net = interface(queue);
        net.driver.put(BUFFERS, &prefix);
        let last = pieces.len() - 1;
        let chained = (0..).zip(pieces).map(|(index, (at, len, flags)): (u16, _)| {
            let next = if usize::from(index) < last { NEXT } else { 0 };
            (*at, *len, flags | next, index + 1)
        });
        net.driver.describe(TABLE, &chained.collect::<Vec<_>>());
        net.driver.offer(0);
        net.driver.breaks();
        assert!(net.far.0.lock().sent.is_empty(), "{what}");
        net.driver.reset();
        net.driver.begin_queue(TRANSMIT, FEATURES);
        net.driver.put(BUFFERS, &[0; 80]);
        net.driver.request(&[(BUFFERS, 80, 0)]);
        assert_eq!(net.far.0.lock().sent, [vec![0; 68]], "{what}");
    }
}

#[test]
fn an_index_that_jumps_breaks_the_device_whichever_queue_it_is_of() {
    for queue in [RECEIVE, TRANSMIT] {
        let net = interface(queue);
        net.driver.put(crate::virtio::driver::AVAILABLE + 2, &(SIZE + 1).to_le_bytes());
        net.driver.ring();
        net.driver.breaks();
    }
}

#[test]
fn a_buffer_of_one_driver_is_not_written_for_the_next() {
    let mut net = interface(RECEIVE);
    net.driver.describe(TABLE, &[(BUFFERS, ROOM, WRITE, 0)]);
    net.driver.offer(0);
    net.arrive(60);
    net.driver.used();
    net.driver.offer(0);
    // When this is lost the device has the buffer in hand.
    net.arrive(0);
    net.until_lost((0, 1));
    net.driver.reset();
    net.driver.begin_queue(RECEIVE, FEATURES);
    net.driver.put(BUFFERS, &[0xee; 80]);
    net.arrive(60);
    net.until_lost((0, 2));
    assert_eq!(net.driver.bytes(BUFFERS, 80), [0xee; 80]);
}

#[test]
fn a_machine_that_ends_waits_for_no_cable() {
    let net = interface(RECEIVE);
    net.arrive(60);
    drop(net.driver);
    assert_eq!(Arc::strong_count(&net.far.0), 1, "the device is gone, and its thread");
}
