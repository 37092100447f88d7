//! Pages that are, or become, zeroes: not touched yet, MADV_DONTNEED, MADV_FREE.

use std::io;

use crate::bench::{Bench, Mark, May, PAGES};
use crate::engine::Engine;
use crate::memory::Region;
use crate::operation::Scale;
use crate::tally::Tally;

/// The device is the first who touches them.
pub(crate) fn untouched(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    for _ in 0..scale.rounds {
        let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
        // Where a page was only read stands the zero page; the first write replaces it.
        bench.expect_zeroes()?;
        bench.during(May::Keep, || Ok(()))?;
        bench.write_marks(Mark::First)?;
    }
    Ok(())
}

pub(crate) fn dontneed(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let region = bench.region;
    for _ in 0..scale.rounds {
        bench.write_marks(Mark::First)?;
        bench.during(May::BeZero, || {
            region.parts(scale.chunk).try_for_each(|part| part.advise(libc::MADV_DONTNEED))
        })?;
        bench.expect_zeroes()?;
    }
    Ok(())
}

/// What the device writes after the advice stays, also when the pages are wanted.
pub(crate) fn free(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let region = bench.region;
    let targets = bench.targets();
    for _ in 0..scale.rounds {
        bench.write_marks(Mark::First)?;
        bench.during(May::BeZero, || {
            region.parts(scale.chunk).try_for_each(|part| part.advise(libc::MADV_FREE))
        })?;
        bench.work(May::BeZero)?;
        targets.parts(scale.chunk).try_for_each(|part| part.advise(libc::MADV_PAGEOUT))?;
        bench.expect_targets();
        bench.settle(May::BeZero);
    }
    Ok(())
}
