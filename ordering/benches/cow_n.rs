//! The explorer on `cow-n` with four pages, two devices and three reads: proofs with and without reductions, and the
//! refutation of the late notification. Each row checks its counts before it is timed.
//!
//! Run: `cargo bench -p afterimage-ordering --bench cow_n [-- FILTER]`. Times include the compilation of the model.
//! Compare rows of one run with each other, not runs.

use divan::{Bencher, black_box};
use ordering::engine::cow_n::{Order, Size, cow_n};
use ordering::engine::{
    Options, Outcome, PersistentSets, Reduction, Reductions, Threads, Verdict, compile, explore,
};
use ordering::model::Model;

const LIVENESS: Reductions =
    Reductions { liveness: Reduction::On, symmetry: Reduction::Off, persistent_sets: PersistentSets::Off };
const PERSISTENT_SETS: Reductions =
    Reductions { liveness: Reduction::Off, symmetry: Reduction::Off, persistent_sets: PersistentSets::On };
const THREADS: [usize; 2] = [1, 2];

fn main() {
    divan::main();
}

fn explored(model: &Model, reductions: Reductions, threads: usize) -> Outcome {
    let packed = compile(model).expect("cow-n is well formed");
    explore(&packed, &Options { reductions, threads: Threads::new(threads), ..Options::default() })
}

/// `transitions` are asserted where every one is taken.
fn proof(
    bencher: Bencher<'_, '_>,
    reductions: Reductions,
    threads: usize,
    states: usize,
    transitions: Option<u64>,
) {
    let model = cow_n(Size { pages: 4, devices: 2, reads: 3 }, Order::NotifyFirst);
    let outcome = explored(&model, reductions, threads);
    assert_eq!(outcome.verdict, Verdict::Proved);
    assert_eq!(outcome.statistics.states, states);
    assert!(transitions.is_none_or(|count| outcome.statistics.transitions == count));
    bencher.bench_local(|| explored(black_box(&model), reductions, threads));
}

#[divan::bench(args = THREADS, sample_count = 50)]
fn proof_reduced(bencher: Bencher<'_, '_>, threads: usize) {
    proof(bencher, Reductions::PAYING, threads, 100_486, None);
}

#[divan::bench(args = THREADS, sample_count = 5, sample_size = 1)]
fn proof_with_liveness(bencher: Bencher<'_, '_>, threads: usize) {
    proof(bencher, LIVENESS, threads, 1_023_610, None);
}

#[divan::bench(args = THREADS, sample_count = 5, sample_size = 1)]
fn proof_with_persistent_sets(bencher: Bencher<'_, '_>, threads: usize) {
    proof(bencher, PERSISTENT_SETS, threads, 1_808_563, None);
}

#[divan::bench(args = THREADS, sample_count = 3, sample_size = 1)]
fn proof_unreduced(bencher: Bencher<'_, '_>, threads: usize) {
    proof(bencher, Reductions::NONE, threads, 10_551_666, Some(46_382_002));
}

#[divan::bench(args = THREADS, sample_count = 50)]
fn counterexample(bencher: Bencher<'_, '_>, threads: usize) {
    let model = cow_n(Size { pages: 4, devices: 2, reads: 3 }, Order::NotifyLast);
    let Verdict::Violated { trace, .. } = explored(&model, Reductions::PAYING, threads).verdict else {
        panic!("the late notification must be refuted");
    };
    assert_eq!(trace.steps.len(), 9);
    bencher.bench_local(|| explored(black_box(&model), Reductions::PAYING, threads));
}
