//! Claims about the search on disk: it is the one in memory, also where everything must be merged.

use std::fs::{File, OpenOptions, read_dir};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::super::cow_n::{Order, Size, cow_n};
use super::super::pruned::Pruned;
use super::super::tables::Tables;
use super::super::{Counting, Options, Outcome, Reductions, Threads, compile};
use super::store::Folder;
use super::{Bound, DiskError, Verdict, explore, explored};
use crate::model::Model;

/// Counts the files that were made.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Folder for Counted {
    fn file(&self) -> io::Result<File> {
        self.0.fetch_add(1, Relaxed);
        tempfile::tempfile()
    }
}

/// Every write into its files finds no room.
struct Filled;

impl Folder for Filled {
    fn file(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open("/dev/full")
    }
}

/// What the search in memory says, as far as the one on disk says it: the end must always be within reach.
fn in_memory(model: &Model, options: &Options<'_>) -> Outcome {
    super::super::explore(&compile(model).unwrap(), &Options { interleavings: Counting::Off, ..*options })
}

/// With so few bytes that runs are merged; how many files that took.
fn on_disk(model: &Model, options: &Options<'_>, memory_bytes: usize) -> (Outcome, usize) {
    let folder = Counted::default();
    let options = Options { memory_bytes, ..*options };
    let outcome = explored(&compile(model).unwrap(), &options, &folder).map_err(|(_, error)| error).unwrap();
    (outcome, folder.0.into_inner())
}

fn assert_same(disk: &Outcome, mut memory: Outcome, context: &str) {
    memory.statistics.bytes = disk.statistics.bytes;
    assert_eq!(*disk, memory, "{context}");
}

#[test]
fn a_protocol_is_proved_and_refuted_on_disk_as_in_memory() {
    for order in [Order::NotifyFirst, Order::NotifyLast] {
        let model = cow_n(Size { pages: 2, devices: 2, reads: 2 }, order);
        for reductions in [Reductions::ALL, Reductions::PAYING, Reductions::NONE] {
            for threads in [Threads::ONE, Threads::new(3).each_from(16)] {
                let options = Options { reductions, threads, ..Options::default() };
                let (disk, files) = on_disk(&model, &options, 1 << 11);
                // One holds the levels.
                assert!(files > 1, "nothing was spilled: {files} files");
                assert_same(
                    &disk,
                    in_memory(&model, &options),
                    &format!("{order:?} {reductions:?} {threads:?}"),
                );
            }
        }
    }
}

#[test]
fn more_runs_than_can_be_read_at_once_are_merged_first() {
    let model = cow_n(Size { pages: 2, devices: 2, reads: 3 }, Order::NotifyFirst);
    let options = Options { reductions: Reductions::NONE, ..Options::default() };
    let (disk, files) = on_disk(&model, &options, 1 << 10);
    let levels = disk.statistics.depth + 1;
    assert!(files > 1 + levels, "{files} files for {levels} levels: none is that of runs that were merged");
    assert_same(&disk, in_memory(&model, &options), "cow-n");
}

#[test]
fn what_is_in_memory_is_not_written() {
    let model = cow_n(Size { pages: 2, devices: 1, reads: 2 }, Order::NotifyFirst);
    let (_, files) = on_disk(&model, &Options::default(), 1 << 24);
    assert_eq!(files, 1, "the levels alone");
}

#[test]
fn a_wide_state_is_written_and_read_whole() {
    let model = cow_n(Size { pages: 2, devices: 2, reads: 2 }, Order::NotifyLast);
    let options = Options { memory_bytes: 1 << 11, ..Options::default() };
    let pruned = Pruned::of(&model, None).unwrap();
    let narrow = Tables::<u64>::of(&model, &pruned, None).unwrap();
    let wide = Tables::<u128>::of(&model, &pruned, None).unwrap();
    let folder = Counted::default();
    let narrow =
        super::explore_tables(&model, &narrow, &options, &folder).map_err(|(_, error)| error).unwrap();
    let wide = super::explore_tables(&model, &wide, &options, &folder).map_err(|(_, error)| error).unwrap();
    assert_same(&wide, narrow, "128 bits");
}

#[test]
fn every_scenario_of_the_catalogue_has_the_outcome_that_it_has_in_memory() {
    let (mut merged, mut undecided) = (0, 0);
    for entry in crate::catalogue::entries() {
        let (model, name) = (&entry.lowered.model, &entry.lowered.name);
        let options = Options::default();
        let (disk, files) = on_disk(model, &options, 1 << 11);
        let memory = in_memory(model, &options);
        merged += usize::from(files > 1);
        match disk.verdict {
            Verdict::BoundHit { what: Bound::Ends } => {
                undecided += 1;
                assert!(!matches!(memory.verdict, Verdict::BoundHit { .. }), "{name}");
            }
            Verdict::Proved | Verdict::Violated { .. } | Verdict::BoundHit { .. } => {
                assert_same(&disk, memory, name);
            }
        }
    }
    assert!(merged > 20, "{merged} scenarios were spilled");
    assert!(undecided > 0, "no scenario needs the graph: what is refused is not tried");
}

#[test]
fn what_needs_the_graph_is_asked_in_memory_where_it_fits() {
    let round = |entry: &crate::catalogue::Entry| {
        let (disk, _) = on_disk(&entry.lowered.model, &Options::default(), 1 << 11);
        disk.verdict == Verdict::BoundHit { what: Bound::Ends }
    };
    let entries = crate::catalogue::entries();
    let entry = entries.iter().find(|entry| round(entry)).expect("some scenario goes round");
    let model = &entry.lowered.model;
    let (disk, _) = on_disk(model, &Options::default(), 1 << 26);
    assert_same(&disk, in_memory(model, &Options::default()), &entry.lowered.name);
}

#[test]
fn a_limit_of_states_is_no_proof_on_disk_either() {
    let model = cow_n(Size { pages: 2, devices: 2, reads: 2 }, Order::NotifyFirst);
    let options = Options { reductions: Reductions::NONE, max_states: 2000, ..Options::default() };
    let (disk, _) = on_disk(&model, &options, 1 << 11);
    assert_eq!(disk.verdict, Verdict::BoundHit { what: Bound::States { count: 2000 } });
    assert_same(&disk, in_memory(&model, &options), "2000 states");
}

#[test]
fn a_full_disk_is_an_error_and_no_outcome() {
    let model = cow_n(Size { pages: 2, devices: 2, reads: 2 }, Order::NotifyFirst);
    let options = Options { memory_bytes: 1 << 11, ..Options::default() };
    let failed = explored(&compile(&model).unwrap(), &options, &Filled).unwrap_err().1;
    assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn nothing_is_left_in_the_folder_and_a_folder_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let packed = compile(&cow_n(Size { pages: 1, devices: 2, reads: 2 }, Order::NotifyFirst)).unwrap();
    let options = Options { memory_bytes: 1 << 10, ..Options::default() };
    explore(&packed, &options, folder.path()).unwrap();
    assert_eq!(read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("missing");
    let refused = explore(&packed, &options, &missing).unwrap_err();
    assert!(matches!(refused, DiskError::Refused { .. }));
    assert!(refused.to_string().contains("missing"), "{refused}");
}
