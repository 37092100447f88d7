//! Operations on pages of this process's own, while another of its threads reads them.
//!
//! Invariant: nothing but pages that are mapped for it is changed, and they are unmapped again behind their reader.

use std::cell::RefCell;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::io::Errno;
use rustix::mm::Advice;
use rustix::process::getuid;
use rustix::thread::gettid;

use super::host::{PAGE, Stopped, faults, first_line, frame, has_swap, nodes};
use super::instance::Instance;
use super::pages::{Kept, Pages};
use super::site::Site;
use super::watch::Watch;

/// Has the kernel compact all of memory, within the call.
const COMPACT: &str = "/proc/sys/vm/compact_memory";
/// For how long KSM is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the refusal of an operation begins that this kernel or this machine has not.
pub(super) const NOT_HERE: &str = "cannot be made to happen here";

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(in crate::command::observe) enum Deed {
    /// A store to a private page of a file, which is copied
    Cow,
    /// Two pages of the same contents become one
    Ksm,
    /// madvise(MADV_DONTNEED)
    Dontneed,
    /// A page is moved over another
    Mremap,
    /// A page becomes read-only
    Mprotect,
    /// A child is forked, and all private pages become read-only
    Fork,
    /// A page moves to another frame: to another node, or by compaction if there is one node
    Migrate,
    /// madvise(MADV_COLLAPSE): 512 pages become a huge one
    Collapse,
    /// madvise(MADV_PAGEOUT): a page is reclaimed, one of a file if there is no swap
    Swap,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What records a deed.
pub(super) struct Recorder<'r> {
    pub(super) stopped: &'r Stopped,
    pub(super) instance: &'r Instance,
    /// Pages whose entries are known, and what watches the first one's.
    pub(super) watched: Option<(&'r Site, &'r RefCell<Watch>)>,
}

impl<'r> Recorder<'r> {
    fn kept(&self) -> Option<&'r Kept> {
        self.watched.map(|(site, _)| site.kept())
    }

    fn record(&self, what: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let Some((_, watch)) = self.watched else { return self.instance.record(what) };
        let failed = |error: std::io::Error| format!("a data watchpoint cannot be switched: {error}");
        watch.borrow_mut().switch_on().map_err(failed)?;
        let done = self.instance.record(what);
        watch.borrow_mut().switch_off().map_err(failed)?;
        done
    }
}

impl Deed {
    /// Does it so many times, each between two marks, while another thread reads; how often it happened.
    pub(super) fn run(self, rounds: u32, recorder: &Recorder<'_>) -> Result<u32, String> {
        let mut happened = 0;
        for _ in 0..rounds {
            if recorder.stopped.is_set() {
                return Ok(happened);
            }
            let (pages, page) = self.pages(recorder.kept())?;
            happened += u32::from(self.beside_reader(&pages, page, recorder)?);
        }
        if happened == 0 { Err(self.in_vain()) } else { Ok(happened) }
    }

    /// What it is done to, and which of the pages is read.
    fn pages<'k>(self, kept: Option<&'k Kept>) -> Result<(Pages<'k>, usize), String> {
        let first = |pages: Result<Pages<'k>, Errno>| {
            pages.map(|pages| (pages, 0)).map_err(|error| format!("memory cannot be mapped: {error}"))
        };
        let filled = |kept| Pages::anonymous(1, kept).inspect(|pages| pages.fill(7));
        match self {
            Self::Cow => first(Pages::of_file(kept)),
            Self::Dontneed | Self::Mprotect | Self::Fork => first(filled(kept)),
            // The pages that are watched are others.
            Self::Ksm | Self::Mremap => first(filled(None)),
            Self::Migrate if nodes().len() > 1 => first(filled(None)),
            Self::Migrate => Pages::to_compact(),
            Self::Collapse => Pages::of_huge().map(|pages| (pages, 0)).map_err(|error| self.refused(error)),
            Self::Swap if has_swap() => first(filled(None)),
            Self::Swap => Pages::of_disk().map(|pages| (pages, 0)).map_err(|error| {
                let folder = std::env::temp_dir();
                format!(
                    "{NOT_HERE}: there is no swap, and no file can be made in {}: {error}",
                    folder.display()
                )
            }),
        }
    }

    /// Whether it happened.
    fn beside_reader(self, pages: &Pages<'_>, page: usize, recorder: &Recorder<'_>) -> Result<bool, String> {
        let (is_over, reads, reader) = (&AtomicBool::new(false), &AtomicU64::new(0), &AtomicI32::new(0));
        thread::scope(|scope| {
            scope.spawn(move || {
                reader.store(gettid().as_raw_nonzero().get(), Ordering::Relaxed);
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::black_box(pages.byte(page).load(Ordering::Relaxed));
                    reads.fetch_add(1, Ordering::Release);
                }
            });
            let wait = |until: u64| {
                while reads.load(Ordering::Acquire) < until {
                    thread::yield_now();
                }
            };
            wait(1);
            let trace = || self.traced(pages, page, recorder);
            let done = self.happens(pages.address(page), reader.load(Ordering::Relaxed), trace, || {
                // One load may be under way, the next one is begun behind the operation.
                wait(reads.load(Ordering::Acquire) + 2);
            });
            is_over.store(true, Ordering::Relaxed);
            done
        })
    }

    /// Has it done, and looks whether it happened where the kernel does not say so.
    fn happens(
        self,
        address: usize,
        reader: i32,
        trace: impl FnOnce() -> Result<(), String>,
        read: impl FnOnce(),
    ) -> Result<bool, String> {
        match self {
            Self::Cow
            | Self::Ksm
            | Self::Dontneed
            | Self::Mremap
            | Self::Mprotect
            | Self::Fork
            | Self::Collapse => trace().map(|()| true),
            Self::Migrate => {
                let before = frame(address)?;
                trace()?;
                read();
                Ok(frame(address)? != before)
            }
            Self::Swap => {
                // A page that waits in another CPU's list is not isolated, and stays: compaction empties these lists first
                // (mm/compaction.c compact_nodes()). Who may not ask for it has luck, or records nothing.
                let _refused = std::fs::write(COMPACT, "1");
                let before = faults(reader);
                trace()?;
                read();
                Ok(faults(reader) != before)
            }
        }
    }

    fn traced(self, pages: &Pages<'_>, page: usize, recorder: &Recorder<'_>) -> Result<(), String> {
        let instance = recorder.instance;
        if self == Self::Migrate {
            // Compaction moves everybody's pages.
            instance.limit_to(pages.address(page), pages.address(page) + PAGE);
        }
        recorder.record(|| {
            instance.mark(&format!("afterimage: {self} begin"));
            let done = self.once(pages, page, recorder);
            instance.mark(&format!("afterimage: {self} end"));
            done
        })
    }

    fn once(self, pages: &Pages<'_>, page: usize, recorder: &Recorder<'_>) -> Result<(), String> {
        let failed = |error: Errno| self.refused(error);
        match self {
            Self::Cow => {
                pages.byte(page).store(1, Ordering::Relaxed);
                Ok(())
            }
            Self::Dontneed => pages.advise(Advice::LinuxDontNeed).map_err(failed),
            Self::Mprotect => pages.protect().map_err(failed),
            Self::Mremap => {
                let other = Pages::anonymous(1, recorder.kept()).map_err(failed)?;
                other.fill(8);
                pages.receive(other).map_err(failed)
            }
            Self::Fork => fork().map_err(|error| format!("fork failed: {error}")),
            Self::Ksm => merged(recorder),
            Self::Migrate => migrated(pages, page),
            Self::Collapse => pages.collapse().map_err(failed),
            Self::Swap => pages.advise(Advice::LinuxPageOut).map_err(failed),
        }
    }

    fn refused(self, error: Errno) -> String {
        match (self, error) {
            (Self::Collapse, Errno::INVAL) => {
                format!(
                    "{NOT_HERE}: this kernel has no MADV_COLLAPSE (6.1) or no huge pages (CONFIG_TRANSPARENT_HUGEPAGE)"
                )
            }
            (Self::Collapse, error) => format!("{NOT_HERE}: no huge page is to be had: {error}"),
            (Self::Swap, Errno::INVAL) => format!("{NOT_HERE}: this kernel has no MADV_PAGEOUT (5.4)"),
            (deed, error) => format!("{deed} failed: {error}"),
        }
    }

    /// Why nothing happened though nothing failed.
    fn in_vain(self) -> String {
        match self {
            Self::Swap if !has_swap() => format!(
                "{NOT_HERE}: there is no swap, the page of a file in {} stays mapped; set TMPDIR to a folder on a disk",
                std::env::temp_dir().display()
            ),
            Self::Migrate if nodes().len() < 2 => {
                format!(
                    "{NOT_HERE}: one node has memory, and compaction ({COMPACT}) has moved no page of this process"
                )
            }
            deed => format!("{NOT_HERE}: the kernel has not done it ({deed})"),
        }
    }

    /// Whether others' pages are changed within the deed: a flush of theirs has no address, and stands among its rows.
    pub(super) fn is_crowded(self) -> bool {
        match self {
            Self::Migrate => nodes().len() < 2,
            Self::Cow
            | Self::Ksm
            | Self::Dontneed
            | Self::Mremap
            | Self::Mprotect
            | Self::Collapse
            | Self::Swap
            | Self::Fork => false,
        }
    }

    /// Whether its page can lie where entries are known, and no entry is left behind in it that stands for something else.
    pub(super) fn is_watchable(self) -> bool {
        match self {
            Self::Cow | Self::Ksm | Self::Dontneed | Self::Mremap | Self::Mprotect | Self::Fork => true,
            // Compaction chooses its page; a collapse replaces the table; an entry of what was swapped out is no page's.
            Self::Migrate | Self::Collapse | Self::Swap => false,
        }
    }

    /// What was done in the place of what is not to be had.
    pub(super) fn instead(self) -> Option<String> {
        match self {
            Self::Migrate if nodes().len() < 2 => Some(format!(
                "move_pages(2) to another node: one node has memory; compaction ({COMPACT}) has moved the page"
            )),
            Self::Swap if !has_swap() => Some(
                "a page written to swap: there is none (/proc/swaps); a page of a file was unmapped for it"
                    .to_owned(),
            ),
            Self::Cow
            | Self::Ksm
            | Self::Dontneed
            | Self::Mremap
            | Self::Mprotect
            | Self::Fork
            | Self::Migrate
            | Self::Collapse
            | Self::Swap => None,
        }
    }
}

/// The page goes to the next node, or wherever compaction moves it.
fn migrated(pages: &Pages<'_>, page: usize) -> Result<(), String> {
    let nodes = nodes();
    if nodes.len() < 2 {
        return std::fs::write(COMPACT, "1").map_err(|error| {
            format!("{NOT_HERE}: one node has memory, and {COMPACT} cannot be written (CONFIG_COMPACTION): {error}")
        });
    }
    let failed = |error: Errno| format!("{NOT_HERE}: move_pages(2): {error}");
    let now = pages.on_node(page, None).map_err(failed)?;
    let target = nodes.into_iter().find(|node| *node != now);
    pages.on_node(page, target).map(|_| ()).map_err(failed)
}

/// A child that ends at once. A user to become makes the library fork, where it would otherwise share the memory.
fn fork() -> std::io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--version").uid(getuid().as_raw());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().map(|_| ())
}

/// Two pages of the same contents, until they are one.
fn merged(recorder: &Recorder<'_>) -> Result<(), String> {
    let failed = |error: Errno| format!("pages cannot be given to KSM: {error}");
    let pages = Pages::anonymous(2, recorder.kept()).map_err(failed)?;
    pages.fill(0x5a);
    pages.advise(Advice::LinuxMergeable).map_err(failed)?;
    let begun = Instant::now();
    let number = || first_line("/proc/self/ksm_merging_pages").and_then(|text| text.parse::<u64>().ok());
    while !recorder.stopped.is_set() {
        match number() {
            None => {
                return Err("this kernel does not tell what KSM merges (/proc/self/ksm_merging_pages, 5.19)"
                    .to_owned());
            }
            Some(0) => {}
            Some(_) => return Ok(()),
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("KSM has merged nothing in {} s", PATIENCE.as_secs()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
