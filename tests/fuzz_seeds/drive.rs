//! One target after the other, one seed after the other.
//!
//! Invariant: targets never run at the same time, so that what grows can be told.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tests_support::fuzz::{Census, Choices, Target};

use super::watchdog::Watchdog;

/// Seeds that are tried unless a time is set.
const SEEDS: u64 = 200;
/// Bytes of an input at most; some are longer, so that what grows in a unit or a device has time to.
const MOST_BYTES: usize = 1 << 10;
const MOST_BYTES_OF_SOME: usize = 1 << 15;
/// One in so many.
const SOME: u64 = 64;
/// Of so many seeds the first tenth warms up; what the most that is in memory grows by behind it is a leak.
const WARM_UP_PART: u64 = 10;
const MOST_GROWTH_BYTES: u64 = 64 << 20;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// Panics of threads that are joined by nobody who tells.
static PANICS_ELSEWHERE: AtomicU64 = AtomicU64::new(0);

/// Tries the seeds on `target`, and looks at the end what has happened.
pub(super) fn drive(target: &Target) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    count_panics_elsewhere();
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("AFTERIMAGE_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("AFTERIMAGE_FUZZ_FIRST").unwrap_or(0);
    let (start, watchdog) = (Instant::now(), Watchdog::new(target.name, seconds.is_some()));
    let (mut census, mut seeds, mut slowest, mut warm) = (Census::default(), 0, (Duration::ZERO, 0), None);
    while seconds.map_or(seeds < SEEDS, |seconds| start.elapsed() < seconds) {
        let seed = first + seeds;
        watchdog.begin(seed);
        let begun = Instant::now();
        follow(target, seed, &mut census);
        slowest = slowest.max((begun.elapsed(), seed));
        seeds += 1;
        let is_warm = seconds.map_or(seeds * WARM_UP_PART >= SEEDS, |all| start.elapsed() * 10 >= all);
        if is_warm && warm.is_none() {
            warm = Some(peak_bytes());
        }
    }
    let grown = peak_bytes().saturating_sub(warm.unwrap_or_default());
    let name = target.name;
    println!("{name}: {seeds} inputs; {census}; slowest {slowest:?}; grown by {} KiB", grown >> 10);
    assert!(grown < MOST_GROWTH_BYTES, "{name}: the process has grown by {grown} bytes");
    for what in target.expects {
        assert!(census.count(what) > 0, "{name}: no input has brought about `{what}`: {census}");
    }
}

/// One input.
fn follow(target: &Target, seed: u64, census: &mut Census) {
    let bytes = bytes(seed);
    let before = PANICS_ELSEWHERE.load(Ordering::Relaxed);
    let done = catch_unwind(AssertUnwindSafe(|| (target.run)(&mut Choices::new(&bytes), census)));
    let elsewhere = PANICS_ELSEWHERE.load(Ordering::Relaxed) != before;
    if done.is_err() || elsewhere {
        eprintln!(
            "AFTERIMAGE_FUZZ_FIRST={seed} cargo test -p afterimage-tests --test fuzz_seeds  # {}",
            target.name
        );
    }
    if let Err(panic) = done {
        resume_unwind(panic);
    }
    assert!(!elsewhere, "{}: a device's thread has panicked", target.name);
}

fn bytes(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let most = if seed % SOME == SOME - 1 { MOST_BYTES_OF_SOME } else { MOST_BYTES };
    let mut bytes = vec![0; random.usize(16..most)];
    random.fill(&mut bytes);
    bytes
}

/// A device's thread tells nobody that it has panicked.
fn count_panics_elsewhere() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if thread::current().name().is_some_and(|name| name.starts_with("dma-engine")) {
                PANICS_ELSEWHERE.fetch_add(1, Ordering::Relaxed);
            }
            print(panic);
        }));
    });
}

/// The most that this process ever had in memory.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a process can read how it is");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
    peak.map(|kibibytes: u64| kibibytes << 10).expect("the kernel counts what is in memory")
}
