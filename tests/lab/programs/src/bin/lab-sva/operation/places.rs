//! Pages that go elsewhere, or away: mremap, munmap.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::bench::{Bench, Mark, May, PAGES};
use crate::engine::{Engine, Work};
use crate::memory::{HUGE_PAGES, Region, WORDS};
use crate::operation::Scale;
use crate::operation::frames::make_huge;
use crate::process::page_map;
use crate::tally::Tally;

/// Page by page, or as many as are changed at once.
pub(crate) fn mremap(scale: Scale, tally: &Tally) -> io::Result<()> {
    moves(scale, tally, PAGES, scale.chunk, |_| Ok(()))
}

/// A table of entries, with all that it holds.
pub(crate) fn mremap_tables(scale: Scale, tally: &Tally) -> io::Result<()> {
    moves(scale, tally, HUGE_PAGES, HUGE_PAGES, |region| {
        (0..HUGE_PAGES).for_each(|page| region.store(page, WORDS - 1, region.load(page, WORDS - 1)));
        Ok(())
    })
}

pub(crate) fn mremap_huge(scale: Scale, tally: &Tally) -> io::Result<()> {
    moves(scale, tally, HUGE_PAGES, HUGE_PAGES, make_huge)
}

fn moves(
    scale: Scale,
    tally: &Tally,
    pages: usize,
    chunk: usize,
    prepare: fn(Region) -> io::Result<()>,
) -> io::Result<()> {
    let engine = Engine::open()?;
    let (here, there) = (Region::place(0, pages), Region::place(1, pages));
    let go = move |from: Region, to: Region| {
        from.parts(chunk).zip(to.parts(chunk)).try_for_each(|(from, to)| from.move_to(to))
    };
    for _ in 0..scale.rounds {
        let mut bench = Bench::of(&engine, tally, here.map()?)?;
        bench.write_marks(Mark::First)?;
        prepare(here)?;
        bench.during(May::BeRefused, || {
            go(here, there)?;
            go(there, here)
        })?;
        bench.race(May::BeRefused, || go(here, there))?;
        bench.expect_no_reads(bench.region)?;
        bench.region = there.part(0, PAGES);
        bench.expect_marks()?;
        bench.work(May::Keep)?;
        bench.settle(May::Keep);
        // What is mapped at the old place is new, and not what has moved.
        let mut other = Bench::of(&engine, tally, here.map()?)?;
        other.expect_zeroes()?;
        other.write_marks(Mark::Second)?;
        other.work(May::Keep)?;
        other.settle(May::Keep);
        bench.expect_marks()?;
        there.unmap()?;
        bench.expect_no_reads(bench.region)?;
    }
    Ok(())
}

pub(crate) fn munmap(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let region = Region::place(0, PAGES);
    for _ in 0..scale.rounds {
        let mut bench = Bench::of(&engine, tally, region.map()?)?;
        bench.write_marks(Mark::First)?;
        bench.race(May::BeRefused, || region.parts(scale.chunk).try_for_each(Region::unmap))?;
        bench.expect_no_reads(region)?;
        let mut bench = Bench::of(&engine, tally, region.map()?)?;
        bench.expect_zeroes()?;
        bench.work(May::Keep)?;
        bench.settle(May::Keep);
    }
    Ok(())
}

const PRESENT_WRITABLE_USER: u64 = 7;
const NO_EXECUTE: u64 = 1 << 63;
const SECRET: u64 = 0x5ec4e7;
/// Bits of /proc/PID/pagemap.
const FRAME: u64 = (1 << 55) - 1;
/// Pages that take the place of freed tables.
const FILLED: usize = 1024;

/// Tables are freed while another thread frees pages: what is put into the freed ones is no table.
pub(crate) fn munmap_nested(scale: Scale, tally: &Tally) -> io::Result<()> {
    let secret = Region::place(2, 1).map()?;
    secret.fill(0, SECRET);
    let frame = page_map(secret)?[0] & FRAME;
    let entry = frame << 12 | PRESENT_WRITABLE_USER | NO_EXECUTE;
    let other = Region::place(0, 2 * HUGE_PAGES + HUGE_PAGES).map()?.part(2 * HUGE_PAGES, HUGE_PAGES);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| free_pages(other, &is_over));
        // The first find is enough: what the device then writes through is some page of the kernel's.
        let mut rounds = (0..scale.rounds).take_while(|_| tally.wrong() == 0);
        let result = rounds.try_for_each(|_| free_tables(tally, entry));
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

/// Until it is over. Source of the order: a linear congruential generator.
fn free_pages(region: Region, is_over: &AtomicBool) -> io::Result<()> {
    let mut state = 7_usize;
    while !is_over.load(Ordering::Relaxed) {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        let first = state / 256 % (region.pages - 16);
        region.part(first, 16).advise(libc::MADV_DONTNEED)?;
        region.store(first, 0, 1);
    }
    Ok(())
}

fn free_tables(tally: &Tally, entry: u64) -> io::Result<()> {
    let engine = Engine::open()?;
    let region = Region::place(0, 2 * HUGE_PAGES).map()?;
    let mut bench = Bench::of(&engine, tally, region)?;
    bench.write_marks(Mark::First)?;
    bench.race(May::BeRefused, || region.unmap())?;
    let filled = Region::place(3, FILLED).map()?;
    (0..FILLED).for_each(|page| filled.fill(page, entry));
    let reads: Vec<_> = (0..PAGES).map(|page| Work::Read { at: region.word(page, 0), bytes: 8 }).collect();
    for outcome in engine.run(&reads)? {
        tally.accessed(1);
        tally.claim(!outcome.is_done(), || format!("a freed table is walked: {outcome:x?}"));
    }
    for page in 0..FILLED {
        tally.claim(filled.is_all(page, entry), || {
            format!("the unit has changed a page that was a table, {page}")
        });
    }
    filled.unmap()
}
