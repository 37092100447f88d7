//! Rights that go: mprotect, write-protection by userfaultfd, the one that soft-dirty marks rest on.

use std::io;

use crate::bench::{Bench, MARKS, Mark, May, PAGES};
use crate::engine::Engine;
use crate::memory::Region;
use crate::operation::Scale;
use crate::process::{Userfault, page_map, put};
use crate::tally::Tally;

const WRITABLE: i32 = libc::PROT_READ | libc::PROT_WRITE;

pub(crate) fn mprotect(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let region = bench.region;
    let protect = |protection| region.parts(scale.chunk).try_for_each(|part| part.protect(protection));
    for _ in 0..scale.rounds {
        bench.write_marks(Mark::First)?;
        bench.during(May::BeRefused, || protect(libc::PROT_READ))?;
        bench.expect_no_writes(region)?;
        bench.expect_marks()?;
        protect(libc::PROT_NONE)?;
        bench.expect_no_reads(region)?;
        protect(WRITABLE)?;
        bench.expect_marks()?;
        bench.work(May::Keep)?;
        bench.settle(May::Keep);
        bench.during(May::BeRefused, || {
            protect(libc::PROT_NONE)?;
            protect(WRITABLE)
        })?;
    }
    Ok(())
}

pub(crate) fn userfaultfd(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let region = bench.region;
    for _ in 0..scale.rounds {
        bench.write_marks(Mark::First)?;
        let fault = Userfault::of(region)?;
        let protect =
            |is_protected| region.parts(scale.chunk).try_for_each(|part| fault.protect(part, is_protected));
        bench.during(May::BeRefused, || protect(true))?;
        bench.expect_no_writes(region)?;
        bench.expect_marks()?;
        protect(false)?;
        bench.work(May::Keep)?;
        bench.settle(May::Keep);
    }
    Ok(())
}

/// Bit of /proc/PID/pagemap.
const SOFT_DIRTY: u64 = 1 << 55;

/// Each write of the device leaves a mark, and no read does.
pub(crate) fn soft_dirty(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    for _ in 0..scale.rounds {
        bench.write_marks(Mark::First)?;
        bench.during(May::Keep, || put("/proc/self/clear_refs", "4"))?;
        bench.work(May::Keep)?;
        let map = page_map(bench.region)?;
        for (page, entry) in map.iter().enumerate() {
            let (is_written, is_marked) = (page >= MARKS, entry & SOFT_DIRTY != 0);
            tally.claim(is_written == is_marked, || {
                format!("page {page}: written since {is_written}, marked soft-dirty {is_marked}")
            });
        }
        bench.settle(May::Keep);
    }
    Ok(())
}
