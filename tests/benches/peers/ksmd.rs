//! The kernel's own ksmd on pages of this process, for the time of a turn.
//!
//! Invariant: what was changed below /sys/kernel/mm/ksm is put back when this is dropped, whatever happened. Pages are
//! mapped anew for each turn, so that none is merged before. Source: Documentation/admin-guide/mm/ksm.rst.
#![expect(unsafe_code, reason = "madvise(2) takes memory by address")]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::mm::{Advice, madvise};
use vm_memory::{MmapRegion, VolatileMemory};

const FOLDER: &str = "/sys/kernel/mm/ksm";
const PAGE: usize = 1 << 12;
/// How often ksmd is asked how far it is.
const POLL: Duration = Duration::from_micros(200);
/// ksmd that has come nowhere after so long does not run.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is set for a turn: ksmd does nothing else, as fast as it can, and skips nothing.
const WANTED: [(&str, &str); 4] =
    [("pages_to_scan", "100000"), ("sleep_millisecs", "0"), ("smart_scan", "0"), ("run", "0")];

/// ksmd, set as wanted.
pub(crate) struct Ksmd {
    /// What was there before.
    before: Vec<(&'static str, String)>,
}

impl Ksmd {
    /// If this process may set it.
    pub(crate) fn take() -> Result<Self, String> {
        let mut ksmd = Self { before: Vec::new() };
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
        set("run", "1");
        let took = loop {
            let merged = number("pages_sharing");
            let took = began.elapsed();
            if is_done(number("full_scans") - scans, merged) {
                break (took, merged);
            }
            assert!(took < PATIENCE, "ksmd has merged {merged} of {pages} pages and comes no further");
            thread::sleep(POLL);
        };
        set("run", "0");
        took
    }
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
