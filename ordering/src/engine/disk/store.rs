//! Sorted keys in files without names: runs of them, and readers that go through a run in order.
//!
//! Invariant: a file has no name in its folder from the beginning, so the host takes its room back when the program
//! ends, however it ends. The keys of a run ascend, and none is in it twice. What cannot be written or read is an
//! error of the host and never taken for the end of a run.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::super::word::Word;

/// A word that can be written to a file.
pub(in super::super) trait Key: Word {
    /// Appends its bytes.
    fn write(self, bytes: &mut Vec<u8>);
    /// The key of as many bytes.
    fn read(bytes: &[u8]) -> Self;
}

impl Key for u64 {
    #[inline]
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("a key has eight bytes"))
    }
}

impl Key for u128 {
    #[inline]
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("a key has sixteen bytes"))
    }
}

/// Makes files that nobody else can open.
pub(super) trait Folder: Sync {
    /// A new one, empty.
    fn file(&self) -> io::Result<File>;
}

impl Folder for &Path {
    fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(self)
    }
}

/// Keys that were written one after the other.
#[derive(Clone, Debug)]
pub(super) struct Run {
    file: Arc<File>,
    /// Where they begin, in bytes.
    begin: u64,
    /// How many keys.
    pub(super) len: u64,
}

/// A number of keys that were found one by one.
fn index(keys: u64) -> usize {
    usize::try_from(keys).expect("this is a machine of 64 bits")
}

impl Run {
    /// How many keys, as memory counts them.
    pub(super) fn count(&self) -> usize {
        index(self.len)
    }

    /// Reads keys from the one with this index on, as many as there are and `keys` has room for.
    pub(super) fn read<W: Key>(
        &self,
        from: u64,
        most: usize,
        bytes: &mut Vec<u8>,
        keys: &mut Vec<W>,
    ) -> io::Result<()> {
        let left = self.count() - index(from.min(self.len));
        bytes.resize(most.min(left) * size_of::<W>(), 0);
        self.file.read_exact_at(bytes, self.begin + from * size_of::<W>() as u64)?;
        keys.extend(bytes.chunks_exact(size_of::<W>()).map(W::read));
        Ok(())
    }

    /// Its keys from `from` on and before `to`, if there is such.
    pub(super) fn within<W: Key>(&self, from: W, to: Option<W>) -> io::Result<Self> {
        let begin = if from == W::ZERO { 0 } else { self.first_from(from)? };
        let end = to.map_or(Ok(self.len), |to| self.first_from(to))?;
        let bytes = begin * size_of::<W>() as u64;
        Ok(Self { file: Arc::clone(&self.file), begin: self.begin + bytes, len: end.saturating_sub(begin) })
    }

    /// The index of the first key that is not less than `key`.
    fn first_from<W: Key>(&self, key: W) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if self.key::<W>(middle)? < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The key with this index, which is one.
    pub(super) fn key<W: Key>(&self, index: u64) -> io::Result<W> {
        let (mut bytes, mut keys) = (Vec::new(), Vec::new());
        self.read(index, 1, &mut bytes, &mut keys)?;
        keys.pop().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

/// The states of a level: runs of which each ends before the next begins.
#[derive(Clone, Debug)]
pub(super) struct Level {
    runs: Vec<Run>,
    /// How many keys.
    pub(super) len: u64,
}

impl Level {
    /// Of runs that ascend, each above the one before.
    pub(super) fn of(runs: Vec<Run>) -> Self {
        Self { len: runs.iter().map(|run| run.len).sum(), runs }
    }

    /// Its runs.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How many keys, as memory counts them.
    pub(super) fn count(&self) -> usize {
        index(self.len)
    }

    /// Reads keys from the one with this index on, as many as there are and `keys` has room for.
    pub(super) fn read<W: Key>(
        &self,
        mut from: u64,
        mut most: usize,
        bytes: &mut Vec<u8>,
        keys: &mut Vec<W>,
    ) -> io::Result<()> {
        for run in &self.runs {
            if from >= run.len {
                from -= run.len;
                continue;
            }
            let before = keys.len();
            run.read(from, most, bytes, keys)?;
            most -= keys.len() - before;
            if most == 0 {
                break;
            }
            from = 0;
        }
        Ok(())
    }
}

/// Writes runs, one behind the other.
#[derive(Debug)]
pub(super) struct Writer {
    file: Arc<File>,
    begin: u64,
    end: u64,
    bytes: Vec<u8>,
    room: usize,
}

impl Writer {
    /// Into a new file, at most so many bytes at once.
    pub(super) fn new(folder: &dyn Folder, room: usize) -> io::Result<Self> {
        Ok(Self { file: Arc::new(folder.file()?), begin: 0, end: 0, bytes: Vec::new(), room })
    }

    /// Appends a key to the run.
    #[inline]
    pub(super) fn push<W: Key>(&mut self, key: W) -> io::Result<()> {
        key.write(&mut self.bytes);
        if self.bytes.len() >= self.room { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.end)?;
        self.end += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Ends the run; the next one begins.
    pub(super) fn run<W: Key>(&mut self) -> io::Result<Run> {
        self.flush()?;
        let begin = std::mem::replace(&mut self.begin, self.end);
        Ok(Run { file: Arc::clone(&self.file), begin, len: (self.end - begin) / size_of::<W>() as u64 })
    }
}

/// Goes through ascending keys.
#[derive(Debug)]
pub(super) struct Reader<'k, W> {
    /// None: all keys are in `kept`.
    run: Option<Run>,
    /// Keys of the run that were read.
    read: u64,
    keys: Vec<W>,
    kept: &'k [W],
    at: usize,
    /// Keys that are read at once.
    most: usize,
    bytes: Vec<u8>,
}

impl<'k, W: Key> Reader<'k, W> {
    /// Of a run, so many keys at once.
    pub(super) fn of_run(run: Run, most: usize) -> io::Result<Self> {
        let mut reader = Self { run: Some(run), most: most.max(1), ..Self::of_keys(&[]) };
        reader.refill()?;
        Ok(reader)
    }

    /// Of keys that are in memory.
    pub(super) fn of_keys(kept: &'k [W]) -> Self {
        Self { run: None, read: 0, keys: Vec::new(), kept, at: 0, most: 0, bytes: Vec::new() }
    }

    /// Those that are at hand.
    #[inline]
    fn keys(&self) -> &[W] {
        if self.run.is_some() { &self.keys } else { self.kept }
    }

    /// The least key that is left.
    #[inline]
    pub(super) fn head(&self) -> Option<W> {
        self.keys().get(self.at).copied()
    }

    /// Leaves the least key behind.
    #[inline]
    pub(super) fn advance(&mut self) -> io::Result<()> {
        self.at += 1;
        if self.at == self.keys().len() { self.refill() } else { Ok(()) }
    }

    /// Leaves behind all that are less than `key`.
    #[inline]
    pub(super) fn skip_to(&mut self, key: W) -> io::Result<()> {
        loop {
            self.at = first_from(self.keys(), self.at, key);
            if self.at < self.keys().len() || self.keys().is_empty() {
                return Ok(());
            }
            self.refill()?;
        }
    }

    /// Reads on; at the end there are no keys.
    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        let Some(run) = &self.run else {
            self.kept = &[];
            return Ok(());
        };
        self.keys.clear();
        run.read(self.read, self.most, &mut self.bytes, &mut self.keys)?;
        self.read += self.keys.len() as u64;
        Ok(())
    }
}

/// The first place from `at` on where a key is not less than `key`: near places are tried first.
#[inline]
pub(super) fn first_from<W: Ord + Copy>(keys: &[W], at: usize, key: W) -> usize {
    let mut step = 1;
    let mut low = at;
    while low + step < keys.len() && keys[low + step] < key {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(keys.len());
    low + keys[low..high].partition_point(|other| *other < key)
}
