//! Devices with TLBs of their own access a process while its page table changes: none of them ever sees less than was
//! published before, and no page request goes unanswered.
//!
//! `AFTERIMAGE_DMA_ACCESSES` is how many accesses the clean run makes, a million if it is not set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::port::Reached;

use super::fixture::{DEVICE_TLB, page, pasid, port, space};
use crate::sva::port::DmaPort;
use crate::sva::{FlushOrder, SvaDriver, SvaOptions};

const DEVICES: u16 = 3;
const PAGES: usize = 8;
const ACCESSES: u64 = 1_000_000;
/// Changes of the page table that the clean run makes at least, and the wrong one at most.
const CHANGES: u64 = 2_000;
const MOST_CHANGES: u64 = 100_000;
/// So much that no freed frame comes round while something stale may still point to it.
const MEMORY_BYTES: u64 = 64 << 20;

/// What everybody knows.
struct Board {
    published: [AtomicU64; PAGES],
    changes: AtomicU64,
    stale: AtomicU64,
    accesses: AtomicU64,
    requests: AtomicU64,
    ended: AtomicBool,
}

impl Board {
    fn new() -> Self {
        Self {
            published: Default::default(),
            changes: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            accesses: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// Whether devices store too. Where translations may be stale they must not: the frame may be anybody's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conduct {
    ReadsAndWrites,
    ReadsOnly,
}

/// One device: what it has stored into its word of each page.
struct Device<'b> {
    port: DmaPort,
    board: &'b Board,
    word: u64,
    stored: [u64; PAGES],
    random: fastrand::Rng,
    conduct: Conduct,
}

impl Device<'_> {
    fn access(&mut self) {
        let number = self.random.usize(..self.stored.len());
        match self.random.u8(..4) {
            0 if self.conduct == Conduct::ReadsAndWrites => self.store(number),
            1 => self.load(number, self.word, self.stored[number]),
            _ => {
                let published = self.board.published[number].load(Ordering::SeqCst);
                self.load(number, 0, published);
            }
        }
    }

    fn load(&mut self, number: usize, word: u64, at_least: u64) {
        let seen = self.port.read(page(number as u64).offset(word * 8)).unwrap();
        self.judge(seen.reached == Reached::Owned && seen.value >= at_least);
    }

    fn store(&mut self, number: usize) {
        self.stored[number] += 1;
        let reached =
            self.port.write(page(number as u64).offset(self.word * 8), self.stored[number]).unwrap();
        self.judge(reached.reached == Reached::Owned);
    }

    fn judge(&self, fresh: bool) {
        if !fresh {
            self.board.stale.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Accesses until it has made `least` and the run has ended.
    fn run(mut self, least: u64) {
        let mut accesses = 0;
        while accesses < least || !self.board.has_ended() {
            self.access();
            accesses += 1;
        }
        self.board.accesses.fetch_add(accesses, Ordering::SeqCst);
        self.board.requests.fetch_add(self.port.page_requests(), Ordering::SeqCst);
    }
}

/// The owner forks and breaks COW, page by page, and publishes what it has stored, until `enough`.
fn change_pages(space: &Arc<AddressSpace>, board: &Board, enough: impl Fn(u64) -> bool) {
    let mut cpu = Cpu::new(0, Arc::clone(space));
    let mut random = fastrand::Rng::with_seed(7);
    for change in 1.. {
        let number = random.usize(..board.published.len());
        let child = space.fork(SpaceId(2)).unwrap();
        cpu.store(page(number as u64), change).unwrap();
        board.published[number].store(change, Ordering::SeqCst);
        drop(child);
        board.changes.store(change, Ordering::SeqCst);
        if enough(change) {
            break;
        }
    }
    board.ended.store(true, Ordering::SeqCst);
}

fn run(
    flush_order: FlushOrder,
    conduct: Conduct,
    accesses: u64,
    enough: impl Fn(&Board, u64) -> bool,
) -> Board {
    let frames = Frames::new(MEMORY_BYTES).unwrap();
    let space = space(&frames, 1, SpaceOptions::default());
    let driver = SvaDriver::new(frames, SvaOptions { flush_order, ..SvaOptions::default() }).unwrap();
    driver.bind(pasid(), &space).unwrap();
    let board = Board::new();
    thread::scope(|scope| {
        for number in 0..DEVICES {
            let device = Device {
                port: port(&driver, number, DEVICE_TLB, pasid()),
                board: &board,
                word: u64::from(number) + 1,
                stored: [0; PAGES],
                random: fastrand::Rng::with_seed(u64::from(number)),
                conduct,
            };
            scope.spawn(move || device.run(accesses.div_ceil(u64::from(DEVICES))));
        }
        change_pages(&space, &board, |change| enough(&board, change));
    });
    let counts = driver.request_counts();
    assert_eq!(counts.requests, board.requests.load(Ordering::SeqCst), "as many as devices sent");
    assert_eq!(counts.responses, counts.requests, "each was answered");
    board
}

fn accesses() -> u64 {
    std::env::var("AFTERIMAGE_DMA_ACCESSES").ok().map_or(ACCESSES, |count| count.parse().unwrap())
}

#[test]
fn a_million_accesses_through_device_tlbs_see_nothing_stale_and_lose_no_request() {
    let board =
        run(FlushOrder::IotlbThenDevices, Conduct::ReadsAndWrites, accesses(), |_, change| change >= CHANGES);
    assert_eq!(board.stale.load(Ordering::SeqCst), 0);
    assert!(board.accesses.load(Ordering::SeqCst) >= accesses());
    assert!(board.requests.load(Ordering::SeqCst) > 0);
}

#[test]
fn without_device_tlb_invalidations_the_same_run_sees_stale_pages() {
    let board = run(FlushOrder::IotlbOnly, Conduct::ReadsOnly, 0, |board, change| {
        change >= MOST_CHANGES || board.stale.load(Ordering::SeqCst) != 0
    });
    assert_ne!(board.stale.load(Ordering::SeqCst), 0);
}
