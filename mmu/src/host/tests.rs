//! The barrier on every CPU, on the CPUs at hand: loom models only what it is supposed to do. And what the mapping is told.
//!
//! Invariant: no test fails because of how threads are scheduled. Threads that never run at the same time see nothing.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::thread;
use std::time::{Duration, Instant};

use super::{SharedMapping, process_barrier};

/// Far more than it takes to see a store overtaken by a load, where nothing prevents it.
const ROUNDS: u64 = 100_000;
/// On a machine that is busy with something else, fewer.
const ENOUGH: Duration = Duration::from_secs(3);
/// The round of who has stopped.
const STOPPED: u64 = u64::MAX;

/// Alone on its cache line, and on the one that is fetched with it.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// Two threads, each of which stores to its own word and then looks at the other's.
#[derive(Default)]
struct StoreBuffering {
    words: [Line; 2],
    /// How far each has got.
    rounds: [Line; 2],
    /// What the accessing side saw.
    seen: Line,
}

impl StoreBuffering {
    /// Waits until both have got to `round`; false if the other has stopped.
    fn meet(&self, who: usize, round: u64) -> bool {
        self.rounds[who].0.store(round, Ordering::SeqCst);
        let mut polls = 0_u32;
        loop {
            match self.rounds[1 - who].0.load(Ordering::SeqCst) {
                STOPPED => return false,
                other if other >= round => return true,
                _ => {}
            }
            polls += 1;
            if polls.is_multiple_of(1 << 12) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// The accessing side, as a reader of the drain: only the compiler is kept from moving the load.
    fn access(&self) {
        let mut round = 1;
        while self.meet(0, 2 * round) {
            self.words[0].0.store(round, Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
            self.seen.0.store(self.words[1].0.load(Ordering::Relaxed), Ordering::Relaxed);
            if !self.meet(0, 2 * round + 1) {
                return;
            }
            round += 1;
        }
    }

    /// The waiting side: rounds in which neither saw the other's store.
    fn wait(&self, barrier: fn() -> bool) -> u64 {
        let begun = Instant::now();
        let mut missed = 0;
        for round in (1..ROUNDS).take_while(|_| begun.elapsed() < ENOUGH) {
            self.meet(1, 2 * round);
            self.words[1].0.store(round, Ordering::Relaxed);
            assert!(barrier(), "it has worked before");
            let seen = self.words[0].0.load(Ordering::Relaxed);
            self.meet(1, 2 * round + 1);
            missed += u64::from(seen != round && self.seen.0.load(Ordering::Relaxed) != round);
        }
        self.rounds[1].0.store(STOPPED, Ordering::SeqCst);
        missed
    }
}

#[test]
fn behind_the_barrier_no_store_is_hidden_from_both_sides() {
    if !process_barrier() {
        println!("skipped: the kernel has no membarrier");
        return;
    }
    let shared = StoreBuffering::default();
    let missed = thread::scope(|scope| {
        scope.spawn(|| shared.access());
        shared.wait(process_barrier)
    });
    assert_eq!(missed, 0);
}

#[test]
fn a_core_dump_leaves_physical_memory_out() {
    let mapping = SharedMapping::new(1 << 20, 0..0).expect("some memory can be mapped");
    let maps = fs::read_to_string("/proc/self/smaps").expect("a process may look at itself");
    let begin = format!("{:x}-", mapping.address());
    let own = maps.lines().skip_while(|line| !line.starts_with(&begin));
    let flags = own.skip(1).find_map(|line| line.strip_prefix("VmFlags:")).expect("it is mapped");
    // proc(5): do not include area into core dump.
    assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{flags}");
}
