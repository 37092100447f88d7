//! What is remembered and told of many invalidations.

use std::time::Duration;

use super::{Log, MOST_INVALIDATIONS, MOST_TOLD, Received};
use crate::spec::descriptor::{Descriptor, IotlbScope};
use crate::stale::Moment;

fn log_of(count: usize) -> Log {
    let mut log = Log::default();
    for event in 0..count as u64 {
        let at = Moment { event, elapsed: Duration::ZERO };
        let invalidation = Descriptor::Iotlb { scope: IotlbScope::Global, drains: true };
        log.push(Received { at, invalidation, carried_out: true });
    }
    log
}

#[test]
fn the_newest_are_told_and_the_others_counted() {
    for count in [0, 1, MOST_TOLD, MOST_TOLD + 1, MOST_INVALIDATIONS, MOST_INVALIDATIONS + 9] {
        let log = log_of(count);
        let told: Vec<_> = log.since(0).map(|received| received.at.event).collect();
        let first = count.saturating_sub(MOST_TOLD) as u64;
        assert_eq!(told, (first..count as u64).collect::<Vec<_>>(), "{count}");
        assert_eq!(log.forgotten_since(0), first, "{count}");
    }
}

#[test]
fn what_came_before_is_neither_told_nor_counted() {
    let log = log_of(MOST_INVALIDATIONS);
    let from = (MOST_INVALIDATIONS - 3) as u64;
    assert_eq!((log.since(from).count(), log.forgotten_since(from)), (3, 0));
    assert_eq!(log.since(from + 3).count(), 0);
}
