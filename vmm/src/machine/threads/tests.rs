//! Threads that end, that panic, and that hang.

use std::sync::mpsc::channel;

use super::super::ending::{End, Ending};
use super::Threads;

#[test]
fn a_thread_that_panics_ends_the_machine() {
    let end = End::new().expect("there is an event");
    let mut threads = Threads::new(&end);
    threads.start("good".to_owned(), || 7).expect("there is a thread");
    threads.start("bad".to_owned(), || panic!("on purpose")).expect("there is a thread");
    let left = threads.join();
    assert_eq!((left.results, left.behind), (vec![7], Vec::<String>::new()));
    assert!(end.is_over());
    let ending = end.take();
    assert!(matches!(&ending, Ending::ThreadPanicked(name) if name == "bad"), "{ending:?}");
}

#[test]
fn nobody_waits_for_ever_for_a_thread_that_hangs() {
    let end = End::new().expect("there is an event");
    let mut threads = Threads::new(&end);
    let (keep, never) = channel::<()>();
    threads.start("stuck".to_owned(), move || never.recv().is_ok()).expect("there is a thread");
    let left = threads.join();
    assert_eq!((left.results, left.behind), (vec![], vec!["stuck".to_owned()]));
    assert!(!end.is_over(), "the end is not its business");
    drop(keep);
}
