//! What was seen fits the scenarios that allow it, and no other.

use std::collections::BTreeSet;

use steps::table::Verb;

use super::{Fit, Glimpse, Glimpses, MOST_STATES, Run, fit};
use crate::catalogue;
use crate::lowering::{Lowered, load};

const START: Verb = Verb::NotifyStart;
const CLEAR: Verb = Verb::PteClear;
const FLUSH: Verb = Verb::FlushTlb;
const NOTIFY: Verb = Verb::Notify;
const SET: Verb = Verb::SetPte;
const END: Verb = Verb::NotifyEnd;

fn lowered(name: &str) -> Lowered {
    let file = catalogue::file_of(name).unwrap();
    let (_, lowered) = load(file.text).unwrap().into_iter().find(|(_, one)| one.name == name).unwrap();
    lowered
}

fn seen(verbs: &[Verb], shown: &[Verb]) -> Glimpses {
    let glimpses = verbs.iter().map(|verb| Glimpse { verb: *verb, page: Some(0) }).collect();
    Glimpses {
        glimpses,
        shown: shown.iter().copied().collect(),
        watched: BTreeSet::new(),
        ends_notify: false,
    }
}

fn run(name: &str, glimpsed: &Glimpses) -> Option<Run> {
    match fit(&lowered(name), glimpsed, MOST_STATES) {
        Fit::Run(run) => Some(*run),
        Fit::None => None,
        Fit::BoundHit => panic!("{name} is small"),
    }
}

#[test]
fn an_order_fits_the_scenario_that_has_it_with_locks_and_copies_between() {
    let all = [START, CLEAR, FLUSH, NOTIFY, SET, END];
    let run = run("cow-linux-6.18", &seen(&all, &all)).unwrap();
    let numbers: Vec<usize> = run.seen.iter().flatten().copied().collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    assert!(run.trace.steps.len() > numbers.len(), "the locks are steps, too");
}

#[test]
fn another_order_does_not_fit() {
    let wrong = [START, CLEAR, SET, FLUSH, NOTIFY, END];
    assert_eq!(run("cow-linux-6.18", &seen(&wrong, &wrong)), None);
}

#[test]
fn what_is_shown_whenever_it_happens_may_not_be_left_out() {
    let some = [START, CLEAR, FLUSH, SET, END];
    assert!(run("cow-linux-6.18", &seen(&some, &some)).is_some(), "nobody could see `notify`");
    let all = [START, CLEAR, FLUSH, NOTIFY, SET, END];
    assert_eq!(run("cow-linux-6.18", &seen(&some, &all)), None);
}

#[test]
fn a_page_of_the_scenario_is_one_page_of_what_was_seen() {
    let glimpse = |verb, page| Glimpse { verb, page: Some(page) };
    let of = |pages: [usize; 3]| {
        let [one, two, three] = pages;
        let glimpses = vec![glimpse(CLEAR, one), glimpse(SET, two), glimpse(FLUSH, three)];
        Glimpses {
            glimpses,
            shown: BTreeSet::from([CLEAR, SET, FLUSH]),
            watched: BTreeSet::new(),
            ends_notify: false,
        }
    };
    assert!(run("mremap-flush-under-locks", &of([0, 1, 0])).is_some());
    assert_eq!(run("mremap-flush-under-locks", &of([0, 0, 0])), None);
    assert_eq!(run("mremap-flush-under-locks", &of([0, 1, 1])), None);
}

#[test]
fn the_entry_of_a_watched_page_is_not_written_unseen() {
    let flush = seen(&[FLUSH], &[FLUSH]);
    assert!(run("dontneed-notify-after-unlock", &flush).is_some());
    let watched = Glimpses { watched: BTreeSet::from([0]), ..flush };
    assert_eq!(run("dontneed-notify-after-unlock", &watched), None);
}

#[test]
fn a_scenario_without_vcpus_says_nothing_of_ranges() {
    let all = [START, CLEAR, FLUSH, NOTIFY, END];
    let run = run("dontneed-notify-after-unlock", &seen(&all, &all)).unwrap();
    assert_eq!(run.silent, [0, 4]);
}

#[test]
fn a_search_that_hits_its_limit_refuses_nothing() {
    let all = [START, CLEAR, FLUSH, NOTIFY, SET, END];
    assert_eq!(fit(&lowered("cow-linux-6.18"), &seen(&all, &all), 2), Fit::BoundHit);
}
