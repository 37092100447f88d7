//! What this crate asks of the host kernel: the mapping that is physical memory, and a barrier on every CPU that
//! runs this process. (The cache maps its own array, in `cache/table.rs`.)
//!
//! Invariant: every pointer handed to a load, store or copy here lies inside one mapping that lives as long as
//! its [`SharedMapping`]. Other agents (a guest on KVM, other threads) write the same bytes at any time, so no
//! Rust reference to plain bytes is ever made: words are atomics, whole frames are moved by raw pointers.
#![expect(unsafe_code, reason = "maps physical memory and issues membarrier(2)")]

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
#[cfg(not(loom))]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{Advice, madvise};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

use crate::address::{PAGE_LEN, PhysAddr};

/// A memfd, mapped shared: frame pool, KVM memory slot and what every walker reads.
#[derive(Debug)]
pub(crate) struct SharedMapping {
    region: MmapRegion<()>,
    /// Bytes of the region that are given to anybody: all, or none.
    len: usize,
    /// Offsets that nobody is given.
    hole: Range<u64>,
    /// Words before the hole, or all of them if there is none: none if the region is given to nobody.
    low_words: u64,
    /// Words that have an index of 32 bits, the last such number left out.
    indexed: usize,
}

/// Pages from the first one of a mapping on, for many loads: where they lie is in registers, and not loaded again
/// behind each.
#[derive(Clone, Copy, Debug)]
pub struct LowPages<'a> {
    first: *mut u8,
    /// Bytes; a multiple of 8.
    len: u64,
    mapping: PhantomData<&'a SharedMapping>,
}

impl LowPages<'_> {
    /// Loads the word at `offset` bytes of the page at `page` (acquire); none if that does not lie here. Of both
    /// numbers what makes no page's address, and no word's offset in it, is cut off.
    #[inline(always)]
    #[must_use]
    pub fn load(self, page: PhysAddr, offset: u64) -> Option<u64> {
        const OFFSET: u64 = PAGE_LEN as u64 - 1;
        let place = page.0 & !OFFSET | offset & OFFSET & !7;
        if place >= self.len {
            return None;
        }
        // SAFETY: the place lies below the length, which is at most that of the mapping, so the sum stays inside it.
        let word = unsafe { self.first.add(usize::try_from(place).ok()?) };
        // SAFETY: the place is a multiple of 8 below a length that is one too, and the mapping is page aligned and
        // borrowed; so 8 valid aligned bytes lie there, and everybody accesses them through atomics.
        let word = unsafe { AtomicU64::from_ptr(word.cast()) };
        Some(word.load(Ordering::Acquire))
    }
}

/// Indices of words are kept in 32 bits; the last one stands for none.
const MOST_INDEXED: usize = u32::MAX as usize;

impl SharedMapping {
    /// Maps `len_bytes` (a multiple of the page size) of zeroes; large pages are advised, not required. A core dump leaves it out.
    /// Of `hole` no page is ever touched, so it takes addresses of the host and no memory.
    pub(crate) fn new(len_bytes: usize, hole: Range<u64>) -> io::Result<Self> {
        let memfd = memfd_create("afterimage-memory", MemfdFlags::CLOEXEC)?;
        ftruncate(&memfd, len_bytes as u64)?;
        let region = MmapRegion::from_file(FileOffset::new(File::from(memfd), 0), len_bytes)
            .map_err(io::Error::other)?;
        // SAFETY: the range is exactly the mapping made above; the advice changes no contents.
        let advised = unsafe { madvise(region.as_ptr().cast(), len_bytes, Advice::LinuxHugepage) };
        if let Err(error) = advised {
            log::debug!("no large pages under physical memory: {error}");
        }
        // SAFETY: as above. A dump of this program is for its bugs, and what a guest holds is nobody else's.
        unsafe { madvise(region.as_ptr().cast(), len_bytes, Advice::LinuxDontDump) }?;
        let low_words = if hole.is_empty() { len_bytes as u64 } else { hole.start } / 8;
        let indexed = (len_bytes / 8).min(MOST_INDEXED);
        Ok(Self { len: region.size(), region, hole, low_words, indexed })
    }

    /// No memory at all: a page of addresses that nobody may access.
    pub(crate) fn nothing() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let region = MmapRegion::build(None, PAGE_LEN, libc::PROT_NONE, flags).map_err(io::Error::other)?;
        Ok(Self { region, len: 0, hole: 0..0, low_words: 0, indexed: 0 })
    }

    /// Bytes mapped.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What nobody is given; empty if there is none.
    pub(crate) fn hole(&self) -> Range<u64> {
        self.hole.clone()
    }

    /// The host address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.region.as_ptr() as u64
    }

    /// The aligned 64-bit word at `offset` bytes; none outside the mapping, in its hole, or misaligned.
    #[inline]
    pub(crate) fn word(&self, offset: u64) -> Option<&AtomicU64> {
        if !self.is_word(offset) {
            return None;
        }
        // SAFETY: a word lies there, so the sum stays inside the mapping.
        let word = unsafe { self.region.as_ptr().add(usize::try_from(offset).ok()?) };
        // SAFETY: the mapping is page aligned and `offset` a multiple of 8 below a length that is one too, and at most that of the mapping, so
        // 8 valid aligned bytes lie there as long as `self`; everybody accesses them through atomics.
        Some(unsafe { AtomicU64::from_ptr(word.cast()) })
    }

    /// Loads it (acquire): apart from [`word`](Self::word), because of a reference the compiler does not see that it
    /// is there.
    #[inline]
    pub(crate) fn load(&self, offset: u64) -> Option<u64> {
        if !self.is_word(offset) {
            return None;
        }
        // SAFETY: as in `word`: a word lies there, so the sum stays inside the mapping.
        let word = unsafe { self.region.as_ptr().add(usize::try_from(offset).ok()?) };
        // SAFETY: as in `word`.
        let word = unsafe { AtomicU64::from_ptr(word.cast()) };
        Some(word.load(Ordering::Acquire))
    }

    /// Whether an aligned word lies at `offset`.
    #[inline]
    pub(crate) fn is_word(&self, offset: u64) -> bool {
        // Turned by three bits, a misaligned offset is larger than any mapping has words: one comparison tells both.
        offset.rotate_right(3) < self.low_words || self.is_word_behind_hole(offset)
    }

    /// Its pages before the hole, or all of them if there is none.
    #[inline(always)]
    pub(crate) fn low_pages(&self) -> LowPages<'_> {
        LowPages { first: self.region.as_ptr(), len: self.low_words * 8, mapping: PhantomData }
    }

    /// Whether an aligned word lies at `offset`, in a mapping that may have a hole.
    #[cold]
    fn is_word_behind_hole(&self, offset: u64) -> bool {
        offset & 7 == 0 && offset < self.len as u64 && !self.hole.contains(&offset)
    }

    /// The mapping word by word, as far as 32 bits count: 32 GiB less a word.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page aligned, has at least so many words, and lives as long as `self`;
        // whoever else changes its bytes does so through atomics or raw pointers.
        unsafe { std::slice::from_raw_parts(self.region.as_ptr().cast(), self.indexed) }
    }

    /// `len` bytes at `offset` for who shares them with others; none if the mapping ends before.
    pub(crate) fn slice(&self, offset: u64, len: usize) -> Option<VolatileSlice<'_>> {
        self.span(offset, len)?;
        self.region.get_slice(usize::try_from(offset).ok()?, len).ok()
    }

    /// Copies `bytes` into the mapping at `offset`; false if they do not fit.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> bool {
        let Some(to) = self.span(offset, bytes.len()) else { return false };
        // SAFETY: `span` checked that the bytes lie inside the mapping, which no Rust reference covers.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        true
    }

    /// Copies out of the mapping at `offset` into `bytes`; false if the mapping ends before.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let Some(from) = self.span(offset, bytes.len()) else { return false };
        // SAFETY: `span` checked that the bytes lie inside the mapping, which no Rust reference covers.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Copies the whole page at `from` to the page at `to`; false if either lies outside.
    pub(crate) fn copy_page(&self, from: u64, to: u64) -> bool {
        let (Some(from), Some(to)) = (self.span(from, PAGE_LEN), self.span(to, PAGE_LEN)) else {
            return false;
        };
        // SAFETY: both pages were checked to lie inside the mapping; `copy` allows from == to.
        unsafe { std::ptr::copy(from, to, PAGE_LEN) };
        true
    }

    /// Whether two pages hold the same bytes (memcmp); none if either lies outside.
    pub(crate) fn pages_equal(&self, a: u64, b: u64) -> Option<bool> {
        let (a, b) = (self.span(a, PAGE_LEN)?, self.span(b, PAGE_LEN)?);
        // SAFETY: both pages were checked to lie inside the mapping.
        Some(unsafe { libc::memcmp(a.cast(), b.cast(), PAGE_LEN) } == 0)
    }

    /// The host pointer to `len` bytes at `offset`, if all of them lie inside.
    fn span(&self, offset: u64, len: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len as u64)?;
        if end > self.len as u64 || (offset < self.hole.end && self.hole.start < end) {
            return None;
        }
        let offset = usize::try_from(offset).ok()?;
        // SAFETY: offset + len lies inside the mapping.
        Some(unsafe { self.region.as_ptr().add(offset) })
    }
}

/// Makes every other running thread of this process execute a full memory barrier before this returns
/// (membarrier(2), private expedited). False if the kernel cannot: then readers must fence for themselves.
#[cfg(not(loom))]
pub(crate) fn process_barrier() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = *REGISTERED.get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
    registered && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

#[cfg(not(loom))]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    let status = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    status == 0
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
