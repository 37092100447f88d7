//! What is remembered and told of many invalidations.

use std::time::Duration;

use super::{Log, MOST_INVALIDATIONS, MOST_TOLD, Received};
use crate::spec::descriptor::{Descriptor, IotlbScope};
use crate::stale::watch::Since;
use crate::stale::{Meant, Missed, Moment, Why};

fn log_of(count: usize) -> Log {
    let mut log = Log::default();
    for event in 0..count as u64 {
        let at = Moment { event, elapsed: Duration::ZERO };
        let invalidation = Descriptor::Iotlb { scope: IotlbScope::Global, drains: true };
        log.push(Received { at, invalidation, carried_out: true, since: Since::PerhapsChanged });
    }
    log
}

fn missed(received: &Received) -> Missed {
    Missed {
        at: received.at,
        invalidation: received.invalidation,
        why: Why::OtherPages,
        meant: Meant::ForOthers,
    }
}

#[test]
fn of_equals_the_newest_are_told_and_the_others_counted() {
    for count in [0, 1, MOST_TOLD, MOST_TOLD + 1, MOST_INVALIDATIONS, MOST_INVALIDATIONS + 9] {
        let log = log_of(count);
        let (told, forgotten) = log.told_of(0..u64::MAX, missed, |_| 0);
        let told: Vec<_> = told.iter().map(|missed| missed.at.event).collect();
        let first = count.saturating_sub(MOST_TOLD) as u64;
        assert_eq!(told, (first..count as u64).collect::<Vec<_>>(), "{count}");
        assert_eq!(forgotten, first, "{count}");
    }
}

#[test]
fn what_weighs_most_is_told_however_long_ago_it_came() {
    let log = log_of(MOST_TOLD * 4);
    let (told, forgotten) = log.told_of(0..u64::MAX, missed, |missed| u64::from(missed.at.event == 3));
    assert_eq!((told.len(), told[0].at.event), (MOST_TOLD, 3));
    assert_eq!(told[1].at.event, MOST_TOLD as u64 * 3 + 1, "and the newest of the others, in their order");
    assert_eq!(forgotten, MOST_TOLD as u64 * 3);
}

#[test]
fn what_came_before_is_neither_told_nor_counted() {
    let log = log_of(MOST_INVALIDATIONS);
    let from = (MOST_INVALIDATIONS - 3) as u64;
    let told = |from| (log.all_since(from).count(), log.told_of(from..u64::MAX, missed, |_| 0).1);
    assert_eq!(told(from), (3, 0));
    assert_eq!(told(from + 3), (0, 0));
    assert_eq!(log.told_of(from..from + 2, missed, |_| 0).0.len(), 2, "nor what came too late");
}

#[test]
fn what_is_not_remembered_is_counted_if_any_of_it_came_since() {
    let log = log_of(MOST_INVALIDATIONS + 9);
    let left_out = (MOST_INVALIDATIONS - MOST_TOLD) as u64;
    let told = |from| log.told_of(from..u64::MAX, missed, |_| 0).1;
    assert_eq!((told(8), told(9)), (left_out + 9, left_out));
}
