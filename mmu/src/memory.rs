//! Physical memory: the bytes that page tables, frames, guests and every walker share.
//!
//! Invariant: there is one mapping, of its own or [lent](PhysicalMemory::lent). A table entry is loaded and stored as an atomic
//! word of it; nothing keeps a second copy that could be mistaken for the truth. Addresses come from tables that a guest may
//! have written, so the accessors whose names begin with `try` answer "outside" as data; the other accessors are for addresses
//! the program itself allocated and assert.

mod lent;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use vm_memory::{GuestAddressSpace, VolatileSlice};
use xxhash_rust::xxh3::xxh3_64;

use self::lent::{Doing, Lender, Lent};
use crate::address::{PAGE_LEN, PAGE_SIZE, Pfn, PhysAddr};
pub use crate::host::LowPages;
use crate::host::SharedMapping;

/// The smallest physical memory that holds the tables and pages of one address space, in bytes.
pub const MIN_MEMORY_BYTES: u64 = 1 << 20;
/// The largest, in bytes (1 TiB): what one KVM slot and the frame table are laid out for.
pub const MAX_MEMORY_BYTES: u64 = 1 << 40;

/// Why physical memory could not be made.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The size is out of bounds or not a multiple of the page size.
    #[error(
        "{bytes} bytes of physical memory asked for; give a multiple of {PAGE_SIZE} from {MIN_MEMORY_BYTES} to {MAX_MEMORY_BYTES}"
    )]
    Size {
        /// Bytes asked for.
        bytes: u64,
    },
    /// The host kernel refused the mapping.
    #[error(
        "cannot map {bytes} bytes of physical memory: {source}; ask for less, or raise `ulimit -v` or `ulimit -f`"
    )]
    Map {
        /// Bytes asked for.
        bytes: u64,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

/// One memfd-backed mapping, frame 0 at physical address 0. It may have a hole, which belongs to others.
#[derive(Debug)]
pub struct PhysicalMemory {
    /// Nothing, if all of it is lent.
    mapping: SharedMapping,
    /// What is not in the mapping.
    lent: Option<Box<dyn Lent>>,
}

impl PhysicalMemory {
    /// Maps `bytes` bytes of zeroed memory.
    ///
    /// # Errors
    /// [`MemoryError::Size`] for an unusable size, [`MemoryError::Map`] when the kernel has no room.
    pub fn new(bytes: u64) -> Result<Self, MemoryError> {
        Self::around(bytes, 0..0)
    }

    /// Maps `bytes` bytes of zeroed memory, of which those that do not fit below `hole` go on behind it. The hole begins
    /// and ends at a page; whoever asks for an address in it is told that it is outside.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn around(bytes: u64, hole: Range<u64>) -> Result<Self, MemoryError> {
        let size = MemoryError::Size { bytes };
        if !(MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES).contains(&bytes) || !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(size);
        }
        let (len_bytes, hole) = match bytes > hole.start {
            true => (bytes + (hole.end - hole.start), hole),
            false => (bytes, 0..0),
        };
        let Ok(len) = usize::try_from(len_bytes) else { return Err(size) };
        let mapping = SharedMapping::new(len, hole).map_err(|source| MemoryError::Map { bytes, source })?;
        Ok(Self { mapping, lent: None })
    }

    /// The memory of `space`, which somebody else maps and may replace: several regions, holes between them, none at all.
    /// What the unit in front of it has to know of it, it asks for anew at each access. It has no host address for KVM, no
    /// [`words`](Self::words), no [`slice`](Self::slice), and its size is not known here.
    ///
    /// # Errors
    /// [`MemoryError::Map`] when the kernel has no room for a page of addresses.
    pub fn lent<S>(space: S) -> Result<Self, MemoryError>
    where
        S: GuestAddressSpace + Send + Sync + 'static,
    {
        let mapping = SharedMapping::nothing().map_err(|source| MemoryError::Map { bytes: 0, source })?;
        Ok(Self { mapping, lent: Some(Box::new(Lender(space))) })
    }

    /// Its size in bytes, without a hole; 0 if it is lent.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        let hole = self.mapping.hole();
        self.mapping.len() as u64 - (hole.end - hole.start)
    }

    /// Its addresses, ascending: one piece, or two around a hole.
    pub fn pieces(&self) -> impl Iterator<Item = Range<u64>> {
        let (hole, end) = (self.mapping.hole(), self.mapping.len() as u64);
        let below = if hole.is_empty() { 0..end } else { 0..hole.start };
        let above = if hole.is_empty() { end..end } else { hole.end..end };
        [below, above].into_iter().filter(|piece| !piece.is_empty())
    }

    /// Its size in frames of 4 KiB.
    #[must_use]
    pub fn frame_count(&self) -> u64 {
        self.len_bytes() / PAGE_SIZE
    }

    /// The host address of its first byte, for KVM's memory slots: all others follow it as their addresses do.
    #[must_use]
    pub fn host_address(&self) -> u64 {
        self.mapping.address()
    }

    /// A word for each 8 bytes from address 0 on, a hole's too, less than 2^32 - 1 of them (32 GiB): for loops over words whose
    /// places were checked before, and may be kept in 32 bits. None at all if memory is lent.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        self.mapping.words()
    }

    /// Its pages before the hole, for walks through tables of which most lie there; none if memory is lent.
    #[inline(always)]
    #[must_use]
    pub fn low_pages(&self) -> LowPages<'_> {
        self.mapping.low_pages()
    }

    /// Loads the word at `address` (acquire); none if it lies outside or is not 8-byte aligned.
    #[inline]
    #[must_use]
    pub fn try_load(&self, address: PhysAddr) -> Option<u64> {
        match self.mapping.word(address.0) {
            Some(word) => Some(word.load(Ordering::Acquire)),
            None => self.load_lent(address),
        }
    }

    /// The aligned word at `address` of a mapping of its own; none elsewhere, where memory may be lent all the same.
    #[inline]
    #[must_use]
    pub fn own_word(&self, address: PhysAddr) -> Option<&AtomicU64> {
        self.mapping.word(address.0)
    }

    /// Loads the aligned word at `address` (acquire) of a mapping of its own; none elsewhere, where memory may be
    /// lent all the same.
    #[inline]
    #[must_use]
    pub fn load_own(&self, address: PhysAddr) -> Option<u64> {
        self.mapping.load(address.0)
    }

    /// Stores the word at `address` (release), which a guest chose; false, and nothing is stored, if it lies outside or is not
    /// 8-byte aligned.
    #[inline]
    #[must_use]
    pub fn try_store(&self, address: PhysAddr, value: u64) -> bool {
        self.with(address, Doing::Change, |word| word.store(value, Ordering::Release)).is_some()
    }

    /// Stores `new` at `address`, which a guest chose, if `current` stands there, and says what stood there, as an error if it
    /// was something else; none if that lies outside or is not 8-byte aligned.
    #[inline]
    #[must_use]
    pub fn try_compare_exchange(
        &self,
        address: PhysAddr,
        current: u64,
        new: u64,
    ) -> Option<Result<u64, u64>> {
        self.with(address, Doing::Change, |word| {
            word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
        })
    }

    /// Loads the aligned word at `address` (acquire).
    ///
    /// # Panics
    /// If the address lies outside: only addresses of allocated frames belong here.
    #[inline]
    #[must_use]
    pub fn load(&self, address: PhysAddr) -> u64 {
        self.at(address, Doing::Load, |word| word.load(Ordering::Acquire))
    }

    /// Stores the aligned word at `address` (release).
    ///
    /// # Panics
    /// As [`load`](Self::load).
    #[inline]
    pub fn store(&self, address: PhysAddr, value: u64) {
        self.at(address, Doing::Change, |word| word.store(value, Ordering::Release));
    }

    /// Replaces the aligned word at `address` and returns what stood there, as one atomic step.
    ///
    /// # Panics
    /// As [`load`](Self::load).
    #[inline]
    pub fn swap(&self, address: PhysAddr, value: u64) -> u64 {
        self.at(address, Doing::Change, |word| word.swap(value, Ordering::AcqRel))
    }

    /// Stores `new` at `address` if `current` stands there.
    ///
    /// # Errors
    /// What stood there instead.
    ///
    /// # Panics
    /// As [`load`](Self::load).
    #[inline]
    pub fn compare_exchange(&self, address: PhysAddr, current: u64, new: u64) -> Result<u64, u64> {
        self.at(address, Doing::Change, |word| {
            word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
        })
    }

    /// Adds `value` to the aligned word at `address` and returns what stood there.
    ///
    /// # Panics
    /// As [`load`](Self::load).
    #[inline]
    pub fn fetch_add(&self, address: PhysAddr, value: u64) -> u64 {
        self.at(address, Doing::Change, |word| word.fetch_add(value, Ordering::AcqRel))
    }

    /// Copies `bytes` to `address`.
    ///
    /// # Panics
    /// If they do not fit into memory there.
    pub fn write_bytes(&self, address: PhysAddr, bytes: &[u8]) {
        assert!(
            self.try_write_bytes(address, bytes),
            "{} bytes at {address} lie outside memory",
            bytes.len()
        );
    }

    /// Copies from `address` into `bytes`.
    ///
    /// # Panics
    /// If memory ends before.
    pub fn read_bytes(&self, address: PhysAddr, bytes: &mut [u8]) {
        assert!(self.try_read_bytes(address, bytes), "{} bytes at {address} lie outside memory", bytes.len());
    }

    /// Copies `bytes` to `address`, which a guest chose; false, and nothing is copied, if they do not fit there.
    #[must_use]
    pub fn try_write_bytes(&self, address: PhysAddr, bytes: &[u8]) -> bool {
        self.mapping.write(address.0, bytes)
            || self.lent.as_ref().is_some_and(|lent| lent.write(address, bytes))
    }

    /// Copies from `address`, which a guest chose, into `bytes`; false, and nothing is copied, if memory ends before.
    #[must_use]
    pub fn try_read_bytes(&self, address: PhysAddr, bytes: &mut [u8]) -> bool {
        self.mapping.read(address.0, bytes)
            || self.lent.as_ref().is_some_and(|lent| lent.read(address, bytes))
    }

    /// The `len` bytes from `address` on, which a guest chose, as rust-vmm's crates share them with a guest; none if memory
    /// ends before, or is lent: whoever lends it has slices of it.
    #[must_use]
    pub fn slice(&self, address: PhysAddr, len: usize) -> Option<VolatileSlice<'_>> {
        self.mapping.slice(address.0, len)
    }

    /// Copies the contents of one frame to another.
    ///
    /// # Panics
    /// If either frame lies outside memory.
    pub fn copy_frame(&self, from: Pfn, to: Pfn) {
        let copied = self.mapping.copy_page(from.address().0, to.address().0);
        assert!(copied, "a copy from {from:?} to {to:?} leaves memory");
    }

    /// Whether two frames hold the same bytes.
    ///
    /// # Panics
    /// If either frame lies outside memory.
    #[must_use]
    pub fn frames_equal(&self, a: Pfn, b: Pfn) -> bool {
        let equal = self.mapping.pages_equal(a.address().0, b.address().0);
        assert!(equal.is_some(), "a comparison of {a:?} and {b:?} leaves memory");
        equal == Some(true)
    }

    /// The xxh3 checksum of a frame's bytes at some moment; its writers are not stopped.
    #[must_use]
    pub fn checksum(&self, frame: Pfn) -> u64 {
        let mut bytes = [0; PAGE_LEN];
        self.read_bytes(frame.address(), &mut bytes);
        xxh3_64(&bytes)
    }

    /// Fills a frame with one word, 512 times.
    pub fn fill_frame(&self, frame: Pfn, word: u64) {
        let mut bytes = [0; PAGE_LEN];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        self.write_bytes(frame.address(), &bytes);
    }

    /// Whether every word of a frame is `word`.
    #[must_use]
    pub fn frame_is_filled(&self, frame: Pfn, word: u64) -> bool {
        let mut bytes = [0; PAGE_LEN];
        self.read_bytes(frame.address(), &mut bytes);
        bytes.chunks_exact(8).all(|chunk| chunk == word.to_le_bytes())
    }

    /// What `act` makes of the aligned word at `address`.
    #[inline(always)]
    fn at<T>(&self, address: PhysAddr, doing: Doing, act: impl FnOnce(&AtomicU64) -> T) -> T {
        match self.with(address, doing, act) {
            Some(done) => done,
            None => panic!("{address} is no aligned word of {} bytes of memory", self.len_bytes()),
        }
    }

    /// The same; none if it lies outside or is not 8-byte aligned.
    #[inline(always)]
    fn with<T>(&self, address: PhysAddr, doing: Doing, act: impl FnOnce(&AtomicU64) -> T) -> Option<T> {
        match self.mapping.word(address.0) {
            Some(word) => Some(act(word)),
            None => self.with_lent(address, doing, act),
        }
    }

    #[cold]
    #[inline(never)]
    fn load_lent(&self, address: PhysAddr) -> Option<u64> {
        self.with_lent(address, Doing::Load, |word| word.load(Ordering::Acquire))
    }

    /// What is not in the mapping.
    #[cold]
    fn with_lent<T>(&self, address: PhysAddr, doing: Doing, act: impl FnOnce(&AtomicU64) -> T) -> Option<T> {
        let (mut act, mut done) = (Some(act), None);
        self.lent.as_ref()?.word(address, doing, &mut |word| {
            done = act.take().map(|act| act(word));
        });
        done
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
