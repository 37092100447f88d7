//! An invalidation with everything that it waits for: of one page of many, of a tag, of all.
//!
//! Invariant: what is invalidated was there before, and is not found after; what is filled in again is not timed.

use std::time::{Duration, Instant};

use mmu::address::{PAGE_SIZE, VirtAddr};
use tests_support::measure::round::{Row, Turn, Unit};
use tests_support::measure::target::Held;

use crate::Run;
use crate::pages::BASE;
use crate::parts::iotlb::{TAG, fill, filled, look_up};
use crate::shapes::{cloud_hypervisor, qemu, vm_memory};

/// Pages that are invalidated in a turn of ours and of vm-memory; the scans take fewer.
const MANY: usize = 4096;
const FEW: usize = 16;

pub(crate) fn run(run: &mut Run) {
    one_page(run);
    everything(run);
}

/// The `count` pages of a turn, spread over all.
fn spread(count: usize, pages: u64) -> Vec<u64> {
    let step = pages / count as u64;
    (0..count as u64).map(|number| number * step).collect()
}

/// Each page by itself: filled untimed, invalidated timed. What is still found of them is the checksum: nothing.
fn turn(
    chosen: &[u64],
    mut fill: impl FnMut(u64),
    mut invalidate: impl FnMut(u64),
    mut find: impl FnMut(u64) -> Option<u64>,
) -> Turn {
    chosen.iter().for_each(|page| fill(*page));
    let there = chosen.iter().filter(|page| find(BASE + *page * PAGE_SIZE).is_some()).count();
    assert_eq!(there, chosen.len(), "what is to be invalidated is not there");
    let began = Instant::now();
    chosen.iter().for_each(|page| invalidate(*page));
    let took = began.elapsed();
    let left = chosen.iter().filter(|page| find(BASE + *page * PAGE_SIZE).is_some()).count();
    Turn { took, operations: chosen.len() as u64, checksum: left as u64 }
}

fn one_page(run: &mut Run) {
    let pages = run.effort.pick(65536, 1024);
    let (many, few) = (spread(run.effort.pick(MANY, 8), pages), spread(run.effort.pick(FEW, 2), pages));
    let cache = filled(pages * 2);
    let (mut filler, mut finder) = (cache.port(), cache.port());
    let vm_memory = vm_memory::Locked::filled(pages);
    let qemu = qemu::Shared::filled(pages);
    let cloud = cloud_hypervisor::Shared::filled(pages);
    let ours = || {
        let finder = &mut finder;
        turn(
            &many,
            |page| {
                fill(&mut filler, page);
                filler.pause();
            },
            |page| {
                cache.invalidate_page(TAG, VirtAddr(BASE + page * PAGE_SIZE));
                cache.drain();
            },
            |address| {
                let found = look_up(finder, address);
                finder.pause();
                found
            },
        )
    };
    let scans = Held::Faster { must: 2000.0, stretch: 5000.0 };
    let row = Row::new(format!("invalidate 1 page of {pages}, drained"), Unit::Nanoseconds, ours)
        .against("vm-memory", Held::Faster { must: 1.0, stretch: 4.0 }, || {
            turn(
                &many,
                |page| vm_memory.fill(page),
                |page| vm_memory.invalidate(page),
                |at| vm_memory.address(at),
            )
        })
        .against("QEMU's shape", scans, || {
            turn(&few, |page| qemu.fill(page), |page| qemu.invalidate(page), |at| qemu.address(at))
        })
        .against("cloud-hypervisor's shape", scans, || {
            turn(&few, |page| cloud.fill(page), |page| cloud.invalidate(page), |at| cloud.address(at))
        });
    run.rows.push(row.run(run.effort));
}

/// A whole tag and everything, which take as long whatever is cached; the peers once each, filled anew before.
fn everything(run: &mut Run) {
    let pages = run.effort.pick(65536, 1024);
    let cache = filled(pages);
    let times = run.effort.pick(MANY, 8);
    let repeated = |invalidate: &dyn Fn()| {
        let mut port = cache.port();
        fill(&mut port, 0);
        assert!(look_up(&mut port, BASE).is_some(), "what is to be invalidated is not there");
        port.pause();
        let began = Instant::now();
        (0..times).for_each(|_| {
            invalidate();
            cache.drain();
        });
        let took = began.elapsed();
        Turn { took, operations: times as u64, checksum: u64::from(look_up(&mut port, BASE).is_some()) }
    };
    let tag =
        Row::new("invalidate a tag, drained", Unit::Nanoseconds, || repeated(&|| cache.invalidate_tag(TAG)));
    run.rows.push(tag.at_most(100.0, 20.0).run(run.effort));
    let once =
        |left: Option<u64>, took: Duration| Turn { took, operations: 1, checksum: u64::from(left.is_some()) };
    let row = Row::new("invalidate all, drained", Unit::Nanoseconds, || repeated(&|| cache.invalidate_all()))
        .at_most(100.0, 20.0)
        .against("vm-memory", Held::Nothing, || {
            let peer = vm_memory::Locked::filled(pages);
            let began = Instant::now();
            peer.invalidate_all();
            once(peer.address(BASE), began.elapsed())
        })
        .against("QEMU's shape", Held::Nothing, || {
            let peer = qemu::Shared::filled(pages);
            let began = Instant::now();
            peer.invalidate_all();
            once(peer.address(BASE), began.elapsed())
        });
    run.rows.push(row.run(run.effort));
}
