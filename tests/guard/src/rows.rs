//! What is counted: each row sets itself up, and does its work inside [`counted`].
//!
//! Invariant: a row is the same work in every run, with the same addresses, and checks that it did it: a hit that
//! missed would be cheap.

use mmu::address::{Access, PAGE_SIZE, VirtAddr, VirtRange};
use mmu::cache::{Tag, TranslationCache};
use mmu::notifier::{Blocking, Invalidation, InvalidationKind, NotifierChain};
use mmu::walker::walk;
use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{Options, Reductions, Verdict, compile, explore};
use std::hint::black_box;
use std::sync::Arc;

use crate::counted;
use crate::fixture::{self, PAGES, Report};

/// Operations of a row but for the explorer's.
const OPERATIONS: u64 = 10_000;

/// A hot path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Row {
    IotlbHit,
    Walk,
    DmaHit,
    WatchedHit,
    Notifier,
    StateReduced,
    StateUnreduced,
}

impl Row {
    pub(crate) const ALL: [Self; 7] = [
        Self::IotlbHit,
        Self::Walk,
        Self::DmaHit,
        Self::WatchedHit,
        Self::Notifier,
        Self::StateReduced,
        Self::StateUnreduced,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IotlbHit => "iotlb-hit",
            Self::Walk => "walk",
            Self::DmaHit => "dma-hit",
            Self::WatchedHit => "watched-hit",
            Self::Notifier => "notifier",
            Self::StateReduced => "state-reduced",
            Self::StateUnreduced => "state-unreduced",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
    }

    /// Does it; how many operations that were.
    pub(crate) fn run(self) -> u64 {
        match self {
            Self::IotlbHit => iotlb_hit(),
            Self::Walk => walked(),
            Self::DmaHit => dma_hit(Report::Off),
            Self::WatchedHit => dma_hit(Report::On),
            Self::Notifier => notified(),
            Self::StateReduced => explored(Reductions::PAYING),
            Self::StateUnreduced => explored(Reductions::NONE),
        }
    }
}

fn iotlb_hit() -> u64 {
    const TAG: Tag = Tag(5);
    let cache = Arc::new(TranslationCache::new(64));
    let mut port = cache.port();
    for page in 0..PAGES {
        let section = port.enter();
        let ticket = section.begin_fill(TAG);
        section.fill(ticket, VirtAddr(page * PAGE_SIZE), fixture::translation(page));
    }
    let addresses = black_box(fixture::addresses(0, OPERATIONS));
    let found = counted(|| {
        let look_up =
            |address: &VirtAddr| port.enter().lookup(TAG, *address).map_or(0, |hit| hit.physical(*address).0);
        addresses.iter().map(look_up).fold(0, u64::wrapping_add)
    });
    let expected = addresses.iter().map(|address| {
        let page = fixture::translation(address.0 / PAGE_SIZE);
        page.physical(*address).0
    });
    assert_eq!(found, expected.fold(0, u64::wrapping_add), "a hit missed");
    OPERATIONS
}

fn walked() -> u64 {
    let (memory, root) = fixture::tables();
    let addresses = black_box(fixture::addresses(fixture::AREA, OPERATIONS));
    let found = counted(|| {
        let walk =
            |address: &VirtAddr| walk(&memory, root, *address, Access::Read).map_or(0, |found| found.pfn.0);
        addresses.iter().map(walk).fold(0, u64::wrapping_add)
    });
    let expected = addresses.iter().map(|address| fixture::frame(address.0 - fixture::AREA));
    assert_eq!(found, expected.fold(0, u64::wrapping_add), "a walk went elsewhere");
    OPERATIONS
}

fn dma_hit(report: Report) -> u64 {
    let unit = fixture::unit(report);
    let mut port = unit.port(fixture::SOURCE, 0);
    let addresses = black_box(fixture::addresses(fixture::AREA, OPERATIONS));
    let mut read_all = |addresses: &[VirtAddr]| {
        addresses.iter().map(|address| fixture::read(&mut port, *address)).fold(0, u64::wrapping_add)
    };
    // The first pass fills what the second one hits.
    let expected = read_all(&addresses);
    let filled = unit.iotlb().statistics().fills;
    let found = counted(|| read_all(&addresses));
    assert_eq!(found, expected, "a hit read elsewhere");
    assert_eq!(unit.iotlb().statistics().fills, filled, "a hit missed");
    OPERATIONS
}

fn notified() -> u64 {
    let chain = NotifierChain::default();
    let range = VirtRange::page(VirtAddr(fixture::AREA));
    let invalidation = Invalidation { range, kind: InvalidationKind::Clear, blocking: Blocking::Allowed };
    let ended = counted(|| {
        (0..OPERATIONS).filter(|_| chain.start(black_box(invalidation)).map(drop).is_ok()).count()
    });
    assert_eq!(ended as u64, OPERATIONS, "a start failed");
    OPERATIONS
}

fn explored(reductions: Reductions) -> u64 {
    let model = cow_n(Size { pages: 3, devices: 2, reads: 2 }, Order::NotifyFirst);
    let packed = compile(&model).expect("cow-n is well formed");
    let options = Options { reductions, ..Options::default() };
    let outcome = counted(|| explore(&packed, &options));
    assert_eq!(outcome.verdict, Verdict::Proved);
    outcome.statistics.states as u64
}
