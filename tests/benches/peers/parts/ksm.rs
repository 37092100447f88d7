//! KSM: pages looked at that are all different, pages looked at that are merged already, and pages merged.
//!
//! Invariant: of each content one frame is left at the end of a turn. ksmd is asked only where
//! times are wanted and where it may be set.

use std::sync::Arc;

use mmu::address::{PAGE_SIZE, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::ksm::Ksm;
use tests_support::measure::round::{Effort, Row, Turn, Unit, turn};
use tests_support::measure::target::Held;

use crate::Run;
use crate::ksmd::Ksmd;

const AREA: VirtAddr = VirtAddr(0x10_0000_0000);
/// Fewer than the 256 that ksmd lets share one frame, of each content.
const PAGES: u64 = 8192;
const FEW: u64 = 256;
/// Rounds of ours after which everything that is equal is merged.
const ROUNDS_TO_MERGE: usize = 3;
/// Rounds of ksmd that are timed where nothing is merged.
const SCANS: u64 = 8;

/// What stands in the pages.
#[derive(Clone, Copy)]
struct Contents {
    name: &'static str,
    of: fn(u64) -> u64,
    /// How many different ones so many pages have.
    count: fn(u64) -> u64,
}

const DISTINCT: Contents = Contents { name: "distinct", of: |page| page + 1, count: |pages| pages };
const PAIRS: Contents = Contents { name: "pairs", of: |page| page / 2 + 1, count: |pages| pages / 2 };
const SIXTY_FOUR: Contents = Contents { name: "64 contents", of: |page| page % 64 + 1, count: |_| 64 };

pub(crate) fn run(run: &mut Run) {
    let ksmd = match run.effort {
        Effort::Measured { .. } => Ksmd::take().map_err(|why| run.skipped.push(format!("ksmd: {why}"))).ok(),
        Effort::Once => None,
    };
    let pages = run.effort.pick(PAGES, FEW);
    scan(run, pages, DISTINCT, Held::Faster { must: 4.0, stretch: 10.0 }, ksmd.as_ref());
    scan(run, pages, SIXTY_FOUR, Held::Faster { must: 1.8, stretch: 3.5 }, ksmd.as_ref());
    merge(run, pages, PAIRS, Held::Faster { must: 8.0, stretch: 15.0 }, ksmd.as_ref());
    merge(run, pages, SIXTY_FOUR, Held::Faster { must: 3.0, stretch: 7.0 }, ksmd.as_ref());
    run.by_kernel += ksmd.map_or(0, |ksmd| ksmd.spent());
}

fn space(pages: u64, contents: Contents) -> (Arc<AddressSpace>, Ksm) {
    let frames = Frames::new((pages * PAGE_SIZE * 2).max(4 << 20)).expect("the memory can be mapped");
    let space = AddressSpace::new(frames, SpaceId(1), SpaceOptions::default()).expect("there is a frame");
    let range = VirtRange::pages(AREA, pages);
    space.map(range, Backing::PrivateAnonymous, Merging::Mergeable).expect("the range is good");
    let mut cpu = Cpu::new(0, Arc::clone(&space));
    for page in 0..pages {
        cpu.store(AREA.offset(page * PAGE_SIZE), (contents.of)(page)).expect("there is a frame");
    }
    drop(cpu);
    let ksm = Ksm::new(Arc::clone(space.frames()));
    (space, ksm)
}

fn scanned(space: &Arc<AddressSpace>, ksm: &Ksm) -> u64 {
    ksm.scan(space).expect("every page is there").merged
}

/// A page of many that are what they will be.
fn scan(run: &mut Run, pages: u64, contents: Contents, held: Held, ksmd: Option<&Ksmd>) {
    let (space, ksm) = space(pages, contents);
    for _ in 0..ROUNDS_TO_MERGE {
        let _merged = scanned(&space, &ksm);
    }
    let count = usize::try_from(pages).unwrap_or_default();
    let ours = || turn(count, || scanned(&space, &ksm));
    let mut row = Row::new(format!("KSM scan, {}, a page", contents.name), Unit::Nanoseconds, ours);
    if let Some(ksmd) = ksmd {
        row = row.against("ksmd", held, || {
            // Time of some more rounds, of which the first ones merge.
            let expected = pages - (contents.count)(pages);
            let (short, _) = ksmd.run(count, contents.of, |scans, merged| scans >= 3 && merged == expected);
            let (long, merged) =
                ksmd.run(count, contents.of, |scans, merged| scans >= 3 + SCANS && merged == expected);
            Turn { took: long.saturating_sub(short), operations: SCANS * pages, checksum: merged }
        });
    }
    run.rows.push(row.run(run.effort));
}

/// From pages that nobody has looked at to all of them merged, a page.
fn merge(run: &mut Run, pages: u64, contents: Contents, held: Held, ksmd: Option<&Ksmd>) {
    let count = usize::try_from(pages).unwrap_or_default();
    let ours = || {
        let (space, ksm) = space(pages, contents);
        let turn =
            turn(count, || (0..ROUNDS_TO_MERGE).map(|_| scanned(&space, &ksm)).last().unwrap_or_default());
        assert_eq!(turn.checksum, pages - (contents.count)(pages), "of each content one frame is left");
        turn
    };
    let mut row = Row::new(format!("KSM merge, {}, a page", contents.name), Unit::Nanoseconds, ours);
    if let Some(ksmd) = ksmd {
        row = row.against("ksmd", held, || {
            let expected = pages - (contents.count)(pages);
            let (took, merged) = ksmd.run(count, contents.of, |_, merged| merged == expected);
            Turn { took, operations: pages, checksum: merged }
        });
    }
    run.rows.push(row.run(run.effort));
}
