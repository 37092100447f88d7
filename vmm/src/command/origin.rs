//! Where a result comes from: what stands in each JSON object beside what was found.
//!
//! Invariant: it says what is known, and `null` where nothing is: a build that no commit is known of has none.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::system::uname;
use serde::Serialize;

/// The version, and the commit if it is known; `-dirty` where the sources had changed since.
pub(super) const VERSION: &str = match COMMIT {
    Some(_) => concat!(env!("CARGO_PKG_VERSION"), " (", env!("AFTERIMAGE_COMMIT"), ")"),
    None => env!("CARGO_PKG_VERSION"),
};

/// The commit that a release was built of: see `build.rs`.
const COMMIT: Option<&str> = match env!("AFTERIMAGE_COMMIT").as_bytes() {
    [] => None,
    [_, ..] => Some(env!("AFTERIMAGE_COMMIT")),
};

/// When the command began.
static BEGAN: OnceLock<(Instant, SystemTime)> = OnceLock::new();

/// A result with where it comes from.
#[derive(Serialize)]
pub(super) struct Described<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    origin: Origin,
}

#[derive(Serialize)]
struct Origin {
    program: &'static str,
    version: &'static str,
    commit: Option<&'static str>,
    /// As they were typed; numbers that were not are among the results.
    arguments: Vec<String>,
    /// Seconds since 1970, UTC.
    began: Option<u64>,
    /// From then on.
    seconds: f64,
    machine: Machine,
}

#[derive(Serialize)]
struct Machine {
    kernel: String,
    architecture: String,
    cpu: Option<String>,
    /// Those that this program may run on.
    cpus: Option<usize>,
    /// Whether there is a KVM.
    kvm: bool,
}

/// Notes when the command began.
pub(super) fn begin() {
    BEGAN.get_or_init(|| (Instant::now(), SystemTime::now()));
}

/// When the command began, as `2027-01-31T23:59:59`, in UTC.
pub(super) fn began_utc() -> String {
    let (_, time) = BEGAN.get_or_init(|| (Instant::now(), SystemTime::now()));
    let shown = jiff::Timestamp::try_from(*time).unwrap_or_default();
    shown.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A result with its origin.
pub(super) fn described<T: Serialize>(result: &T) -> Described<'_, T> {
    let (instant, time) = BEGAN.get_or_init(|| (Instant::now(), SystemTime::now()));
    let origin = Origin {
        program: "afterimage",
        version: env!("CARGO_PKG_VERSION"),
        commit: COMMIT,
        arguments: env::args_os().skip(1).map(|one| one.to_string_lossy().into_owned()).collect(),
        began: time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()),
        seconds: instant.elapsed().as_secs_f64(),
        machine: Machine::of_host(),
    };
    Described { result, origin }
}

/// Where a page comes from, in a sentence. Behind the fence of a sandbox nobody can ask the host: whoever goes there has
/// asked before.
pub(super) fn made() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(sentence)
}

fn sentence() -> String {
    let words: Vec<String> = env::args_os().skip(1).map(|one| one.to_string_lossy().into_owned()).collect();
    let Machine { kernel, architecture, cpu, .. } = Machine::of_host();
    let cpu = cpu.map(|cpu| format!(", {cpu}")).unwrap_or_default();
    format!("Written by afterimage {VERSION}: afterimage {}; {kernel}, {architecture}{cpu}.", words.join(" "))
}

impl Machine {
    fn of_host() -> Self {
        let name = uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Self {
            kernel: format!("{} {}", text(name.sysname()), text(name.release())),
            architecture: text(name.machine()),
            cpu: model(),
            cpus: thread::available_parallelism().ok().map(usize::from),
            kvm: Path::new("/dev/kvm").exists(),
        }
    }
}

/// What the first CPU calls itself. Source: proc(5), /proc/cpuinfo, which is not read to its end: it has a page a CPU.
fn model() -> Option<String> {
    let lines = BufReader::new(File::open("/proc/cpuinfo").ok()?).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
