//! The kernel's own ksmd on pages of this process, for the time of a turn.
//!
//! Invariant: what was changed below /sys/kernel/mm/ksm is put back when this is dropped, whatever happened. Pages are
//! mapped anew for each turn, and the kernel has forgotten those of the turn before: it counts merged pages that are
//! unmapped until ksmd comes by again. Source: Documentation/admin-guide/mm/ksm.rst.
#![expect(unsafe_code, reason = "madvise(2) takes memory by address")]

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mm::{Advice, madvise};
use tests_support::measure::noise;
use vm_memory::{MmapRegion, VolatileMemory};

const FOLDER: &str = "/sys/kernel/mm/ksm";
const PAGE: usize = 1 << 12;
/// How often ksmd is asked how far it is.
const POLL: Duration = Duration::from_micros(200);
/// ksmd that has come nowhere after so long does not run.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is set for a turn: ksmd does nothing else, as fast as it can, and skips nothing.
const WANTED: [(&str, &str); 3] =
    [("pages_to_scan", "100000"), ("sleep_millisecs", "0"), ("smart_scan", "0")];
/// What `run` can be.
const STOPPED: &str = "0";
const RUNNING: &str = "1";
/// Stopped, and every merged page of the system split: nobody else may use ksmd then.
const UNMERGED: &str = "2";

/// ksmd, set as wanted.
pub(crate) struct Ksmd {
    /// What was there before.
    before: Vec<(&'static str, String)>,
    /// The kernel's thread.
    stat: PathBuf,
    /// Ticks that it had spent.
    began: u64,
}

impl Ksmd {
    /// If this process may set it, and nobody uses it.
    pub(crate) fn take() -> Result<Self, String> {
        let stat = thread().ok_or("the kernel has no thread of that name")?;
        let mut ksmd = Self { before: Vec::new(), began: ticks(&stat), stat };
        let run = read("run").ok_or_else(|| format!("{FOLDER}/run cannot be read"))?;
        if run == RUNNING {
            return Err(format!(
                "it runs, and would have to split the pages that it has merged: echo 0 > {FOLDER}/run"
            ));
        }
        fs::write(path("run"), STOPPED).map_err(|error| format!("{FOLDER}/run: {error}; be root"))?;
        ksmd.before.push(("run", run));
        for (name, wanted) in WANTED {
            let Some(now) = read(name) else {
                // Kernels before 6.7 have no smart_scan.
                if name == "smart_scan" {
                    continue;
                }
                return Err(format!("{FOLDER}/{name} cannot be read"));
            };
            fs::write(path(name), wanted).map_err(|error| format!("{FOLDER}/{name}: {error}; be root"))?;
            ksmd.before.push((name, now));
        }
        Ok(ksmd)
    }

    /// Lets it run on `pages` pages of these contents until `is_done` of (scans of everything, pages merged); how
    /// long that took, and how many are merged then.
    pub(crate) fn run(
        &self,
        pages: usize,
        content: impl Fn(u64) -> u64,
        is_done: impl Fn(u64, u64) -> bool,
    ) -> (Duration, u64) {
        set("run", UNMERGED);
        let left = number("pages_sharing");
        assert_eq!(left, 0, "pages are merged before the turn begins");
        let region: MmapRegion<()> = MmapRegion::new(pages * PAGE).expect("the memory can be mapped");
        // SAFETY: the range is exactly the mapping just made; the advice changes no contents.
        let advised = unsafe { madvise(region.as_ptr().cast(), region.size(), Advice::LinuxMergeable) };
        advised.expect("the kernel has ksmd");
        for page in 0..pages {
            let word = region.get_ref::<u64>(page * PAGE).expect("it is inside");
            word.store(content(page as u64));
        }
        let scans = number("full_scans");
        let began = Instant::now();
        set("run", RUNNING);
        let took = loop {
            let merged = number("pages_sharing");
            let took = began.elapsed();
            if is_done(number("full_scans") - scans, merged) {
                break (took, merged);
            }
            assert!(took < PATIENCE, "ksmd has merged {merged} of {pages} pages and comes no further");
            sleep(POLL);
        };
        set("run", STOPPED);
        took
    }
}

impl Ksmd {
    /// Ticks that it has spent since it was taken.
    pub(crate) fn spent(&self) -> u64 {
        ticks(&self.stat).saturating_sub(self.began)
    }
}

/// Where the kernel says what its thread has spent.
fn thread() -> Option<PathBuf> {
    let stats = fs::read_dir("/proc").ok()?.filter_map(|entry| Some(entry.ok()?.path().join("stat")));
    stats.into_iter().find(|stat| fs::read_to_string(stat).is_ok_and(|text| is_ksmd(&text)))
}

/// Any process can call itself so, but only a thread of the kernel has kthreadd for its parent.
fn is_ksmd(stat: &str) -> bool {
    let rest = stat.split_once(" (ksmd) ").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split(' ').nth(1)) == Some("2")
}

fn ticks(stat: &PathBuf) -> u64 {
    fs::read_to_string(stat).ok().and_then(|text| noise::spent(&text)).unwrap_or_default()
}

impl Drop for Ksmd {
    fn drop(&mut self) {
        for (name, value) in &self.before {
            set(name, value);
        }
    }
}

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

fn read(name: &str) -> Option<String> {
    Some(fs::read_to_string(path(name)).ok()?.trim().to_owned())
}

fn number(name: &str) -> u64 {
    read(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn set(name: &str, value: &str) {
    // It could be set when this began.
    let _unchanged = fs::write(path(name), value);
}
