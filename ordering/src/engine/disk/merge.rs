//! The next level: what the runs of successors hold together, without what any level before it holds.
//!
//! Invariant: each key comes out once, in ascending order, and memory is bounded by the room that is given, with a
//! floor of [`LEAST`] keys for each file that is read.
//!
//! The keys of all runs go through one heap, into tiles. Each level is gone through beside a tile, by steps that
//! double, so that a level of few states costs few comparisons, however large the tile is. Source of the method:
//! Korf, Delayed Duplicate Detection, 2003; Stern and Dill, Using Magnetic Disk Instead of Main Memory in the
//! Murphi Verifier, 1998.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::store::{Folder, Key, Reader, Run, Writer, first_from};

/// Runs that are merged at once.
pub(super) const MOST_RUNS: usize = 64;
/// Keys that are read at once at least.
const LEAST: usize = 32;

/// Keys for each of so many readers that share so many bytes.
fn share<W>(bytes: usize, readers: usize) -> usize {
    (bytes / (2 * size_of::<W>()) / readers.max(1)).max(LEAST)
}

/// Several runs as one: their keys in ascending order, each once.
pub(super) struct Union<W: Key> {
    readers: Vec<Reader<W>>,
    heads: BinaryHeap<Reverse<(W, usize)>>,
}

impl<W: Key> Union<W> {
    /// Of runs on disk and of keys in memory; `bytes` for reading.
    pub(super) fn new(runs: &[Run], kept: Vec<Vec<W>>, bytes: usize) -> io::Result<Self> {
        let most = share::<W>(bytes, runs.len());
        let runs = runs.iter().map(|run| Reader::of_run(run.clone(), most));
        let readers = runs.chain(kept.into_iter().map(|keys| Ok(Reader::of_keys(keys))));
        let readers = readers.collect::<io::Result<Vec<_>>>()?;
        let head = |(index, reader): (usize, &Reader<W>)| reader.head().map(|head| Reverse((head, index)));
        let heads = readers.iter().enumerate().filter_map(head).collect();
        Ok(Self { readers, heads })
    }

    /// The next key.
    pub(super) fn next(&mut self) -> io::Result<Option<W>> {
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
        let mut union = Union::<W>::new(&merged, Vec::new(), bytes)?;
        let mut writer = Writer::new(folder, bytes / 4)?;
        while let Some(key) = union.next()? {
            writer.push(key)?;
        }
        runs.push(writer.run::<W>()?);
    }
    Ok(runs)
}

/// Writes what `union` has and no level does; none if `stops` says so, which is told how many were found.
pub(super) fn fresh<W: Key>(
    union: &mut Union<W>,
    levels: &[Run],
    writer: &mut Writer,
    bytes: usize,
    mut stops: impl FnMut(usize) -> bool,
) -> io::Result<Option<Run>> {
    let most = share::<W>(bytes / 2, levels.len());
    let levels = levels.iter().map(|level| Reader::of_run(level.clone(), most));
    let mut levels = levels.collect::<io::Result<Vec<_>>>()?;
    let (mut tile, mut known, mut found) = (Vec::new(), Vec::new(), 0);
    loop {
        union.tile((bytes / 4 / size_of::<W>()).max(LEAST), &mut tile)?;
        if tile.is_empty() {
            return writer.run::<W>().map(Some);
        }
        known.clear();
        known.resize(tile.len(), false);
        for level in &mut levels {
            mark(&tile, level, &mut known)?;
        }
        for (&key, _) in tile.iter().zip(&known).filter(|(_, known)| !**known) {
            writer.push(key)?;
            found += 1;
        }
        if stops(found) {
            return Ok(None);
        }
    }
}

/// Marks the keys of the tile that the level has.
fn mark<W: Key>(tile: &[W], level: &mut Reader<W>, known: &mut [bool]) -> io::Result<()> {
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
