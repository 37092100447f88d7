//! The chain's promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::{Blocking, Invalidation, InvalidationKind, MmuNotifier, NotifierChain, WouldBlock};
use crate::address::{VirtAddr, VirtRange};

#[derive(Default)]
struct Counting {
    open: AtomicI64,
    starts: AtomicU64,
    secondary: AtomicU64,
    refuses: AtomicBool,
}

impl MmuNotifier for Counting {
    fn invalidate_range_start(&self, invalidation: &Invalidation) -> Result<(), WouldBlock> {
        if self.refuses.load(Ordering::Relaxed) && invalidation.blocking == Blocking::Forbidden {
            return Err(WouldBlock);
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        self.starts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn invalidate_range_end(&self, _: &Invalidation) {
        assert!(self.open.fetch_sub(1, Ordering::SeqCst) > 0, "an end without a start");
    }

    fn invalidate_secondary(&self, _: VirtRange) {
        self.secondary.fetch_add(1, Ordering::SeqCst);
    }
}

fn invalidation(blocking: Blocking) -> Invalidation {
    Invalidation { range: VirtRange::page(VirtAddr(0x1000)), kind: InvalidationKind::Clear, blocking }
}

#[test]
fn start_and_end_balance_while_subscribers_come_and_go() {
    let chain = NotifierChain::default();
    let subscribers: Vec<_> = (0..3).map(|_| Arc::new(Counting::default())).collect();
    std::thread::scope(|scope| {
        for subscriber in &subscribers {
            let chain = &chain;
            scope.spawn(move || {
                for _ in 0..200 {
                    let id = chain.subscribe(Arc::clone(subscriber) as Arc<dyn MmuNotifier>);
                    std::thread::yield_now();
                    chain.unsubscribe(id);
                    assert_eq!(subscriber.open.load(Ordering::SeqCst), 0, "unsubscribed inside a range");
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..2000 {
                let open = chain.start(invalidation(Blocking::Allowed)).unwrap();
                chain.invalidate_secondary(VirtRange::page(VirtAddr(0x1000)));
                open.end();
            }
        });
    });
    assert!(!chain.sequence().is_in_progress());
}

#[test]
fn a_refused_start_is_undone_for_those_already_told() {
    let chain = NotifierChain::default();
    let (told, refusing) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
    refusing.refuses.store(true, Ordering::Relaxed);
    chain.subscribe(Arc::clone(&told) as Arc<dyn MmuNotifier>);
    chain.subscribe(Arc::clone(&refusing) as Arc<dyn MmuNotifier>);
    assert!(chain.start(invalidation(Blocking::Forbidden)).is_err());
    assert_eq!(told.starts.load(Ordering::SeqCst), 1);
    assert_eq!(told.open.load(Ordering::SeqCst), 0);
    assert!(!chain.sequence().is_in_progress());
    assert!(chain.start(invalidation(Blocking::Allowed)).is_ok());
}

#[test]
fn a_snapshot_fails_during_and_after_an_invalidation() {
    let chain = NotifierChain::default();
    let before = chain.sequence().snapshot();
    assert!(!chain.sequence().must_retry(before));
    let open = chain.start(invalidation(Blocking::Allowed)).unwrap();
    assert!(chain.sequence().must_retry(before));
    open.end();
    assert!(chain.sequence().must_retry(before));
    assert!(!chain.sequence().must_retry(chain.sequence().snapshot()));
}

#[test]
fn release_tells_and_forgets() {
    #[derive(Default)]
    struct Released(AtomicU64);
    impl MmuNotifier for Released {
        fn release(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let chain = NotifierChain::default();
    let subscriber = Arc::new(Released::default());
    chain.subscribe(Arc::clone(&subscriber) as Arc<dyn MmuNotifier>);
    chain.release();
    chain.release();
    assert_eq!(subscriber.0.load(Ordering::SeqCst), 1);
}

#[test]
fn every_subscriber_is_asked_whether_a_page_was_used() {
    /// Says that it was, and counts how often it is asked.
    #[derive(Default)]
    struct Young(AtomicU64);
    impl MmuNotifier for Young {
        fn clear_flush_young(&self, _: VirtRange) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            true
        }
        fn clear_young(&self, _: VirtRange) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            true
        }
    }
    let chain = NotifierChain::default();
    let subscribers = [(); 3].map(|()| Arc::new(Young::default()));
    for subscriber in &subscribers {
        chain.subscribe(Arc::clone(subscriber) as Arc<dyn MmuNotifier>);
    }
    let page = VirtRange::page(VirtAddr(0x1000));
    assert!(chain.clear_young(page) && chain.clear_flush_young(page));
    assert!(subscribers.iter().all(|asked| asked.0.load(Ordering::SeqCst) == 2), "marks are left");
}

#[test]
fn who_subscribes_waits_for_a_range_that_nobody_heard_begin() {
    let chain = Arc::new(NotifierChain::default());
    let range = chain.start(invalidation(Blocking::Allowed)).unwrap();
    assert!(chain.sequence().is_in_progress());
    let other = Arc::clone(&chain);
    let subscribing = std::thread::spawn(move || other.subscribe(Arc::new(Counting::default())));
    // It has said that it listens, and waits: whoever is inside may use the chain meanwhile.
    while chain.start(invalidation(Blocking::Allowed)).unwrap().subscribers.is_none() {
        std::thread::yield_now();
    }
    chain.invalidate_secondary(VirtRange::page(VirtAddr(0)));
    assert!(!subscribing.is_finished(), "a range is open that the subscriber is not told of");
    range.end();
    let id = subscribing.join().unwrap();
    assert!(!chain.sequence().is_in_progress());
    chain.unsubscribe(id);
    assert!(chain.start(invalidation(Blocking::Allowed)).unwrap().subscribers.is_none(), "nobody listens");
}
