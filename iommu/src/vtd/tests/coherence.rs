//! A device reads while the tables change under it: what it reads is never older than what was published after the
//! invalidation of the old translation was waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mmu::address::{Access, PAGE_SIZE, PhysAddr};

use super::driver::invalidations::{self, IH};
use super::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SECOND_STAGE, SOURCE, Words, load_at, pasid};
use crate::vtd::options::{CacheSizes, VtdOptions};
use crate::vtd::port::{Port, Request};

const ROUNDS: u64 = 1000;
/// Frames and tables are reused after so many rounds: a device that is late by less meets what they held before.
const GENERATIONS: u64 = 32;

/// The tables of one generation: a page-table root, its lowest table, and a page.
struct Generation {
    root: PhysAddr,
    lowest: PhysAddr,
    page: PhysAddr,
}

struct Tables {
    leaf: PhysAddr,
    upper: PhysAddr,
    pasid_word: PhysAddr,
    generations: Vec<Generation>,
}

fn tables(driver: &mut Driver) -> Tables {
    let directory = driver.attach_scalable(SOURCE);
    let generation = |driver: &mut Driver| {
        let root = driver.frame();
        let page = driver.map(FIRST_STAGE, root, PAGE, 0);
        let lowest = PhysAddr(driver.place(FIRST_STAGE, root, PAGE, 1).0 & !(PAGE_SIZE - 1));
        Generation { root, lowest, page }
    };
    let generations: Vec<_> = (0..GENERATIONS).map(|_| generation(driver)).collect();
    let root = driver.first_stage(directory, 5, DOMAIN);
    driver.map(FIRST_STAGE, root, PAGE, 0);
    Tables {
        leaf: driver.place(FIRST_STAGE, root, PAGE, 1),
        upper: driver.place(FIRST_STAGE, root, PAGE, 2),
        pasid_word: driver.pasid_place(directory, 5).offset(16),
        generations,
    }
}

impl Tables {
    /// Makes the page of `round` the one that is mapped, in one of three ways; the invalidations that this takes.
    fn change(&mut self, driver: &Driver, round: u64) -> Vec<Words> {
        let generation = &self.generations[usize::try_from(round % GENERATIONS).unwrap()];
        let leaf = generation.lowest.offset(PAGE.table_index(1) * 8);
        let upper = generation.root;
        driver.memory.store(generation.page, round);
        driver.memory.store(leaf, generation.page.0 | 7);
        let walk_to = |level: u32| {
            (level + 1..=4).rev().fold(upper, |table, level| {
                PhysAddr(
                    driver.memory.load(table.offset(PAGE.table_index(level) * 8)) & 0x000f_ffff_ffff_f000,
                )
            })
        };
        match round % 3 {
            0 => {
                driver.memory.store(self.leaf, generation.page.0 | 7);
                vec![invalidations::pasid_pages(DOMAIN, 5, PAGE, IH)]
            }
            1 => {
                driver.memory.store(self.upper, generation.lowest.0 | 7);
                self.leaf = leaf;
                vec![invalidations::pasid_pages(DOMAIN, 5, PAGE, 0)]
            }
            _ => {
                self.leaf = leaf;
                self.upper = walk_to(2).offset(PAGE.table_index(2) * 8);
                driver.memory.store(self.upper, generation.lowest.0 | 7);
                driver.memory.store(self.pasid_word, generation.root.0);
                vec![invalidations::pasid_entry(DOMAIN, 5), invalidations::pasid(DOMAIN, 5)]
            }
        }
    }
}

/// Reads until it is told to stop; counts what it has read.
fn read_until(stop: &AtomicBool, published: &AtomicU64, reads: &AtomicU64, port: &mut Port) {
    while !stop.load(Ordering::Acquire) {
        let least = published.load(Ordering::Acquire);
        let value = load_at(port, Some(pasid(5)), PAGE).unwrap();
        assert!(value >= least, "read {value} after {least} was published");
        if reads.fetch_add(1, Ordering::Release).is_multiple_of(64) {
            std::thread::yield_now();
        }
    }
}

fn is_coherent(options: VtdOptions, open: impl Fn(&Driver) -> Port, tells_device: bool) {
    let mut driver = Driver::scalable_with(options);
    let mut tables = tables(&mut driver);
    let (stop, published, reads) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut port = open(&driver);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&stop, &published, &reads, &mut port));
        for round in 1..=ROUNDS {
            while reads.load(Ordering::Acquire) < round && !reader.is_finished() {
                std::thread::yield_now();
            }
            let mut descriptors = tables.change(&driver, round);
            if tells_device {
                descriptors.push(invalidations::device_pasid(SOURCE, 5));
            }
            driver.invalidate(&descriptors);
            published.store(round, Ordering::Release);
        }
        stop.store(true, Ordering::Release);
    });
}

#[test]
fn a_device_never_reads_what_was_invalidated() {
    is_coherent(VtdOptions::default(), Driver::port, false);
}

#[test]
fn nor_with_caches_of_one_entry() {
    let caches = CacheSizes { iotlb: 1, paging: 1, context: 1, pasid: 1, interrupt: 1 };
    is_coherent(VtdOptions { caches, ..VtdOptions::default() }, Driver::port, false);
}

#[test]
fn nor_through_its_own_tlb() {
    is_coherent(VtdOptions::default(), Driver::ats_port, true);
}

#[test]
fn an_invalidation_waits_for_what_a_device_holds_in_flight() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let held = port.hold(Request { pasid: None, address: PAGE, access: Access::Read }).unwrap();
    let memory = Arc::clone(&driver.memory);
    driver.map(SECOND_STAGE, table, PAGE, 2);
    let is_complete = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            driver.invalidate(&[invalidations::all()]);
            is_complete.store(true, Ordering::Release);
        });
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!((memory.load(held), is_complete.load(Ordering::Acquire)), (1, false));
        }
        port.pause();
    });
    assert!(is_complete.load(Ordering::Acquire));
    assert_eq!(load_at(&mut port, None, PAGE), Ok(2));
}
