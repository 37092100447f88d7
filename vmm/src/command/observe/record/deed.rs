//! Operations on pages of this process's own, while another of its threads reads them.
//!
//! Invariant: nothing but the pages that are mapped here is changed, and they are unmapped again behind their reader.
#![expect(unsafe_code, reason = "maps pages, and changes their mapping while they are used")]

use std::ffi::c_void;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect,
    mremap_fixed, munmap,
};
use rustix::process::getuid;

use super::host::{Stopped, first_line};
use super::instance::Instance;

const PAGE: usize = 4096;
/// For how long KSM is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

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

impl Deed {
    /// Does it so many times, each between two marks, while another thread reads.
    pub(super) fn run(self, rounds: u32, stopped: &Stopped, instance: &Instance) -> Result<(), String> {
        for _ in 0..rounds {
            if stopped.is_set() {
                break;
            }
            let pages = match self {
                Self::Cow => Pages::of_file(),
                Self::Ksm | Self::Dontneed | Self::Mremap | Self::Mprotect | Self::Fork => {
                    Pages::anonymous(1)
                }
            };
            let pages = pages.map_err(|error| format!("memory cannot be mapped: {error}"))?;
            if self != Self::Cow {
                pages.fill(7);
            }
            self.beside_reader(&pages, stopped, instance)?;
        }
        Ok(())
    }

    fn beside_reader(self, pages: &Pages, stopped: &Stopped, instance: &Instance) -> Result<(), String> {
        let (is_over, has_read) = (&AtomicBool::new(false), &AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::black_box(pages.byte(0).load(Ordering::Relaxed));
                    has_read.store(true, Ordering::Relaxed);
                }
            });
            while !has_read.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            let done = instance.record(|| {
                instance.mark(&format!("afterimage: {self} begin"));
                let done = self.once(pages, stopped);
                instance.mark(&format!("afterimage: {self} end"));
                done
            });
            is_over.store(true, Ordering::Relaxed);
            done
        })
    }

    fn once(self, pages: &Pages, stopped: &Stopped) -> Result<(), String> {
        let failed = |error: Errno| format!("{self} failed: {error}");
        match self {
            Self::Cow => {
                pages.byte(0).store(1, Ordering::Relaxed);
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
        }
    }
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
