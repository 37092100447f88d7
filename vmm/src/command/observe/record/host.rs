//! What a recording asks of the host: whether it is to end, and what files of /proc and /sys say.
//!
//! Source: Documentation/admin-guide/mm/pagemap.rst, proc_pid_stat(5).

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;

/// Set by the signals that end a program.
pub(super) struct Stopped(Arc<AtomicBool>);

impl Stopped {
    /// From now on they end the recording first.
    pub(super) fn watch() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // A second one ends the program at once, for whoever does not want to wait.
            let _ends = signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag));
            let _stops = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        Self(flag)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Stopped {
    /// When the recording is over the first one ends the program, too.
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file's first line, without its end.
pub(super) fn first_line(path: &str) -> Option<String> {
    read_to_string(path).ok().and_then(|text| text.lines().next().map(str::to_owned))
}

/// The frame of the page at an address of this process; none if the page is not there.
///
/// # Errors
/// If the kernel does not tell.
pub(super) fn frame(address: usize) -> Result<Option<u64>, String> {
    const PATH: &str = "/proc/self/pagemap";
    const IS_THERE: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let mut entry = [0; 8];
    let at = (address / PAGE * entry.len()) as u64;
    File::open(PATH)
        .and_then(|file| file.read_exact_at(&mut entry, at))
        .map_err(|error| format!("{PATH} cannot be read: {error}"))?;
    let entry = u64::from_le_bytes(entry);
    match (entry & IS_THERE != 0, entry & FRAME) {
        (false, _) => Ok(None),
        (true, 0) => Err(format!("{PATH} hides which frame a page has; it needs root (CAP_SYS_ADMIN)")),
        (true, frame) => Ok(Some(frame)),
    }
}

/// How many faults a thread of this process has had; none if the kernel does not tell.
pub(super) fn faults(thread: i32) -> Option<u64> {
    let line = first_line(&format!("/proc/self/task/{thread}/stat"))?;
    // The name before may have blanks; fields are counted from the state on, which is the third.
    let fields: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(field(10)? + field(12)?)
}

/// The nodes that have memory: the only one, if the kernel knows of none.
pub(super) fn nodes() -> Vec<i32> {
    let text = first_line("/sys/devices/system/node/has_memory").unwrap_or_default();
    numbers(&text).unwrap_or_else(|| vec![0])
}

/// The numbers of a list such as `0-1,4`.
pub(super) fn numbers(list: &str) -> Option<Vec<i32>> {
    let mut all = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
        // So many nodes no kernel has.
        all.extend(first..=last.min(first.saturating_add(1024)));
    }
    Some(all)
}

/// Whether pages without a file can be written anywhere.
pub(super) fn has_swap() -> bool {
    read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}
