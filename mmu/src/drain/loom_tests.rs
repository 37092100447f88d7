//! The drain under loom: in every interleaving and every reordering that C11 allows, an access that saw the old
//! entry happens before the free; and without the barrier it does not.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::{Announcement, Drain, Reader};

/// One entry and the page behind it. loom reports an access to the page that does not happen before its free.
struct World {
    drain: Arc<Drain>,
    entry: AtomicU64,
    page: UnsafeCell<()>,
}

impl World {
    fn new(announcement: Announcement) -> Arc<Self> {
        Arc::new(Self {
            drain: Drain::announced_by(announcement),
            entry: AtomicU64::new(1),
            page: UnsafeCell::new(()),
        })
    }

    fn access(&self, reader: &mut Reader) {
        reader.enter();
        if self.entry.load(Ordering::Relaxed) == 1 {
            self.page.with(|_| ());
        }
        reader.exit();
    }

    fn free(&self) {
        self.entry.store(0, Ordering::Relaxed);
        self.drain.wait();
        self.page.with_mut(|_| ());
    }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// One reader, `warm` if it is online already, accesses `accesses` times while the page is freed.
fn free_against_reader(announcement: Announcement, warm: bool, accesses: usize) {
    model(move || {
        let world = World::new(announcement);
        let mut reader = world.drain.reader();
        if warm {
            world.access(&mut reader);
        }
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            for _ in 0..accesses {
                other.access(&mut reader);
            }
            reader
        });
        world.free();
        drop(thread.join());
    });
}

#[test]
fn an_online_reader_never_uses_a_freed_page() {
    free_against_reader(Announcement::Store, true, 2);
}

#[test]
fn a_reader_that_comes_online_never_uses_a_freed_page() {
    free_against_reader(Announcement::Store, false, 2);
}

#[test]
fn a_reader_without_membarrier_never_uses_a_freed_page() {
    free_against_reader(Announcement::Rendezvous, true, 2);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn control_an_unordered_announcement_is_found_out() {
    free_against_reader(Announcement::Unordered, true, 1);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn control_an_unordered_first_announcement_is_found_out() {
    free_against_reader(Announcement::Unordered, false, 1);
}

#[test]
fn a_reader_that_pauses_in_between_never_uses_a_freed_page() {
    model(|| {
        let world = World::new(Announcement::Store);
        let mut reader = world.drain.reader();
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || {
            other.access(&mut reader);
            reader.pause();
            other.access(&mut reader);
            reader
        });
        world.free();
        drop(thread.join());
    });
}

#[test]
fn a_reader_that_registers_meanwhile_never_uses_a_freed_page() {
    model(|| {
        let world = World::new(Announcement::Store);
        let other = Arc::clone(&world);
        let thread = thread::spawn(move || other.access(&mut other.drain.reader()));
        world.free();
        drop(thread.join());
    });
}
