//! The start and the end of a notification to which nobody listens.
//!
//! Invariant: each one is opened and closed; the lock that is read is what a chain cannot do without, and more than
//! which only the sequence is.

use std::hint::black_box;

use mmu::address::{VirtAddr, VirtRange};
use mmu::notifier::{Blocking, Invalidation, InvalidationKind, NotifierChain};
use parking_lot::RwLock;
use tests_support::measure::round::{Row, Unit, turn};
use tests_support::measure::target::Held;

use crate::Run;

const TIMES: usize = 100_000;

pub(crate) fn run(run: &mut Run) {
    let count = run.effort.pick(TIMES, 16);
    let chain = NotifierChain::default();
    let range = VirtRange::page(VirtAddr(0x10_0000_0000));
    let invalidation = Invalidation { range, kind: InvalidationKind::Clear, blocking: Blocking::Allowed };
    let lock = RwLock::new(1_u64);
    let ours = || {
        let ended = || (0..count).filter(|_| chain.start(black_box(invalidation)).map(drop).is_ok()).count();
        turn(count, || ended() as u64)
    };
    let read = || turn(count, || (0..count).map(|_| *black_box(&lock).read()).sum());
    let row = Row::new("notifier start + end, nobody inside", Unit::Nanoseconds, ours)
        .at_most(100.0, 25.0)
        .against("a lock that is read", Held::Nothing, read);
    run.rows.push(row.run(run.effort));
}
