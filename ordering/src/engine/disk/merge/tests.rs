//! Claims about merging by several threads: what comes out is what one thread finds, in ranges one above the other.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use super::super::store::{Folder, Level, Run, Writer};
use super::Merge;

/// Keys of which many are in several runs.
struct Random(u64);

impl Random {
    fn keys(&mut self, count: usize) -> Vec<u64> {
        let key = |_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (1 << 63) | (self.0 % 20_000)
        };
        let keys: BTreeSet<u64> = (0..count).map(key).collect();
        keys.into_iter().collect()
    }
}

struct Anywhere;

impl Folder for Anywhere {
    fn file(&self) -> io::Result<File> {
        tempfile::tempfile()
    }
}

fn written(keys: &[u64]) -> Run {
    let mut writer = Writer::new(&Anywhere, 512).unwrap();
    keys.iter().try_for_each(|key| writer.push(*key)).unwrap();
    writer.run::<u64>().unwrap()
}

fn read(level: &Level) -> Vec<u64> {
    let (mut bytes, mut keys) = (Vec::new(), Vec::new());
    while (keys.len() as u64) < level.len {
        // Over the end of a run, too.
        level.read(keys.len() as u64, 100, &mut bytes, &mut keys).unwrap();
    }
    keys
}

struct Setting {
    runs: Vec<Run>,
    kept: Vec<Vec<u64>>,
    levels: Vec<Level>,
    expected: Vec<u64>,
}

fn setting() -> Setting {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let found: Vec<Vec<u64>> = [4000, 3000, 10, 1, 2500, 700].map(|count| random.keys(count)).into();
    let known: Vec<Vec<u64>> = [1, 50, 6000, 3000].map(|count| random.keys(count)).into();
    let mut all: BTreeSet<u64> = found.iter().flatten().copied().collect();
    for key in known.iter().flatten() {
        all.remove(key);
    }
    let (runs, kept) = found.split_at(4);
    let level = |keys: &Vec<u64>| Level::of(keys.chunks(1000).map(written).collect());
    Setting {
        runs: runs.iter().map(|keys| written(keys)).collect(),
        kept: kept.to_vec(),
        levels: known.iter().map(level).collect(),
        expected: all.into_iter().collect(),
    }
}

fn writers(count: usize) -> Vec<Writer> {
    (0..count).map(|_| Writer::new(&Anywhere, 512).unwrap()).collect()
}

#[test]
fn any_number_of_threads_merges_what_one_does() {
    let Setting { runs, kept, levels, expected } = setting();
    assert!(expected.len() > 2000, "{}", expected.len());
    for threads in 1..=8 {
        let merge = Merge { runs: &runs, kept: &kept, levels: &levels, bytes: 1 << 13 };
        let mut writers = writers(threads);
        for round in 0..2 {
            // A writer goes on behind what it has written.
            let level = merge.fresh(&mut writers, &|_| false).unwrap().expect("nobody stops it");
            assert_eq!(read(&level), expected, "{threads} threads, round {round}");
            assert_eq!(level.runs().len(), threads, "each has merged a range");
            let least = expected.len() as u64 / threads as u64 / 2;
            assert!(level.runs().iter().all(|run| run.len > least), "no range is much smaller than others");
        }
    }
}

#[test]
fn a_merge_is_stopped_when_there_are_too_many() {
    let Setting { runs, kept, levels, expected } = setting();
    for threads in [1, 3] {
        let merge = Merge { runs: &runs, kept: &kept, levels: &levels, bytes: 1 << 13 };
        let most = expected.len() - 1;
        assert!(merge.fresh(&mut writers(threads), &|found| found > most).unwrap().is_none());
        let most = expected.len();
        assert!(merge.fresh(&mut writers(threads), &|found| found > most).unwrap().is_some());
    }
}
