//! A device with a thread for each of its queues.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::Duration;

use parking_lot::Mutex;

use crate::bus::Width;
use crate::pci::Function;
use crate::virtio::broken::Broken;
use crate::virtio::core::Next;
use crate::virtio::driver::{
    AVAILABLE, BUFFERS, Driver, FEATURES, NEEDS_RESET, RING_BYTES, TABLE, USED, WRITE,
};
use crate::virtio::identity::Identity;
use crate::virtio::model::{Model, Models};
use crate::virtio::rng::Rng;
use crate::virtio::service::Queues;

/// One of a device's queues: it takes a chain, and gives it back when it is let.
struct Held {
    queue: usize,
    did: Sender<Did>,
    goes: Arc<Mutex<Receiver<()>>>,
}

/// What a thread did, on a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Did {
    /// It has a chain.
    Take(usize),
    /// It has found no more.
    Leave(usize),
}

/// What a test says to the threads, and hears of them.
struct Reins {
    did: Receiver<Did>,
    go: Vec<Sender<()>>,
}

impl Model for Held {
    fn start(&mut self, _: u64) {}

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while let Some(chain) = queues.take(self.queue)? {
            // Who ends the test hears nothing, and lets everybody go.
            let _is_heard = self.did.send(Did::Take(self.queue));
            let _goes = self.goes.lock().recv();
            queues.give_back(self.queue, &chain, 8)?;
        }
        let _is_heard = self.did.send(Did::Leave(self.queue));
        Ok(())
    }
}

fn identity() -> Identity {
    Identity { queues: vec![16; 3], ..Rng::identity() }
}

/// A driver that uses the first and the last of three queues.
fn held() -> (Driver, Reins) {
    let (does, did) = channel();
    let (go, goes): (Vec<_>, Vec<_>) = (0..3).map(|_| channel()).unzip();
    let goes: Vec<_> = goes.into_iter().map(|goes| Arc::new(Mutex::new(goes))).collect();
    let make = move |queue: usize| -> Box<dyn Model> {
        Box::new(Held { queue, did: does.clone(), goes: Arc::clone(&goes[queue]) })
    };
    let mut driver = Driver::new(identity(), Models::ForEach(Box::new(make)));
    driver.use_msix();
    begin(&mut driver);
    (driver, Reins { did, go })
}

fn begin(driver: &mut Driver) {
    driver.begin_queues(&[0, 2], FEATURES);
    for ring in [0, 1] {
        driver.describe(TABLE + ring * RING_BYTES, &[(BUFFERS, 8, WRITE, 0)]);
    }
}

impl Reins {
    /// Waits for it. Nothing else is taken before.
    fn waits_for(&self, wanted: Did) {
        loop {
            match self.did.recv_timeout(Duration::from_secs(60)) {
                Ok(did) if did == wanted => return,
                Ok(Did::Leave(_)) => {}
                other => panic!("{other:?} where {wanted:?} should be"),
            }
        }
    }

    fn takes(&self, queue: usize) {
        self.waits_for(Did::Take(queue));
    }

    fn go(&self, queue: usize) {
        self.go[queue].send(()).expect("the device waits");
    }
}

#[test]
fn a_request_that_waits_holds_up_no_other_queue() {
    let (mut driver, reins) = held();
    driver.offer(0);
    reins.takes(0);
    // There is no such doorbell.
    driver.store(0x300c, Width::Word, 3);
    assert_eq!(driver.rig.device.core.thread_of(3), None);
    driver.turn_to(1);
    for _ in 0..20 {
        driver.offer(0);
        reins.takes(2);
        reins.go(2);
        assert_eq!(driver.used(), (0, 8));
    }
    driver.turn_to(0);
    assert_eq!(driver.used_index(), 0, "the first one waits still");
    reins.go(0);
    assert_eq!(driver.used(), (0, 8));
}

#[test]
fn a_doorbell_that_somebody_else_rings_wakes_the_thread_of_its_queue() {
    let (driver, reins) = held();
    for (round, queue, shift) in [(1_u16, 2, RING_BYTES), (1, 0, 0), (2, 2, RING_BYTES)] {
        driver.put(AVAILABLE + shift + 2, &round.to_le_bytes());
        let doorbells = driver.rig.device.doorbells();
        let own = doorbells.iter().find(|doorbell| doorbell.offset == 0x3000 + 4 * queue as u64);
        own.expect("the driver has enabled it").bell.ring();
        reins.takes(queue);
        reins.go(queue);
    }
}

#[test]
fn what_was_offered_before_a_driver_began_is_found_on_every_queue() {
    let (mut driver, reins) = held();
    driver.reset();
    driver.put(AVAILABLE + RING_BYTES + 2, &1_u16.to_le_bytes());
    // Until the threads sleep, so that they have to be woken; nothing fails if that takes longer.
    sleep(Duration::from_millis(50));
    begin(&mut driver);
    reins.takes(2);
    reins.go(2);
    driver.turn_to(1);
    assert_eq!(driver.used(), (0, 8));
}

#[test]
fn a_reset_is_over_when_the_last_thread_has_left() {
    for order in [[0, 2], [2, 0]] {
        let (mut driver, reins) = held();
        driver.offer(0);
        reins.takes(0);
        driver.turn_to(1);
        driver.offer(0);
        reins.takes(2);
        driver.store(0x14, Width::Byte, 0);
        assert_ne!(driver.status(), 0, "two threads are at work");
        reins.go(order[0]);
        // Longer than a reset holds its driver up.
        driver.until("the first to leave", || {
            let first = &driver.rig.device.core.threads()[order[0]];
            !first.has_begun()
        });
        let core = &driver.rig.device.core;
        assert!(
            matches!(core.next(&core.threads()[order[0]]), Next::Rest),
            "who has left waits for the other"
        );
        assert_ne!(driver.status(), 0, "one thread is at work");
        reins.go(order[1]);
        driver.until("the reset", || driver.status() == 0);
        driver.reset();
        begin(&mut driver);
        for (ring, queue) in [(0, 0), (1, 2)] {
            driver.turn_to(ring);
            driver.offer(0);
            reins.takes(queue);
            reins.go(queue);
            assert_eq!(driver.used(), (0, 8), "the next driver has all of it");
        }
    }
}

#[test]
fn a_device_that_one_queue_breaks_uses_nothing_on_another_until_it_is_reset() {
    let (mut driver, reins) = held();
    driver.offer(0);
    reins.takes(0);
    driver.turn_to(1);
    // There is no such entry.
    driver.offer(0x100);
    driver.breaks();
    driver.rig.seen.messages.lock().clear();
    // What the first queue has at hand is not given back, nor is taken what is offered now.
    driver.turn_to(0);
    driver.offer(0);
    reins.go(0);
    reins.waits_for(Did::Leave(0));
    driver.store(0x14, Width::Byte, 0);
    driver.until("the reset", || driver.status() == 0);
    assert_eq!((driver.word(USED + 2), driver.word(USED + RING_BYTES + 2)), (0, 0));
    assert!(!reins.did.try_iter().any(|did| matches!(did, Did::Take(_))), "nothing was taken");
    assert!(driver.rig.seen.messages.lock().is_empty(), "nor told");
    driver.reset();
    begin(&mut driver);
    driver.offer(0);
    reins.takes(0);
    reins.go(0);
    assert_eq!(driver.used(), (0, 8));
    assert_eq!(driver.status() & NEEDS_RESET, 0);
}

#[test]
fn doorbells_are_those_of_the_queues_that_a_driver_has_enabled() {
    let offsets = |driver: &Driver| -> Vec<u64> {
        driver.rig.device.doorbells().iter().map(|doorbell| doorbell.offset).collect()
    };
    let (mut driver, _reins) = held();
    assert_eq!(offsets(&driver), [0x3000, 0x3008]);
    driver.reset();
    assert_eq!(offsets(&driver), [0x3000, 0x3008], "they stay over a reset");
    driver.begin_queues(&[1], FEATURES);
    assert_eq!(offsets(&driver), [0x3000, 0x3004, 0x3008]);
    let bells: Vec<_> = driver.rig.device.doorbells().into_iter().map(|doorbell| doorbell.bell).collect();
    assert!(!Arc::ptr_eq(&bells[0], &bells[1]), "each wakes a thread of its own");
}
