//! Pages that get other frames: collapse into a huge page and split, compaction, page-out.

use std::io::{self, Write};

use crate::bench::{Bench, Mark, May, PAGES};
use crate::engine::Engine;
use crate::memory::{HUGE_PAGES, Region, WORDS};
use crate::operation::Scale;
use crate::process::{page_map, put};
use crate::tally::Tally;

/// Source: include/uapi/asm-generic/mman-common.h.
const MADV_COLLAPSE: i32 = 25;
/// The kernel may have to try again.
const TRIES: usize = 20;

/// One huge page, with what the small ones have.
pub(crate) fn make_huge(region: Region) -> io::Result<()> {
    region.advise(libc::MADV_HUGEPAGE)?;
    let mut result = region.advise(MADV_COLLAPSE);
    for _ in 1..TRIES {
        if result.is_ok() {
            break;
        }
        result = region.advise(MADV_COLLAPSE);
    }
    result
}

/// Beyond the pages that the device works on.
const PROTECTED: usize = 200;
const DROPPED: usize = 300;

pub(crate) fn collapse(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    for _ in 0..scale.rounds {
        let region = Region::place(0, HUGE_PAGES).map()?;
        let mut bench = Bench::of(&engine, tally, region)?;
        bench.write_marks(Mark::First)?;
        (PAGES..HUGE_PAGES).for_each(|page| region.fill(page, page as u64));
        bench.during(May::Keep, || make_huge(region))?;
        bench.during(May::Keep, || region.part(PROTECTED, 1).protect(libc::PROT_READ))?;
        bench.during(May::Keep, || region.part(DROPPED, 1).advise(libc::MADV_DONTNEED))?;
        bench.expect_no_writes(region.part(PROTECTED, 1))?;
        bench.expect_marks()?;
        for page in PAGES..HUGE_PAGES {
            let wanted = if page == DROPPED { 0 } else { page as u64 };
            tally.claim(region.load(page, WORDS - 1) == wanted, || format!("page {page} is lost"));
        }
    }
    Ok(())
}

const FILLER: usize = 4096;
/// Rounds more, until a page has moved.
const MORE_ROUNDS: usize = 4;
/// Bits of /proc/PID/pagemap.
const FRAME: u64 = (1 << 55) - 1;
const SWAPPED: u64 = 1 << 62;

/// Memory has holes, and the kernel moves pages until it has none.
pub(crate) fn compact(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    // Mapped once, and given back by parts: to map it again is a change of more pages than `scale.chunk`.
    let region = Region::place(0, PAGES).map()?;
    let mut moved = 0;
    for round in 0..scale.rounds + MORE_ROUNDS {
        if round >= scale.rounds && moved > 0 {
            break;
        }
        region.parts(scale.chunk).try_for_each(|part| part.advise(libc::MADV_DONTNEED))?;
        let filler = Region::place(1, FILLER).map()?;
        let mut bench = Bench::of(&engine, tally, region)?;
        // The device's pages lie between others that go.
        for page in 0..FILLER {
            filler.store(page, 0, 1);
            if page % (FILLER / PAGES) == 0 {
                let own = page / (FILLER / PAGES);
                region.store(own, 0, 0);
            }
        }
        (0..FILLER).step_by(2).try_for_each(|page| filler.part(page, 1).advise(libc::MADV_DONTNEED))?;
        bench.write_marks(Mark::First)?;
        let before = page_map(region)?;
        bench.during(May::Keep, || put("/proc/sys/vm/compact_memory", "1"))?;
        bench.expect_marks()?;
        let after = page_map(region)?;
        moved +=
            before.iter().zip(&after).filter(|(before, after)| **before & FRAME != **after & FRAME).count();
        filler.unmap()?;
    }
    writeln!(io::stdout(), "LAB sva compact moved {moved} pages")?;
    if moved == 0 { Err(io::Error::other("nothing was moved")) } else { Ok(()) }
}

/// To a swap device, and back when the device asks.
pub(crate) fn pageout(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let region = bench.region;
    let out = || region.parts(scale.chunk).try_for_each(|part| part.advise(libc::MADV_PAGEOUT));
    let mut swapped = 0;
    // A page that waits in another CPU's list is not isolated, and stays.
    for round in 0..scale.rounds + MORE_ROUNDS {
        if round >= scale.rounds && swapped > 0 {
            break;
        }
        bench.write_marks(if round % 2 == 0 { Mark::First } else { Mark::Second })?;
        bench.during(May::Keep, || {
            for _ in 0..3 {
                out()?;
            }
            Ok(())
        })?;
        out()?;
        swapped += page_map(region)?.iter().filter(|entry| **entry & SWAPPED != 0).count();
        bench.expect_marks()?;
        bench.work(May::Keep)?;
        bench.settle(May::Keep);
    }
    writeln!(io::stdout(), "LAB sva pageout swapped {swapped} pages out")?;
    if swapped == 0 { Err(io::Error::other("nothing was swapped out")) } else { Ok(()) }
}
