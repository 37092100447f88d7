//! Operations on pages of this process's own, while another of its threads reads them.
//!
//! Invariant: nothing but the pages that are mapped here is changed, and they are unmapped again behind their reader.
#![expect(unsafe_code, reason = "maps pages, and changes their mapping while they are used")]

use std::ffi::c_void;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, fsync, ftruncate, memfd_create, openat};
use rustix::io::{Errno, write};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect,
    mremap_fixed, munmap,
};
use rustix::process::getuid;
use rustix::thread::gettid;

use super::host::{PAGE, Stopped, faults, first_line, frame, has_swap, nodes};
use super::instance::Instance;

/// What a huge page is made of.
const HUGE: usize = 512;
/// Of so many pages one is low enough in memory for compaction to move it up.
const POOL: usize = 16384;
/// Has the kernel compact all of memory, within the call.
const COMPACT: &str = "/proc/sys/vm/compact_memory";
/// MPOL_MF_MOVE: pages that this process alone has.
const MOVE: i32 = 1 << 1;
/// MADV_COLLAPSE, which not every C library names: include/uapi/asm-generic/mman-common.h.
const COLLAPSE: i32 = 25;
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

/// Pages of this process, one behind the other.
struct Pages {
    first: *mut c_void,
    length: usize,
}

// SAFETY: the pages are read and written through atomics alone, whoever does it.
unsafe impl Sync for Pages {}

impl Pages {
    fn anonymous(number: usize) -> Result<Self, Errno> {
        let length = number * PAGE;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses a place that nobody uses.
        let first = unsafe { mmap_anonymous(ptr::null_mut(), length, rights, MapFlags::PRIVATE) }?;
        Ok(Self { first, length })
    }

    /// A page of a file in memory that stays the file's until it is stored to.
    fn of_file() -> Result<Self, Errno> {
        let file = memfd_create("afterimage-observe", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, PAGE as u64)?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses a place that nobody uses, and the mapping keeps the file.
        let first = unsafe { mmap(ptr::null_mut(), PAGE, rights, MapFlags::PRIVATE, &file, 0) }?;
        Ok(Self { first, length: PAGE })
    }

    /// A page of a file on a disk that has no name, written there, so that it can be reclaimed.
    fn of_disk() -> Result<Self, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(CWD, std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
        write(&file, &[7; PAGE])?;
        fsync(&file)?;
        // SAFETY: the kernel chooses a place that nobody uses, and the mapping keeps the file.
        let first = unsafe { mmap(ptr::null_mut(), PAGE, ProtFlags::READ, MapFlags::SHARED, &file, 0) }?;
        Ok(Self { first, length: PAGE })
    }

    /// Small pages that a huge page can take the place of.
    fn of_huge() -> Result<Self, Errno> {
        let all = Self::anonymous(2 * HUGE)?;
        let length = HUGE * PAGE;
        let before = all.first.addr().next_multiple_of(length) - all.first.addr();
        let first = all.first.wrapping_byte_add(before);
        let behind = all.length - before - length;
        // They are parted: what is around goes here, the rest with `pages`.
        std::mem::forget(all);
        let pages = Self { first, length };
        for (first, length) in
            [(first.wrapping_byte_sub(before), before), (first.wrapping_byte_add(length), behind)]
        {
            if length > 0 {
                // SAFETY: nobody has a reference to what is before and behind `pages`.
                unsafe { munmap(first, length) }?;
            }
        }
        pages.advise(Advice::LinuxNoHugepage)?;
        pages.fill(7);
        pages.advise(Advice::LinuxHugepage)?;
        Ok(pages)
    }

    /// Pages of which the returned one lies low in memory, with room for single pages above, so that compaction moves it.
    fn to_compact() -> Result<(Self, usize), String> {
        let failed = |error: Errno| format!("memory cannot be mapped: {error}");
        let pages = Self::anonymous(POOL).map_err(failed)?;
        // Without huge pages the kernel does not know the advice, and has no need of it.
        let _none = pages.advise(Advice::LinuxNoHugepage);
        pages.fill(7);
        let mut order = (0..POOL)
            .map(|page| frame(pages.address(page)).map(|frame| (frame, page)))
            .collect::<Result<Vec<_>, _>>()?;
        order.sort_unstable();
        let (low, high) = order.split_at(POOL / 2);
        for (_, page) in low[1..].iter().chain(high.iter().step_by(2)) {
            pages.give_up(*page).map_err(failed)?;
        }
        Ok((pages, low[0].1))
    }

    fn address(&self, page: usize) -> usize {
        self.first.addr() + page * PAGE
    }

    fn give_up(&self, page: usize) -> Result<(), Errno> {
        assert!(page * PAGE < self.length, "a page that is mapped");
        // SAFETY: the page is one of `self`, and what it holds nobody relies on.
        unsafe { madvise(self.first.wrapping_byte_add(page * PAGE), PAGE, Advice::LinuxDontNeed) }
    }

    /// Has the kernel put a huge page in the place of all.
    fn collapse(&self) -> Result<(), Errno> {
        // SAFETY: the advice changes which frames `self` has, not what is in them.
        match unsafe { libc::madvise(self.first, self.length, COLLAPSE) } {
            0 => Ok(()),
            _failed => Err(last_error()),
        }
    }

    /// Which node a page is on after it was moved to one, if any is named.
    fn on_node(&self, page: usize, target: Option<i32>) -> Result<i32, Errno> {
        let places = [self.first.wrapping_byte_add(page * PAGE).cast_const()];
        let targets = target.map(|node| [node]);
        let targets = targets.as_ref().map_or(ptr::null(), |targets| targets.as_ptr());
        let mut node = -1;
        // SAFETY: one place and one status are read and written, and a target unless it is null; where a page is changes nothing in it.
        let done = unsafe {
            let (own, number) = (0, 1_usize);
            libc::syscall(libc::SYS_move_pages, own, number, places.as_ptr(), targets, &raw mut node, MOVE)
        };
        match (done, node) {
            (0, 0..) => Ok(node),
            (0, status) => Err(Errno::from_raw_os_error(-status)),
            (_failed, _) => Err(last_error()),
        }
    }

    fn byte(&self, page: usize) -> &AtomicU8 {
        assert!(page * PAGE < self.length, "a page that is mapped");
        let byte = self.first.cast::<u8>().wrapping_add(page * PAGE);
        // SAFETY: the page is mapped until `self` is dropped, and any byte is an atomic.
        unsafe { AtomicU8::from_ptr(byte) }
    }

    fn fill(&self, value: u8) {
        (0..self.length / PAGE).for_each(|page| self.byte(page).store(value, Ordering::Relaxed));
    }

    fn advise(&self, advice: Advice) -> Result<(), Errno> {
        // SAFETY: the advice concerns pages of `self`, which hold nothing that anybody relies on.
        unsafe { madvise(self.first, self.length, advice) }
    }

    fn protect(&self) -> Result<(), Errno> {
        // SAFETY: from here on nobody stores to the pages.
        unsafe { mprotect(self.first, self.length, MprotectFlags::READ) }
    }

    /// The page of `other` comes to be the first one here.
    fn receive(&self, other: Self) -> Result<(), Errno> {
        // SAFETY: both are pages that were mapped here; the old place is nobody's from now on.
        unsafe { mremap_fixed(other.first, PAGE, PAGE, MremapFlags::MAYMOVE, self.first) }?;
        // Its place was given up.
        std::mem::forget(other);
        Ok(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: whoever had a reference to a byte of it is gone.
        let _unmapped = unsafe { munmap(self.first, self.length) };
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

impl Deed {
    /// Does it so many times, each between two marks, while another thread reads; how often it happened.
    pub(super) fn run(self, rounds: u32, stopped: &Stopped, instance: &Instance) -> Result<u32, String> {
        let mut happened = 0;
        for _ in 0..rounds {
            if stopped.is_set() {
                return Ok(happened);
            }
            let (pages, page) = self.pages()?;
            happened += u32::from(self.beside_reader(&pages, page, stopped, instance)?);
        }
        if happened == 0 { Err(self.in_vain()) } else { Ok(happened) }
    }

    /// What it is done to, and which of the pages is read.
    fn pages(self) -> Result<(Pages, usize), String> {
        let first = |pages: Result<Pages, Errno>| {
            pages.map(|pages| (pages, 0)).map_err(|error| format!("memory cannot be mapped: {error}"))
        };
        let filled = || Pages::anonymous(1).inspect(|pages| pages.fill(7));
        match self {
            Self::Cow => first(Pages::of_file()),
            Self::Ksm | Self::Dontneed | Self::Mremap | Self::Mprotect | Self::Fork => first(filled()),
            Self::Migrate if nodes().len() > 1 => first(filled()),
            Self::Migrate => Pages::to_compact(),
            Self::Collapse => Pages::of_huge().map(|pages| (pages, 0)).map_err(|error| self.refused(error)),
            Self::Swap if has_swap() => first(filled()),
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
    fn beside_reader(
        self,
        pages: &Pages,
        page: usize,
        stopped: &Stopped,
        instance: &Instance,
    ) -> Result<bool, String> {
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
            let trace = || self.traced(pages, page, stopped, instance);
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
                let before = faults(reader);
                trace()?;
                read();
                Ok(faults(reader) != before)
            }
        }
    }

    fn traced(
        self,
        pages: &Pages,
        page: usize,
        stopped: &Stopped,
        instance: &Instance,
    ) -> Result<(), String> {
        if self == Self::Migrate {
            // Compaction moves everybody's pages.
            instance.limit_to(pages.address(page), pages.address(page) + PAGE);
        }
        instance.record(|| {
            instance.mark(&format!("afterimage: {self} begin"));
            let done = self.once(pages, page, stopped);
            instance.mark(&format!("afterimage: {self} end"));
            done
        })
    }

    fn once(self, pages: &Pages, page: usize, stopped: &Stopped) -> Result<(), String> {
        let failed = |error: Errno| self.refused(error);
        match self {
            Self::Cow => {
                pages.byte(page).store(1, Ordering::Relaxed);
                Ok(())
            }
            Self::Dontneed => pages.advise(Advice::LinuxDontNeed).map_err(failed),
            Self::Mprotect => pages.protect().map_err(failed),
            Self::Mremap => {
                let other = Pages::anonymous(1).map_err(failed)?;
                other.fill(8);
                pages.receive(other).map_err(failed)
            }
            Self::Fork => fork().map_err(|error| format!("fork failed: {error}")),
            Self::Ksm => merged(stopped),
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
fn migrated(pages: &Pages, page: usize) -> Result<(), String> {
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
fn merged(stopped: &Stopped) -> Result<(), String> {
    let failed = |error: Errno| format!("pages cannot be given to KSM: {error}");
    let pages = Pages::anonymous(2).map_err(failed)?;
    pages.fill(0x5a);
    pages.advise(Advice::LinuxMergeable).map_err(failed)?;
    let begun = Instant::now();
    let number = || first_line("/proc/self/ksm_merging_pages").and_then(|text| text.parse::<u64>().ok());
    while !stopped.is_set() {
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
