//! Pages that several mappings share until one writes: fork, and kernel same-page merging.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crate::bench::{Bench, MARKS, Mark, May, PAGES};
use crate::engine::Engine;
use crate::memory::{Region, WORDS};
use crate::operation::Scale;
use crate::process::{Child, number, put};
use crate::tally::Tally;

/// Writes what stands there: the page is copied, and what it holds stays.
fn touch(marks: Region) {
    for page in (0..marks.pages).step_by(2) {
        marks.store(page, 0, marks.load(page, 0));
    }
}

fn sum(region: Region) -> u64 {
    let words = |page| (0..WORDS).map(move |word| region.load(page, word));
    (0..region.pages).flat_map(words).fold(0, u64::wrapping_add)
}

/// How long the child looks whether its pages stay as they are.
const LOOKS_ON: Duration = Duration::from_millis(100);

/// The child, the parent and the device each break pages; the child sees what was there, and nobody sees what it writes.
pub(crate) fn fork(scale: Scale, tally: &Tally) -> io::Result<()> {
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let (marks, targets, counters) = (bench.marks(), bench.targets(), bench.counters());
    for round in 0..scale.rounds {
        bench.write_marks(if round % 2 == 0 { Mark::First } else { Mark::Second })?;
        let wanted: Vec<u64> = (0..MARKS).map(|page| marks.load(page, 0)).collect();
        bench.during(May::Keep, || {
            let child = Child::fork(|| {
                let before = [sum(targets), sum(counters)];
                let saw = wanted.iter().enumerate().all(|(page, word)| marks.is_all(page, *word));
                thread::sleep(LOOKS_ON);
                let is_left_alone = [sum(targets), sum(counters)] == before;
                for region in [marks, targets, counters] {
                    (0..region.pages).for_each(|page| region.fill(page, !0));
                }
                i32::from(!(saw && is_left_alone))
            })?;
            touch(marks);
            // Word 0, which the device leaves alone: from now on its words of these pages are elsewhere.
            touch(counters);
            let status = child.wait()?;
            tally.claim(status == Some(0), || {
                "the child has seen what the device wrote for its parent".to_owned()
            });
            Ok(())
        })?;
        bench.expect_marks()?;
    }
    Ok(())
}

const RUN: &str = "/sys/kernel/mm/ksm/run";
const SHARING: &str = "/sys/kernel/mm/ksm/pages_sharing";
const LOOK: Duration = Duration::from_millis(5);
/// Looks, until the merging thread has had its time.
const LOOKS: usize = 40;

/// Marks have twins; the kernel merges both while the device reads one.
pub(crate) fn ksm(scale: Scale, tally: &Tally) -> io::Result<()> {
    put("/sys/kernel/mm/ksm/sleep_millisecs", "0")?;
    put("/sys/kernel/mm/ksm/pages_to_scan", "1000")?;
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, tally, Region::place(0, PAGES).map()?)?;
    let marks = bench.marks();
    let twin = Region::place(1, MARKS).map()?;
    bench.region.advise(libc::MADV_MERGEABLE)?;
    twin.advise(libc::MADV_MERGEABLE)?;
    let mut merged = 0;
    for round in 0..scale.rounds {
        bench.write_marks(if round % 2 == 0 { Mark::First } else { Mark::Second })?;
        (0..MARKS).for_each(|page| twin.fill(page, marks.load(page, 0)));
        bench.during(May::Keep, || put(RUN, "1"))?;
        for _ in 0..LOOKS {
            if number(SHARING)? >= MARKS as u64 {
                merged += 1;
                break;
            }
            bench.during(May::Keep, || {
                thread::sleep(LOOK);
                Ok(())
            })?;
        }
        bench.during(May::Keep, || {
            touch(marks);
            // Takes apart what is left.
            put(RUN, "2")
        })?;
    }
    writeln!(io::stdout(), "LAB sva ksm merged in {merged} of {} rounds", scale.rounds)?;
    if merged == 0 { Err(io::Error::other("nothing was merged")) } else { Ok(()) }
}
