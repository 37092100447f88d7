//! When a case is over, due, under way, and how many there may be.

use std::time::Duration;

use super::{Case, Docket, MOST_AT_ONCE, MOST_CLOSED, MOST_OPEN, Subject};
use crate::spec::descriptor::{ContextScope, Descriptor, IotlbScope, PasidScope, Wait};
use crate::stale::{Ground, Moment};

const IOTLB: Descriptor = Descriptor::Iotlb { scope: IotlbScope::Global, drains: true };
const PASIDS: Descriptor = Descriptor::PasidCache(PasidScope::Global);
const CONTEXTS: Descriptor = Descriptor::ContextCache(ContextScope::Global);
const WAIT: Descriptor =
    Descriptor::Wait(Wait { interrupt: false, status: None, fence: false, drains_requests: false });
const PATIENCE: Duration = Duration::from_millis(5);

/// Something that needs two invalidations.
struct Both;

impl Subject for Both {
    fn needs(&self) -> Vec<Descriptor> {
        vec![PASIDS, IOTLB]
    }

    fn is_served(&self, need: &Descriptor, invalidation: &Descriptor) -> bool {
        need == invalidation
    }
}

fn at(event: u64) -> Moment {
    Moment { event, elapsed: Duration::from_millis(event) }
}

fn docket() -> Docket<u64, Both> {
    let mut docket = Docket::default();
    docket.keep(7, Case::new(Both, at(0)));
    docket
}

fn is_open(docket: &Docket<u64, Both>) -> bool {
    docket.tally().open == 1
}

#[test]
fn a_case_is_dropped_when_all_that_it_needs_is_complete() {
    let mut docket = docket();
    docket.hear(&IOTLB, at(1));
    docket.hear(&CONTEXTS, at(2));
    docket.complete(3);
    assert!(is_open(&docket), "one is missing");
    docket.hear(&PASIDS, at(4));
    assert!(is_open(&docket), "nobody waited for it");
    docket.complete(4);
    assert!(is_open(&docket), "a wait that came before it");
    docket.complete(5);
    assert!(!is_open(&docket));
    assert_eq!((docket.tally().kept, docket.tally().dropped), (1, 1));
    assert!(docket.rest().is_empty());
}

#[test]
fn a_case_is_due_when_its_time_is_over_or_there_is_a_ground() {
    let ms = Duration::from_millis;
    let mut first = docket();
    assert!(first.due(ms(4), PATIENCE).is_empty());
    assert_eq!(first.due(ms(5), PATIENCE)[0].2, Ground::TimeOver);
    assert!(first.due(ms(9), PATIENCE).is_empty(), "once");
    let mut charged = docket();
    charged.charge(1, |_, _| None);
    assert!(charged.due(ms(1), PATIENCE).is_empty());
    charged.charge(1, |key, _| (*key == 7).then_some(Ground::FrameReused));
    charged.charge(2, |_, _| Some(Ground::TableReused));
    charged.hear(&IOTLB, at(1));
    charged.hear(&PASIDS, at(1));
    charged.complete(2);
    assert_eq!(
        charged.due(ms(2), PATIENCE)[0].2,
        Ground::FrameReused,
        "the first ground, whatever came after it"
    );
    assert_eq!(docket().rest()[0].2, Ground::TheEnd);
    let mut late = docket();
    late.charge(1, |_, _| Some(Ground::FrameReused));
    assert_eq!(late.due(ms(9), PATIENCE)[0].2, Ground::FrameReused, "though its time is over, too");
}

#[test]
fn a_case_with_a_ground_is_looked_at_no_more() {
    let mut docket = docket();
    let concerned = |docket: &Docket<u64, Both>, by| docket.concerned(by).count();
    assert_eq!((concerned(&docket, &IOTLB), concerned(&docket, &CONTEXTS)), (1, 0));
    docket.charge(1, |_, _| Some(Ground::ChangedAgain));
    assert_eq!(concerned(&docket, &IOTLB), 0);
}

#[test]
fn an_invalidation_that_was_waited_for_gives_time_for_the_next() {
    let ms = Duration::from_millis;
    let mut docket = docket();
    docket.hear(&IOTLB, at(4));
    assert!(docket.due(ms(8), PATIENCE).is_empty());
    docket.hear(&IOTLB, at(8));
    assert_eq!(docket.due(ms(9), PATIENCE).len(), 1, "the same again is no progress");
}

#[test]
fn only_what_nobody_saw_of_a_case_is_postponed() {
    let ms = Duration::from_millis;
    // From when on a case of 8 ms is due, if of the time between two looks 2 ms count.
    for (looked, now, due) in [(0, 9, 13), (0, 10, 13), (0, 14, 17), (10, 12, 13), (10, 20, 21)] {
        let mut docket = Docket::default();
        docket.keep(7, Case::new(Both, at(8)));
        docket.postpone(ms(looked), ms(now), ms(2));
        let is_due = |at| docket.is_due(ms(at), PATIENCE);
        assert_eq!((is_due(due - 1), is_due(due)), (false, true), "{looked}, {now}");
    }
}

#[test]
fn what_was_emptied_need_not_be_asked_for() {
    let mut case = Case::new(Both, at(0));
    case.empty(&IOTLB);
    assert!(case.is_under_way(&[PASIDS, WAIT]) && !case.is_under_way(&[WAIT]));
}

#[test]
fn what_is_complete_stays_so_when_it_comes_again() {
    let mut docket = docket();
    docket.hear(&IOTLB, at(1));
    docket.complete(2);
    docket.hear(&IOTLB, at(3));
    docket.empty(&PASIDS, 2);
    assert!(!is_open(&docket), "nobody has to wait for the second one");
}

#[test]
fn software_has_done_its_part_when_it_waits_for_all_that_is_needed() {
    let mut case = Case::new(Both, at(0));
    assert!(!case.is_under_way(&[PASIDS, WAIT]));
    assert!(!case.is_under_way(&[PASIDS, IOTLB]));
    assert!(!case.is_under_way(&[WAIT, PASIDS, IOTLB]) && !case.is_under_way(&[PASIDS, WAIT, IOTLB]));
    assert!(case.is_under_way(&[PASIDS, IOTLB, WAIT]));
    case.hear(&IOTLB, at(1));
    assert!(case.is_under_way(&[PASIDS, WAIT]));
}

#[test]
fn uses_of_one_change_are_one_case() {
    let mut docket = docket();
    assert!(docket.count_use(&7) && !docket.count_use(&8));
    assert_eq!(docket.rest()[0].1.uses, 2);
}

#[test]
fn a_mistake_is_told_once_of_a_change() {
    let mut docket = docket();
    assert!(docket.tell(7, "one", 3) && !docket.tell(7, "one", 4) && docket.tell(7, "other", 5));
    assert_eq!(docket.told(&7).map(|told| told.looked_until), Some(5));
}

#[test]
fn what_was_told_of_too_many_changes_is_forgotten() {
    let mut docket = Docket::<u64, Both>::default();
    for key in 0..=MOST_CLOSED as u64 {
        assert!(docket.tell(key, "one", 0));
    }
    assert!(docket.keys().count() <= MOST_CLOSED);
    assert!(!docket.tell(MOST_CLOSED as u64, "one", 0), "the newest is remembered");
}

#[test]
fn what_is_too_much_is_counted() {
    let mut docket = Docket::default();
    (0..MOST_OPEN as u64 + 3).for_each(|key| docket.keep(key, Case::new(Both, at(key))));
    assert_eq!((docket.tally().open, docket.tally().unjudged), (MOST_OPEN as u64, 3));
    let (ms, after) = (Duration::from_millis, MOST_OPEN as u64 * 2);
    let first: Vec<_> = docket.due(ms(after), PATIENCE).iter().map(|(key, ..)| *key).collect();
    assert_eq!(first, (0..MOST_AT_ONCE as u64).collect::<Vec<_>>(), "the oldest, and no more at once");
    assert!(docket.is_due(ms(after), PATIENCE) && !docket.is_due(ms(1), PATIENCE));
    let order: Vec<_> = docket.rest().iter().map(|(key, ..)| *key).collect();
    assert!(order.is_sorted(), "the oldest first");
}
