//! Pages of this process at addresses that the kernel gives to nobody else.
//! Invariant: a region lies between FIRST and its end, where the program has nothing of its own; each access is volatile,
//! for the device changes the pages, too.
#![expect(unsafe_code, reason = "maps pages, changes their mapping, and shares their words with a device")]

use std::io;
use std::ptr;

use libc::{c_int, c_void};

pub(crate) const PAGE: usize = 4096;
pub(crate) const WORDS: usize = PAGE / 8;
/// 2 MiB.
pub(crate) const HUGE_PAGES: usize = 512;
/// Below it and above it is what the kernel places itself; a multiple of 1 GiB.
pub(crate) const FIRST: usize = 0x2000_0000_0000;

/// Pages that may be mapped, or not.
#[derive(Clone, Copy)]
pub(crate) struct Region {
    pub(crate) at: usize,
    pub(crate) pages: usize,
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Region {
    /// The place that begins so many GiB behind the first.
    pub(crate) const fn place(number: usize, pages: usize) -> Self {
        Self { at: FIRST + (number << 30), pages }
    }

    /// New pages, all zeroes, small ones unless somebody asks for others.
    pub(crate) fn map(self) -> io::Result<Self> {
        self.map_as(libc::MAP_PRIVATE)?;
        self.advise(libc::MADV_NOHUGEPAGE)?;
        Ok(self)
    }

    /// As above, the same pages for all children.
    pub(crate) fn map_shared(self) -> io::Result<Self> {
        self.map_as(libc::MAP_SHARED)?;
        Ok(self)
    }

    fn map_as(self, kind: c_int) -> io::Result<()> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = kind | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the program has nothing of its own at a region.
        let mapped = unsafe { libc::mmap(self.pointer(), self.bytes(), protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn unmap(self) -> io::Result<()> {
        // SAFETY: the program has nothing of its own at a region.
        checked(unsafe { libc::munmap(self.pointer(), self.bytes()) })
    }

    pub(crate) fn advise(self, advice: c_int) -> io::Result<()> {
        // SAFETY: the program has nothing of its own at a region.
        checked(unsafe { libc::madvise(self.pointer(), self.bytes(), advice) })
    }

    pub(crate) fn protect(self, protection: c_int) -> io::Result<()> {
        // SAFETY: the program has nothing of its own at a region.
        checked(unsafe { libc::mprotect(self.pointer(), self.bytes(), protection) })
    }

    pub(crate) fn move_to(self, other: Self) -> io::Result<()> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the program has nothing of its own at either region.
        let moved =
            unsafe { libc::mremap(self.pointer(), self.bytes(), other.bytes(), flags, other.pointer()) };
        if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) const fn bytes(self) -> usize {
        self.pages * PAGE
    }

    pub(crate) const fn pointer(self) -> *mut c_void {
        ptr::with_exposed_provenance_mut(self.at)
    }

    /// So many of its pages.
    pub(crate) fn part(self, first: usize, pages: usize) -> Self {
        assert!(first + pages <= self.pages, "a part of {pages} pages at {first} of {}", self.pages);
        Self { at: self.at + first * PAGE, pages }
    }

    /// Parts of so many pages each, one behind the other.
    pub(crate) fn parts(self, pages: usize) -> impl Iterator<Item = Self> {
        (0..self.pages).step_by(pages).map(move |first| self.part(first, pages.min(self.pages - first)))
    }

    pub(crate) fn word(self, page: usize, word: usize) -> usize {
        assert!(page < self.pages && word < WORDS, "word {word} of page {page}");
        self.at + page * PAGE + word * 8
    }

    /// Kills the program if the page is not mapped, and the lab sees that.
    pub(crate) fn load(self, page: usize, word: usize) -> u64 {
        let at: *const u64 = ptr::with_exposed_provenance(self.word(page, word));
        // SAFETY: aligned, inside the region, which holds no value of the program.
        unsafe { at.read_volatile() }
    }

    pub(crate) fn store(self, page: usize, word: usize, value: u64) {
        let at: *mut u64 = ptr::with_exposed_provenance_mut(self.word(page, word));
        // SAFETY: as above.
        unsafe { at.write_volatile(value) }
    }

    pub(crate) fn fill(self, page: usize, value: u64) {
        for word in 0..WORDS {
            self.store(page, word, value);
        }
    }

    /// Whether each word of the page is this.
    pub(crate) fn is_all(self, page: usize, value: u64) -> bool {
        (0..WORDS).all(|word| self.load(page, word) == value)
    }
}
