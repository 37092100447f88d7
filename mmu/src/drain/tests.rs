//! The drain with real threads. Nothing here sleeps or measures: a wait is seen through [`Drain::waiting`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Announcement, Drain};

/// Both ways of announcing, whatever the kernel offers.
fn both() -> [Arc<Drain>; 2] {
    [Announcement::Store, Announcement::Rendezvous].map(Drain::announced_by)
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn a_wait_without_readers_returns() {
    both().iter().for_each(|drain| drain.wait());
}

#[test]
fn a_reader_that_is_offline_idle_or_paused_holds_nobody_up() {
    for drain in both() {
        let _offline = drain.reader();
        let mut idle = drain.reader();
        idle.enter();
        idle.exit();
        let mut paused = drain.reader();
        paused.enter();
        paused.exit();
        paused.pause();
        drain.wait();
        assert_eq!(drain.waiting(), 0);
    }
}

#[test]
fn a_wait_does_not_return_while_an_access_is_in_flight() {
    for drain in both() {
        let mut reader = drain.reader();
        let returned = AtomicBool::new(false);
        reader.enter();
        thread::scope(|scope| {
            scope.spawn(|| {
                drain.wait();
                returned.store(true, Ordering::SeqCst);
            });
            until(|| drain.waiting() == 1);
            assert!(!returned.load(Ordering::SeqCst), "returned before the access ended");
            reader.exit();
        });
        assert!(returned.load(Ordering::SeqCst));
        assert_eq!(drain.waiting(), 0);
    }
}

#[test]
fn several_waits_share_one_access() {
    for drain in both() {
        let mut reader = drain.reader();
        reader.enter();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| drain.wait());
            }
            until(|| drain.waiting() == 3);
            reader.exit();
        });
        assert_eq!(drain.waiting(), 0);
    }
}

#[test]
fn a_later_access_does_not_prolong_a_wait() {
    for drain in both() {
        let mut reader = drain.reader();
        reader.enter();
        thread::scope(|scope| {
            let wait = scope.spawn(|| drain.wait());
            until(|| drain.waiting() == 1);
            reader.exit();
            reader.enter();
            wait.join().unwrap();
        });
        reader.exit();
    }
}

#[test]
fn a_reader_that_registers_during_a_wait_is_not_waited_for() {
    for drain in both() {
        let mut reader = drain.reader();
        reader.enter();
        thread::scope(|scope| {
            let wait = scope.spawn(|| drain.wait());
            until(|| drain.waiting() == 1);
            let mut late = drain.reader();
            late.enter();
            reader.exit();
            wait.join().unwrap();
            late.exit();
        });
    }
}

#[test]
fn a_reader_dropped_inside_an_access_lets_go() {
    for drain in both() {
        let mut reader = drain.reader();
        reader.enter();
        thread::scope(|scope| {
            scope.spawn(|| drain.wait());
            until(|| drain.waiting() == 1);
            drop(reader);
        });
        assert!(drain.readers.read().is_empty());
    }
}

#[test]
fn an_enter_without_an_exit_before_it_starts_a_new_access() {
    for drain in both() {
        let mut reader = drain.reader();
        reader.enter();
        reader.enter();
        assert!(reader.slot.is_inside());
        reader.exit();
        assert!(!reader.slot.is_inside());
    }
}
