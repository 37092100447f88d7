//! An instance of tracefs: buffers and settings of its own.
//!
//! Invariant: it goes when it is dropped, and the system's own trace is never touched. What a recording leaves that was killed
//! goes with the next one: whoever records holds a lock of its instance, and that ends with him.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use rustix::thread::gettid;

use super::ksm;

/// Memory for what is recorded, for each CPU.
const BUFFER_KIB: &str = "2048";
/// What is read of it at most.
pub(super) const MOST_BYTES: u64 = 32 << 20;
/// What stands below a text of which the rest was not read.
pub(super) const CUT: &str = "...\n";

/// Tracepoints that the vocabulary has.
const EVENTS: [&str; 9] = [
    "exceptions/page_fault_user",
    "tlb/tlb_flush",
    "kvm/kvm_unmap_hva_range",
    "kvmmmu/kvm_mmu_set_spte",
    "migrate/set_migration_pte",
    "migrate/remove_migration_pte",
    "ksm/ksm_merge_one_page",
    "ksm/ksm_merge_with_ksm_page",
    "ksm/ksm_stop_scan",
];

/// How long a lock is waited for, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// How the names of instances begin that are made here.
const PREFIX: &str = "afterimage-";

/// An instance.
pub(super) struct Instance {
    /// The folder of all instances.
    all: OwnedFd,
    name: String,
    folder: OwnedFd,
}

impl Instance {
    /// One whose name ends with what whoever finds it has to know; before that, what is left of others is cleared away.
    pub(super) fn create(tracefs: &OwnedFd, note: &str) -> io::Result<Self> {
        let all = folder(tracefs, "instances")?;
        // Held until the new one has its own lock, so that nobody takes it for one that was left.
        lock(&all, PATIENCE)?;
        clear_away(&all)?;
        let name = format!("{PREFIX}{}{note}", process::id());
        mkdirat(&all, &name, Mode::RWXU)?;
        let opened = folder(&all, &name).inspect_err(|_| {
            let _gone = unlinkat(&all, &name, AtFlags::REMOVEDIR);
        })?;
        let instance = Self { all, name, folder: opened };
        flock(&instance.folder, FlockOperation::NonBlockingLockExclusive)?;
        flock(&instance.all, FlockOperation::Unlock)?;
        instance.write("tracing_on", "0")?;
        instance.write("trace_clock", "mono")?;
        // A buffer that stays small holds less, and is no reason to give up.
        let _small = instance.write("buffer_size_kb", BUFFER_KIB);
        Ok(instance)
    }

    /// Records what a thread calls of these functions; how many of them there are.
    pub(super) fn trace_functions<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        thread: i32,
    ) -> io::Result<usize> {
        self.write("set_ftrace_filter", "")?;
        let taken = names.filter(|name| self.append("set_ftrace_filter", name).is_ok()).count();
        if taken == 0 {
            return Err(io::Error::other("it knows none of the functions"));
        }
        self.write("set_ftrace_pid", &thread.to_string())?;
        self.write("current_tracer", "function")?;
        Ok(taken)
    }

    /// Records the tracepoints that this kernel has, of that thread; their names.
    pub(super) fn enable_events(&self, thread: i32) -> io::Result<Vec<&'static str>> {
        self.write("set_event_pid", &thread.to_string())?;
        Ok(EVENTS
            .into_iter()
            .filter(|event| self.write(&format!("events/{event}/enable"), "1").is_ok())
            .collect())
    }

    /// What this thread has the kernel allocate meanwhile, as lines; what was recorded before goes.
    ///
    /// # Errors
    /// What is missing, or what `what` says.
    pub(super) fn allocations(&self, what: impl FnOnce() -> Result<(), String>) -> Result<String, String> {
        const OF_MEMORY: [&str; 2] = ["events/kmem/kmalloc/enable", "events/kmem/mm_page_alloc/enable"];
        let failed = |error: io::Error| format!("allocations cannot be recorded: {error}");
        // Kernels without it hide no pointer.
        let _shown = self.write("options/hash-ptr", "0");
        self.write("set_event_pid", &gettid().as_raw_nonzero().get().to_string()).map_err(failed)?;
        let enabled = OF_MEMORY.iter().try_for_each(|event| self.write(event, "1")).map_err(failed);
        let done = enabled.and_then(|()| self.record(what));
        // Whatever went wrong, what is recorded later is none of this.
        let disabled = OF_MEMORY.map(|event| self.write(event, "0")).into_iter().collect::<io::Result<()>>();
        let text = self.text().map_err(failed);
        let cleared = self.write("trace", "");
        let _hidden = self.write("options/hash-ptr", "1");
        done.and(disabled.and(cleared).map_err(failed)).and(text)
    }

    /// From now on tracepoints that say an address are recorded of these alone: others have pages there, too.
    pub(super) fn limit_to(&self, first: usize, end: usize) {
        let at = format!("addr >= {first:#x} && addr < {end:#x}");
        let range = format!("start < {end:#x} && end > {first:#x}");
        for (event, filter) in [
            ("migrate/set_migration_pte", &at),
            ("migrate/remove_migration_pte", &at),
            ("kvm/kvm_unmap_hva_range", &range),
        ] {
            // A kernel without it has nothing to limit.
            let _missing = self.write(&format!("events/{event}/filter"), filter);
        }
    }

    /// Records while `what` is done.
    pub(super) fn record<T>(&self, what: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        self.write("tracing_on", "1").map_err(|error| format!("recording cannot be switched on: {error}"))?;
        let done = what();
        let off = self
            .write("tracing_on", "0")
            .map_err(|error| format!("recording cannot be switched off: {error}"));
        off.and(done)
    }

    /// Writes a line into the trace.
    pub(super) fn mark(&self, text: &str) {
        // A trace without it can be read, too.
        let _missing = self.write("trace_marker", text);
    }

    /// What was recorded, up to a line [`CUT`] if it is too long.
    pub(super) fn text(&self) -> io::Result<String> {
        bounded(self.open("trace", OFlags::RDONLY)?, MOST_BYTES)
    }

    /// How many events newer ones were written over, if any were.
    pub(super) fn overwritten(&self) -> Option<u64> {
        let cpus = folder(&self.folder, "per_cpu").ok().and_then(|folder| Dir::read_from(folder).ok())?;
        let names = cpus.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        let stats = names.filter(|name| name.starts_with("cpu")).filter_map(|name| {
            let mut text = String::new();
            self.open(&format!("per_cpu/{name}/stats"), OFlags::RDONLY)
                .ok()?
                .read_to_string(&mut text)
                .ok()?;
            overrun(&text)
        });
        Some(stats.sum()).filter(|number| *number > 0)
    }

    /// When each event of [`text`](Self::text) was, in ns: that says it in µs only.
    pub(super) fn times(&self) -> io::Result<Vec<u64>> {
        self.write("options/raw", "1")?;
        let text = self.text();
        self.write("options/raw", "0")?;
        // `THREAD CPU TIME …`.
        let time = |line: &str| line.split_whitespace().nth(2).and_then(|word| word.parse().ok());
        let times: Option<Vec<u64>> = text?.lines().filter(|line| is_event(line)).map(time).collect();
        times.ok_or_else(|| io::Error::other("the option `raw` shows no times here"))
    }

    fn open(&self, file: &str, flags: OFlags) -> io::Result<File> {
        Ok(File::from(openat(&self.folder, file, flags | OFlags::CLOEXEC, Mode::empty())?))
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let mut file = self.open(file, OFlags::WRONLY | OFlags::TRUNC)?;
        if text.is_empty() { Ok(()) } else { file.write_all(text.as_bytes()) }
    }

    fn append(&self, file: &str, text: &str) -> io::Result<()> {
        self.open(file, OFlags::WRONLY | OFlags::APPEND)?.write_all(text.as_bytes())
    }
}

/// Whether a line of a trace is none of its remarks.
pub(super) fn is_event(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#') && !line.starts_with("CPU:") && line != CUT.trim_end()
}

/// So many bytes of a text at most, in whole lines; if there are more, [`CUT`] stands below them.
pub(super) fn bounded(reader: impl Read, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let is_cut = bytes.len() as u64 > most;
    if is_cut {
        let whole = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |end| end + 1));
        bytes.extend_from_slice(CUT.as_bytes());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Of a CPU's statistics, how many events were overwritten before anybody read them.
pub(super) fn overrun(stats: &str) -> Option<u64> {
    stats.lines().find_map(|line| line.strip_prefix("overrun: ")?.trim().parse().ok())
}

impl Drop for Instance {
    fn drop(&mut self) {
        for (file, text) in [("tracing_on", "0"), ("current_tracer", "nop")] {
            let _unchanged = self.write(file, text);
        }
        if let Err(error) = unlinkat(&self.all, &self.name, AtFlags::REMOVEDIR) {
            log::error!("instances/{} stays in tracefs: {error}; remove it with rmdir", self.name);
        }
    }
}

/// Takes the lock of the folder, which others hold for as long as it takes to make an instance.
pub(super) fn lock(all: &OwnedFd, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match flock(all, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => thread::sleep(LOOK),
            Err(Errno::WOULDBLOCK) => {
                let told = "somebody else keeps its folder of instances locked (see /proc/locks); try again when that has ended";
                return Err(io::Error::other(told));
            }
            other => return Ok(other?),
        }
    }
}

/// Removes what recordings have left that were killed.
fn clear_away(all: &OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(all)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if let Some(note) = name.strip_prefix(PREFIX)
            && let Ok(folder) = folder(all, name)
            && flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            ksm::put_back(note);
            // It is stopped and goes as any other.
            drop(Instance { all: all.try_clone()?, name: name.to_owned(), folder });
        }
    }
    Ok(())
}

fn folder(within: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    Ok(openat(within, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
