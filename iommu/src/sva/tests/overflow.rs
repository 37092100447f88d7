//! More page requests than the ring has room for: what it drops is asked for again, and nothing is lost.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mmu::address::{Access, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::frame::Frames;
use pcie::{Ats, Request};

use super::fixture::{PAGE, page, pasid, request};
use crate::sva::{SvaDriver, SvaOptions};
use crate::vtd::port::Port;

const DEVICES: u16 = 4;
/// Pages that a device asks for at once; all devices together ask for twice what the ring has room for.
const BATCH: u64 = 64;
const ROUNDS: u64 = 8;
const PAGES: u64 = DEVICES as u64 * BATCH * ROUNDS;

/// A device that asks ahead for many pages, and counts what it asks and is answered.
struct Device {
    port: Port,
    number: u64,
    asked: u64,
    answered: u64,
}

impl Device {
    fn address(&self, round: u64, index: u64) -> VirtAddr {
        page((round * u64::from(DEVICES) + self.number) * BATCH + index)
    }

    /// Asks for the pages it cannot store to, until there is none.
    fn play(&mut self, round: u64) {
        loop {
            let refused: Vec<u64> = (0..BATCH).filter(|index| !self.store(round, *index)).collect();
            if refused.is_empty() {
                return;
            }
            for index in &refused {
                let group = u16::try_from(*index).unwrap();
                self.port.request_page(request(self.address(round, *index), group, true)).unwrap();
                self.asked += 1;
            }
            self.wait_for(refused.len());
        }
    }

    fn store(&mut self, round: u64, index: u64) -> bool {
        let address = self.address(round, index);
        let request = Request { pasid: Some(pasid()), address, access: Access::Write };
        self.port.translate(request).map(|in_flight| in_flight.store(address.0)).is_ok()
    }

    fn wait_for(&mut self, responses: usize) {
        let mut missing = responses;
        while missing != 0 {
            match self.port.next_response() {
                Some(_) => missing -= 1,
                None => thread::yield_now(),
            }
        }
        self.answered += responses as u64;
    }
}

/// Lets the ring overflow in each round before anything is answered.
fn answer(driver: &SvaDriver, begin: &Barrier, finished: &AtomicUsize) {
    for round in 1..=ROUNDS {
        begin.wait();
        while !driver.requests.has_overflowed() {
            thread::yield_now();
        }
        while finished.load(Ordering::SeqCst) < usize::from(DEVICES) * usize::try_from(round).unwrap() {
            driver.answer_requests();
        }
    }
}

#[test]
fn an_overflow_of_the_ring_loses_no_request() {
    let frames = Frames::new(32 << 20).unwrap();
    let space = AddressSpace::new(frames.clone(), SpaceId(1), SpaceOptions::default()).unwrap();
    space.map(VirtRange::pages(PAGE, PAGES), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let driver = SvaDriver::new(frames, SvaOptions::default()).unwrap();
    driver.bind(pasid(), &space).unwrap();
    let begin = Barrier::new(usize::from(DEVICES) + 1);
    let finished = AtomicUsize::new(0);
    let devices = (0..DEVICES).map(|number| {
        let device = driver.attach(number, 256).unwrap();
        let mut port = driver.unit().port(device.source(), 256);
        port.set_ats(Ats::Enabled);
        Device { port, number: u64::from(number), asked: 0, answered: 0 }
    });
    let (begin, finished) = (&begin, &finished);
    let devices: Vec<Device> = thread::scope(|scope| {
        let devices: Vec<_> = devices
            .map(|mut device| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        begin.wait();
                        device.play(round);
                        device.port.pause();
                        finished.fetch_add(1, Ordering::SeqCst);
                    }
                    device
                })
            })
            .collect();
        answer(&driver, begin, finished);
        devices.into_iter().map(|device| device.join().unwrap()).collect()
    });
    let total = |count: fn(&Device) -> u64| devices.iter().map(count).sum::<u64>();
    assert_eq!(total(|device| device.answered), total(|device| device.asked));
    assert!((0..PAGES).all(|number| space.mapped_word(page(number)) == Some(page(number).0)));
    let counts = driver.request_counts();
    assert!(counts.overflows >= ROUNDS, "{counts:?}");
    assert!(counts.requests < total(|device| device.asked), "some were dropped");
    assert_eq!(counts.responses, counts.requests);
}
