//! Ends: of a process, and of its PASID, while the device works.

use std::io;
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::bench::{Bench, Mark, May, PAGES};
use crate::engine::{Engine, Work};
use crate::memory::{PAGE, Region};
use crate::operation::Scale;
use crate::process::{Child, kill_myself};
use crate::tally::Tally;

/// What the parent puts where the child's pages were.
const CANARIES: usize = 2048;
const CANARY: u64 = 0xca_0a71;
const HARM: u64 = 0xbad_bad;
/// Descriptors that are at work when the process ends.
const POSTED: usize = 48;

/// By turns the child ends, becomes another program, and is killed.
pub(crate) fn exit(scale: Scale, tally: &Tally) -> io::Result<()> {
    let counts = Region::place(4, 1).map_shared()?;
    for round in 0..scale.rounds {
        counts.fill(0, 0);
        let child = Child::fork(|| match end(round, counts) {
            Ok(()) => 0,
            Err(_) => 2,
        })?;
        let status = child.wait()?;
        let is_killed = round % 3 == 2;
        tally.claim(status == (!is_killed).then_some(0), || format!("the child has ended with {status:?}"));
        tally.accessed(usize::try_from(counts.load(0, 0)).map_err(io::Error::other)?);
        tally.claim(counts.load(0, 1) == 0, || "the child has found wrong values".to_owned());
        let canaries = Region::place(5, CANARIES).map()?;
        (0..CANARIES).for_each(|page| canaries.fill(page, CANARY));
        for page in 0..CANARIES {
            tally.claim(canaries.is_all(page, CANARY), || {
                format!("page {page} is written for a process that is gone")
            });
        }
        canaries.unmap()?;
    }
    Ok(())
}

/// In the child.
fn end(round: usize, counts: Region) -> io::Result<()> {
    let tally = Tally::default();
    let engine = Engine::open()?;
    let mut bench = Bench::of(&engine, &tally, Region::place(0, 4 * PAGES).map()?)?;
    bench.write_marks(Mark::First)?;
    bench.during(May::Keep, || Ok(()))?;
    counts.store(0, 0, tally.accesses());
    counts.store(0, 1, tally.wrong());
    engine.post(&[Work::Write { at: bench.region.at, bytes: 4 * PAGES * PAGE, value: HARM }; POSTED])?;
    // Not closed: the kernel does it, when the address space is gone.
    mem::forget(engine);
    match round % 3 {
        0 => Ok(()),
        1 => Err(Command::new("/bin/true").exec()),
        _ => {
            kill_myself();
            Err(io::ErrorKind::Other.into())
        }
    }
}

/// The PASID goes and comes again, perhaps the same.
pub(crate) fn rebind(scale: Scale, tally: &Tally) -> io::Result<()> {
    let region = Region::place(0, PAGES);
    for round in 0..scale.rounds {
        let engine = Engine::open()?;
        // Now and then other pages than those that the last one had.
        if round % 2 == 0 {
            region.map()?;
        }
        let mut bench = Bench::of(&engine, tally, region)?;
        bench.write_marks(Mark::First)?;
        if round % 2 == 0 {
            bench.during(May::Keep, || Ok(()))?;
        }
        engine.post(&[Work::Read { at: region.at, bytes: region.bytes() }; POSTED])?;
    }
    Ok(())
}

/// The module forgets it, and uses it when the process is gone.
pub(crate) fn forgotten_unbind(_: Scale, tally: &Tally) -> io::Result<()> {
    let counts = Region::place(4, 1).map_shared()?;
    let child = Child::fork(|| match end(0, counts) {
        Ok(()) => 0,
        Err(_) => 2,
    })?;
    let status = child.wait()?;
    tally.claim(status == Some(0), || format!("the child has ended with {status:?}"));
    tally.accessed(usize::try_from(counts.load(0, 0)).map_err(io::Error::other)?);
    Ok(())
}
