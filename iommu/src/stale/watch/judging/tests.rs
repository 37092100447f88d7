//! What is locked while a case is judged: nothing that software may be holding.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use crate::spec::id::SourceId;
use crate::stale::Moment;
use crate::stale::watch::{InterruptUse, Judging, StaleOptions, Watch, Watching};

/// A watch with a case that is due.
fn watch() -> Watch {
    watch_for(Duration::ZERO)
}

/// A watch with a case that is due when it was there for `patience`.
fn watch_for(patience: Duration) -> Watch {
    let judging = Judging::Late(patience);
    let memory = Arc::new(PhysicalMemory::new(2 << 20).unwrap());
    let watch = Watch::new(StaleOptions { watching: Watching::EveryUse, judging }, &memory).unwrap();
    let filled = Moment { event: 0, elapsed: Duration::ZERO };
    let (source, place) = (SourceId::new(0, 3, 0), PhysAddr(0));
    let used = InterruptUse { source, index: 0, cached: [1, 0], filled, place, now: Some([0, 0]) };
    watch.meet_interrupt(&used, &[]);
    watch
}

#[test]
fn the_queue_is_looked_at_with_nothing_locked() {
    for is_end in [false, true] {
        let watch = watch();
        let mut was_free = None;
        watch.judge(is_end, || {
            was_free = Some(watch.state.try_lock().is_some());
            Vec::new()
        });
        assert_eq!(
            (was_free, watch.count()),
            (Some(true), 1),
            "whoever writes a register may wait for the state"
        );
    }
}

#[test]
fn the_queue_is_not_looked_at_for_nothing() {
    let watch = watch();
    watch.judge(false, Vec::new);
    watch.judge(false, || panic!("nothing is due"));
    watch.judge(true, || panic!("nothing is left"));
}

/// Whoever stops the whole program stops software, too, which may be about to invalidate.
#[test]
fn time_in_which_nobody_looked_counts_half_the_patience_at_most() {
    const PATIENCE: Duration = Duration::from_millis(20);
    let watch = watch_for(PATIENCE);
    sleep(PATIENCE * 2);
    watch.judge(false, || panic!("nothing is due"));
    assert_eq!(watch.count(), 0, "stopped");
    sleep(PATIENCE * 2);
    watch.judge(false, Vec::new);
    assert_eq!(watch.count(), 1, "looked at twice, half the patience apart");
}
