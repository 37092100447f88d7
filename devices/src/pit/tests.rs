//! The timer in real time: that it interrupts, how often at most, and that it stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Pit, SHORTEST};
use crate::interrupt::{Level, Pin, Pins, Wire};
use crate::worker::Hooks;

#[derive(Default)]
struct Edges(AtomicU32);

impl Pins for Edges {
    fn set(&self, pin: Pin, level: Level) {
        assert_eq!(pin, Pin(2));
        if level == Level::High {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Edges {
    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether `count` came in the end.
    fn reach(&self, count: u32) -> bool {
        let patience = Instant::now() + Duration::from_secs(60);
        while self.count() < count && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        self.count() >= count
    }
}

fn pit() -> (Pit, Arc<Edges>) {
    pit_with(Hooks::default())
}

fn pit_with(hooks: Hooks) -> (Pit, Arc<Edges>) {
    let edges = Arc::new(Edges::default());
    let pit = Pit::start(Wire::new(edges.clone(), Pin(super::PIN)).line(), hooks).unwrap();
    (pit, edges)
}

#[test]
fn what_is_asked_before_the_thread_runs_interrupts() {
    let (pit, edges) = pit_with(Hooks::new(|| thread::sleep(Duration::from_millis(50)), |_| {}));
    pit.write(3, &[0x30]);
    pit.write(0, &[100, 0]);
    assert!(edges.reach(1));
}

#[test]
fn nothing_interrupts_until_a_count_is_written_and_once_means_once() {
    let (pit, edges) = pit();
    pit.write(3, &[0x30]);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(edges.count(), 0);
    pit.write(0, &[100, 0]);
    assert!(edges.reach(1));
    thread::sleep(Duration::from_millis(5));
    assert_eq!(edges.count(), 1);
}

#[test]
fn a_rate_interrupts_again_and_again_until_another_mode() {
    let (pit, edges) = pit();
    pit.write(3, &[0x34]);
    pit.write(0, &[0xa9, 4]);
    assert!(edges.reach(3), "1193 periods of the clock are a millisecond");
    pit.write(3, &[0x30]);
    let stopped = edges.count();
    thread::sleep(Duration::from_millis(20));
    assert!(edges.count() <= stopped + 1, "one may be on its way, however late it comes");
}

#[test]
fn a_rate_that_nobody_can_serve_is_bounded() {
    let (pit, edges) = pit();
    let started = Instant::now();
    pit.write(3, &[0x14]);
    pit.write(0, &[2]);
    assert!(edges.reach(10));
    drop(pit);
    let most = started.elapsed().as_micros() / SHORTEST.as_micros() + 1;
    assert!(u128::from(edges.count()) <= most, "{} of {most}", edges.count());
}

#[test]
fn ports_beyond_the_last_and_accesses_of_any_length_do_no_harm() {
    let (pit, _) = pit();
    let mut bytes = [0; 40];
    for offset in [0, 1, 2, 3, 4, u16::MAX] {
        pit.write(offset, &[0xa5; 40]);
        pit.read(offset, &mut bytes);
        pit.read(offset, &mut []);
        pit.write(offset, &[]);
    }
    assert_eq!(bytes, [0xff; 40]);
    pit.write_gate(0xff);
    assert_eq!(pit.read_gate() & 0xcf, 0x0f);
}
