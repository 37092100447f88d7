//! Pages of this process, mapped to be operated on.
//!
//! Invariant: they are unmapped again when they are dropped; at addresses that are kept for them one lot is mapped at a time,
//! and nothing else ever.
#![expect(unsafe_code, reason = "maps pages, and changes their mapping while they are used")]

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, fsync, ftruncate, memfd_create, openat};
use rustix::io::{Errno, write};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect,
    mremap_fixed, munmap,
};

use super::host::{PAGE, frame};

/// What a huge page is made of.
const HUGE: usize = 512;
/// Of so many pages one is low enough in memory for compaction to move it up.
const POOL: usize = 16384;
/// MPOL_MF_MOVE: pages that this process alone has.
const MOVE: i32 = 1 << 1;
/// MADV_COLLAPSE, which not every C library names: include/uapi/asm-generic/mman-common.h.
const COLLAPSE: i32 = 25;

/// Addresses of which a table of entries serves none but these pages, as long as they are kept.
pub(super) struct Kept {
    all: *mut c_void,
    /// The first address that the table serves.
    served: *mut c_void,
    /// Whether pages are mapped there.
    is_taken: AtomicBool,
}

impl Kept {
    /// What a table of entries serves, and what the table of those tables does.
    const TABLE: usize = HUGE * PAGE;
    const TABLES: usize = 512 * Self::TABLE;
    /// Two tables' worth lies in it, however it is aligned.
    const LENGTH: usize = 4 * Self::TABLE;
    /// The first page of a table is touched once and stays, so that the table does. Others come this far behind.
    const BEHIND: usize = 16 * PAGE;

    /// Keeps addresses whose table is not there yet, though the table of its table is.
    pub(super) fn new() -> Result<Self, Errno> {
        // SAFETY: the kernel chooses a place that nobody uses.
        let all =
            unsafe { mmap_anonymous(ptr::null_mut(), Self::LENGTH, ProtFlags::empty(), MapFlags::PRIVATE) }?;
        let mut offset = all.addr().next_multiple_of(Self::TABLE) - all.addr();
        // The table behind it has to be one of the same table of tables.
        if (all.addr() + offset + Self::TABLE).is_multiple_of(Self::TABLES) {
            offset += Self::TABLE;
        }
        let kept = Self { all, served: all.wrapping_byte_add(offset), is_taken: AtomicBool::new(false) };
        kept.open(kept.served)?;
        let behind = kept.served.wrapping_byte_add(Self::TABLE);
        kept.open(behind)?;
        store(behind);
        Ok(kept)
    }

    /// Touches the first page that the table serves.
    pub(super) fn touch(&self) {
        store(self.served);
    }

    /// Where that page is.
    pub(super) fn touched(&self) -> usize {
        self.served.addr()
    }

    /// Where pages are mapped.
    pub(super) fn address(&self) -> usize {
        self.place().addr()
    }

    fn place(&self) -> *mut c_void {
        self.served.wrapping_byte_add(Self::BEHIND)
    }

    fn open(&self, page: *mut c_void) -> Result<(), Errno> {
        // SAFETY: the page is one of those that are kept here, which nobody uses yet.
        unsafe { mprotect(page, PAGE, MprotectFlags::READ | MprotectFlags::WRITE) }
    }

    /// Pages can be mapped again.
    fn empty(&self, length: usize) {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: what was mapped there is gone, or nobody has a reference to it.
        let kept = unsafe { mmap_anonymous(self.place(), length, ProtFlags::empty(), flags) };
        // If they cannot be kept they are not mapped again either.
        self.is_taken.store(kept.is_err(), Ordering::Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: pages that were mapped there borrow this.
        let _unmapped = unsafe { munmap(self.all, Self::LENGTH) };
    }
}

/// Stores to a page that is mapped.
fn store(page: *mut c_void) {
    // SAFETY: the page is mapped, and any byte is an atomic.
    unsafe { AtomicU8::from_ptr(page.cast()) }.store(1, Ordering::Relaxed);
}

/// Pages of this process, one behind the other.
pub(super) struct Pages<'k> {
    first: *mut c_void,
    length: usize,
    /// Who keeps their addresses.
    kept: Option<&'k Kept>,
}

// SAFETY: the pages are read and written through atomics alone, whoever does it.
unsafe impl Sync for Pages<'_> {}

impl<'k> Pages<'k> {
    /// Pages without a file, whose entries are known if their place is kept.
    pub(super) fn anonymous(number: usize, kept: Option<&'k Kept>) -> Result<Self, Errno> {
        let length = number * PAGE;
        let (place, flags) = place(kept)?;
        // SAFETY: the kernel chooses a place that nobody uses, or it is kept for this.
        let first = unsafe { mmap_anonymous(place, length, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        Ok(Self { first, length, kept })
    }

    /// A page of a file in memory that stays the file's until it is stored to.
    pub(super) fn of_file(kept: Option<&'k Kept>) -> Result<Self, Errno> {
        let file = memfd_create("afterimage-observe", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, PAGE as u64)?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        let (place, flags) = place(kept)?;
        // SAFETY: the kernel chooses a place that nobody uses, or it is kept for this; the mapping keeps the file.
        let first = unsafe { mmap(place, PAGE, rights, flags, &file, 0) }?;
        Ok(Self { first, length: PAGE, kept })
    }

    /// A page of a file on a disk that has no name, written there, so that it can be reclaimed.
    pub(super) fn of_disk() -> Result<Self, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(CWD, std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR)?;
        write(&file, &[7; PAGE])?;
        fsync(&file)?;
        // SAFETY: the kernel chooses a place that nobody uses, and the mapping keeps the file.
        let first = unsafe { mmap(ptr::null_mut(), PAGE, ProtFlags::READ, MapFlags::SHARED, &file, 0) }?;
        Ok(Self { first, length: PAGE, kept: None })
    }

    /// Small pages that a huge page can take the place of.
    pub(super) fn of_huge() -> Result<Self, Errno> {
        let all = Self::anonymous(2 * HUGE, None)?;
        let length = HUGE * PAGE;
        let before = all.first.addr().next_multiple_of(length) - all.first.addr();
        let first = all.first.wrapping_byte_add(before);
        let behind = all.length - before - length;
        // They are parted: what is around goes here, the rest with `pages`.
        std::mem::forget(all);
        let pages = Self { first, length, kept: None };
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
    pub(super) fn to_compact() -> Result<(Self, usize), String> {
        let failed = |error: Errno| format!("memory cannot be mapped: {error}");
        let pages = Self::anonymous(POOL, None).map_err(failed)?;
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

    pub(super) fn address(&self, page: usize) -> usize {
        self.first.addr() + page * PAGE
    }

    pub(super) fn give_up(&self, page: usize) -> Result<(), Errno> {
        assert!(page * PAGE < self.length, "a page that is mapped");
        // SAFETY: the page is one of `self`, and what it holds nobody relies on.
        unsafe { madvise(self.first.wrapping_byte_add(page * PAGE), PAGE, Advice::LinuxDontNeed) }
    }

    /// Has the kernel put a huge page in the place of all.
    pub(super) fn collapse(&self) -> Result<(), Errno> {
        // SAFETY: the advice changes which frames `self` has, not what is in them.
        match unsafe { libc::madvise(self.first, self.length, COLLAPSE) } {
            0 => Ok(()),
            _failed => Err(last_error()),
        }
    }

    /// Which node a page is on after it was moved to one, if any is named.
    pub(super) fn on_node(&self, page: usize, target: Option<i32>) -> Result<i32, Errno> {
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

    pub(super) fn byte(&self, page: usize) -> &AtomicU8 {
        assert!(page * PAGE < self.length, "a page that is mapped");
        let byte = self.first.cast::<u8>().wrapping_add(page * PAGE);
        // SAFETY: the page is mapped until `self` is dropped, and any byte is an atomic.
        unsafe { AtomicU8::from_ptr(byte) }
    }

    pub(super) fn fill(&self, value: u8) {
        (0..self.length / PAGE).for_each(|page| self.byte(page).store(value, Ordering::Relaxed));
    }

    pub(super) fn advise(&self, advice: Advice) -> Result<(), Errno> {
        // SAFETY: the advice concerns pages of `self`, which hold nothing that anybody relies on.
        unsafe { madvise(self.first, self.length, advice) }
    }

    pub(super) fn protect(&self) -> Result<(), Errno> {
        // SAFETY: from here on nobody stores to the pages.
        unsafe { mprotect(self.first, self.length, MprotectFlags::READ) }
    }

    /// The page of `other` comes to be the first one here.
    pub(super) fn receive(&self, other: Pages<'_>) -> Result<(), Errno> {
        // SAFETY: both are pages that were mapped here; the old place is nobody's from now on.
        unsafe { mremap_fixed(other.first, PAGE, PAGE, MremapFlags::MAYMOVE, self.first) }?;
        // Its place was given up.
        if let Some(kept) = other.kept {
            kept.empty(PAGE);
        }
        std::mem::forget(other);
        Ok(())
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        if let Some(kept) = self.kept {
            kept.empty(self.length);
            return;
        }
        // SAFETY: whoever had a reference to a byte of it is gone.
        let _unmapped = unsafe { munmap(self.first, self.length) };
    }
}

/// Where to map, and how.
fn place(kept: Option<&Kept>) -> Result<(*mut c_void, MapFlags), Errno> {
    let Some(kept) = kept else { return Ok((ptr::null_mut(), MapFlags::PRIVATE)) };
    if kept.is_taken.swap(true, Ordering::Relaxed) {
        return Err(Errno::BUSY);
    }
    Ok((kept.place(), MapFlags::PRIVATE | MapFlags::FIXED))
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
