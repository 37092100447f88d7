//! The next level: what the runs of successors hold together, without what any level before it holds.
//!
//! Invariant: each key comes out once, in ascending order, and memory is bounded by the room that is given, with a
//! floor of [`LEAST`] keys for each file that is read. Threads merge a range of keys each, and no key is in two ranges:
//! so what comes out depends on the ranges only as to which run of the level a key is in.
//!
//! The keys of all runs in a range go through one heap, into tiles. Each level is gone through beside a tile, by steps
//! that double, so that a level of few states costs few comparisons, however large the tile is. Source of the method:
//! Korf, Delayed Duplicate Detection, 2003; Stern and Dill, Using Magnetic Disk Instead of Main Memory in the
//! Murphi Verifier, 1998.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use super::store::{Folder, Key, Level, Reader, Run, Writer, first_from};

/// Runs that are merged at once.
pub(super) const MOST_RUNS: usize = 64;
/// Keys that are read at once at least.
const LEAST: usize = 32;
/// Keys that are looked at for each thread, to find where its range begins.
const SAMPLES: usize = 64;

/// Keys for each of so many readers that share so many bytes.
fn share<W>(bytes: usize, readers: usize) -> usize {
    (bytes / (2 * size_of::<W>()) / readers.max(1)).max(LEAST)
}

/// Several runs as one: their keys in ascending order, each once.
struct Union<'k, W: Key> {
    readers: Vec<Reader<'k, W>>,
    heads: BinaryHeap<Reverse<(W, usize)>>,
}

impl<'k, W: Key> Union<'k, W> {
    /// Of runs on disk and of keys in memory; `bytes` for reading.
    fn new(runs: Vec<Run>, kept: impl Iterator<Item = &'k [W]>, bytes: usize) -> io::Result<Self> {
        let most = share::<W>(bytes, runs.len());
        let runs = runs.into_iter().map(|run| Reader::of_run(run, most));
        let readers = runs.chain(kept.map(|keys| Ok(Reader::of_keys(keys))));
        let readers = readers.collect::<io::Result<Vec<_>>>()?;
        let head = |(index, reader): (usize, &Reader<W>)| reader.head().map(|head| Reverse((head, index)));
        let heads = readers.iter().enumerate().filter_map(head).collect();
        Ok(Self { readers, heads })
    }

    /// The next key.
    fn next(&mut self) -> io::Result<Option<W>> {
        let Some(Reverse((least, _))) = self.heads.peek().copied() else { return Ok(None) };
        while let Some(mut top) = self.heads.peek_mut()
            && top.0.0 == least
        {
            let reader = &mut self.readers[top.0.1];
            reader.advance()?;
            match reader.head() {
                Some(head) => top.0.0 = head,
                None => drop(std::collections::binary_heap::PeekMut::pop(top)),
            }
        }
        Ok(Some(least))
    }

    /// At most so many keys.
    fn tile(&mut self, most: usize, tile: &mut Vec<W>) -> io::Result<()> {
        tile.clear();
        while tile.len() < most
            && let Some(key) = self.next()?
        {
            tile.push(key);
        }
        Ok(())
    }
}

/// Merges runs into fewer, until there are few enough to be read at once.
pub(super) fn few<W: Key>(mut runs: Vec<Run>, folder: &dyn Folder, bytes: usize) -> io::Result<Vec<Run>> {
    while runs.len() > MOST_RUNS {
        let merged: Vec<Run> = runs.drain(..MOST_RUNS).collect();
        let mut union = Union::<W>::new(merged, std::iter::empty(), bytes)?;
        let mut writer = Writer::new(folder, bytes / 4)?;
        while let Some(key) = union.next()? {
            writer.push(key)?;
        }
        runs.push(writer.run::<W>()?);
    }
    Ok(runs)
}

/// What is merged, and with what.
pub(super) struct Merge<'a, W> {
    /// Successors on disk.
    pub(super) runs: &'a [Run],
    /// Successors in memory, each list ascending.
    pub(super) kept: &'a [Vec<W>],
    /// All levels before.
    pub(super) levels: &'a [Level],
    /// Bytes of memory for it, of all threads together.
    pub(super) bytes: usize,
}

/// A range of keys, and who merges it.
struct Task<'w, W> {
    from: W,
    /// None: to the last.
    to: Option<W>,
    writer: &'w mut Writer,
    run: Option<io::Result<Option<Run>>>,
}

/// How far all are.
struct Progress<'s> {
    found: AtomicUsize,
    /// Somebody has failed, or was told to stop.
    halted: AtomicBool,
    stops: &'s (dyn Fn(usize) -> bool + Sync),
}

impl<W: Key> Merge<'_, W> {
    /// Successors, each as often as it was found.
    pub(super) fn count(&self) -> usize {
        self.runs.iter().map(Run::count).chain(self.kept.iter().map(Vec::len)).sum()
    }

    /// Writes what is in a run and in no level, by a thread for each writer; none if `stops` says so, which is told how
    /// many were found.
    pub(super) fn fresh(
        &self,
        writers: &mut [Writer],
        stops: &(dyn Fn(usize) -> bool + Sync),
    ) -> io::Result<Option<Level>> {
        let threads = writers.len();
        let begins = self.begins(threads)?;
        let ends = begins.iter().skip(1).copied().map(Some).chain([None]);
        let ranges = begins.iter().copied().zip(ends).zip(writers);
        let mut tasks: Vec<Task<'_, W>> =
            ranges.map(|((from, to), writer)| Task { from, to, writer, run: None }).collect();
        let progress = Progress { found: AtomicUsize::new(0), halted: AtomicBool::new(false), stops };
        thread::scope(|scope| {
            let mut others = tasks.iter_mut();
            let own = others.next();
            for other in others {
                // Who is not started is asked again below.
                let _started =
                    thread::Builder::new().spawn_scoped(scope, || other.run(self, threads, &progress));
            }
            if let Some(own) = own {
                own.run(self, threads, &progress);
            }
        });
        let mut runs = Some(Vec::new());
        for mut task in tasks {
            task.run(self, threads, &progress);
            let run = task.run.expect("it has just run")?;
            runs = runs.zip(run).map(|(mut runs, run)| {
                runs.push(run);
                runs
            });
        }
        Ok(runs.map(Level::of))
    }

    /// Where the ranges of at most so many threads begin, about equally many keys in each.
    fn begins(&self, threads: usize) -> io::Result<Vec<W>> {
        let mut begins = vec![W::ZERO];
        if threads == 1 {
            return Ok(begins);
        }
        let step = (self.count() / (threads * SAMPLES)).max(1);
        let mut samples: Vec<W> =
            self.kept.iter().flat_map(|keys| keys.iter().step_by(step)).copied().collect();
        for run in self.runs {
            for index in (0..run.len).step_by(step) {
                samples.push(run.key(index)?);
            }
        }
        samples.sort_unstable();
        begins.extend((1..threads).filter_map(|part| samples.get(part * samples.len() / threads)).copied());
        begins.dedup();
        Ok(begins)
    }
}

impl<W: Key> Task<'_, W> {
    /// Merges its range, if that was not done.
    fn run(&mut self, merge: &Merge<'_, W>, threads: usize, progress: &Progress<'_>) {
        if self.run.is_none() {
            let run = self.merged(merge, merge.bytes / threads, progress);
            if run.is_err() {
                progress.halted.store(true, Relaxed);
            }
            self.run = Some(run);
        }
    }

    fn merged(
        &mut self,
        merge: &Merge<'_, W>,
        bytes: usize,
        progress: &Progress<'_>,
    ) -> io::Result<Option<Run>> {
        let (from, to) = (self.from, self.to);
        let within = |run: &Run| run.within(from, to);
        let runs = merge.runs.iter().map(within).collect::<io::Result<Vec<_>>>()?;
        let kept = merge.kept.iter().map(|keys| {
            let below = |key: W| keys.partition_point(|kept| *kept < key);
            &keys[below(from)..to.map_or(keys.len(), below)]
        });
        let mut union = Union::new(runs, kept, bytes / 2)?;
        let levels = merge.levels.iter().flat_map(Level::runs).map(within);
        let levels = levels.filter(|run| run.as_ref().map_or(true, |run| run.len > 0));
        let levels = levels.collect::<io::Result<Vec<_>>>()?;
        let most = share::<W>(bytes / 4, levels.len());
        let levels = levels.into_iter().map(|level| Reader::of_run(level, most));
        let mut levels = levels.collect::<io::Result<Vec<_>>>()?;
        let (mut tile, mut known) = (Vec::new(), Vec::new());
        loop {
            union.tile((bytes / 8 / size_of::<W>()).max(LEAST), &mut tile)?;
            if tile.is_empty() {
                return self.writer.run::<W>().map(Some);
            }
            known.clear();
            known.resize(tile.len(), false);
            for level in &mut levels {
                mark(&tile, level, &mut known)?;
            }
            let fresh = || tile.iter().zip(&known).filter(|(_, known)| !**known).map(|(key, _)| *key);
            fresh().try_for_each(|key| self.writer.push(key))?;
            let new = fresh().count();
            let found = progress.found.fetch_add(new, Relaxed) + new;
            if (progress.stops)(found) {
                progress.halted.store(true, Relaxed);
            }
            if progress.halted.load(Relaxed) {
                return Ok(None);
            }
        }
    }
}

/// Marks the keys of the tile that the level has.
fn mark<W: Key>(tile: &[W], level: &mut Reader<'_, W>, known: &mut [bool]) -> io::Result<()> {
    let mut at = 0;
    while let Some(&wanted) = tile.get(at) {
        level.skip_to(wanted)?;
        let Some(head) = level.head() else { return Ok(()) };
        if head == wanted {
            known[at] = true;
            at += 1;
        } else {
            at = first_from(tile, at, head);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
