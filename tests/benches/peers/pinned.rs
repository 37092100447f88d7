//! Two threads at once, each on a processor of its own.
//!
//! Invariant: both begin when both are there; a turn takes as long as the slower one. On one processor there are no
//! two threads at once, and nobody asks for them.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tests_support::measure::round::Turn;

/// The two processors that this process may run on first; none if there is only one.
pub(crate) fn processors() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(None).ok()?;
    let mut allowed = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    Some([allowed.next()?, allowed.next()?])
}

/// Binds the calling thread to `cpu`.
pub(crate) fn pin(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu);
    // It may have been taken away meanwhile; then the spread says so.
    let _elsewhere = sched_setaffinity(None, &only);
}

/// Both do `work`, which does `operations` each and is made on its thread by `prepare`.
pub(crate) fn together<W: FnMut() -> u64>(
    operations: usize,
    processors: [usize; 2],
    prepare: impl Fn() -> W + Sync,
) -> Turn {
    let start = Barrier::new(2);
    let one = |cpu: usize| -> (Duration, u64) {
        pin(cpu);
        let mut work = prepare();
        black_box(work());
        start.wait();
        let began = Instant::now();
        let found = black_box(work());
        (began.elapsed(), found)
    };
    let one = &one;
    let both = thread::scope(|scope| {
        let threads = processors.map(|cpu| scope.spawn(move || one(cpu)));
        threads.map(|thread| thread.join().expect("the work does not panic"))
    });
    let [(first, found), (second, also)] = both;
    Turn { took: first.max(second), operations: 2 * operations as u64, checksum: found.wrapping_add(also) }
}
