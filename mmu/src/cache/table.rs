//! A large array of zeroed words, mapped but not touched: a cache of 64k entries costs two mmap calls, and the
//! host supplies its pages when they are first used.
//!
//! Invariant: the array lies inside its mapping, and an index is the upper half of a product with its length, so that
//! it is always in bounds; zero is a valid value of every element type; elements are atomics, shared by all threads.
#![cfg_attr(not(loom), expect(unsafe_code, reason = "maps the memory of the cache"))]

#[cfg(not(loom))]
pub(super) use self::mapped::Table;
#[cfg(loom)]
pub(super) use self::modelled::Table;

/// The index that lies at `place`, in fractions of 2^64 of `len`: always below it.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the upper half is below the length")]
const fn share(place: u64, len: usize) -> usize {
    ((place as u128 * len as u128) >> u64::BITS) as usize
}

#[cfg(not(loom))]
mod mapped {
    use std::io;
    use std::marker::PhantomData;

    use rustix::mm::{Advice, madvise};
    use vm_memory::MmapRegion;
    use vm_memory::mmap::MmapRegionError;

    use super::share;
    use crate::cache::CacheError;
    use crate::cache::set::Set;
    use crate::sync::AtomicU64;

    /// From this size in bytes on a large page is asked for, to spare the host's own TLB.
    const HUGE_PAGE_LEN: usize = 2 << 20;

    /// A type of which all-zero bytes are a value, and whose shared references allow every change it undergoes.
    ///
    /// # Safety
    /// The implementer consists of atomic integers only.
    pub(in crate::cache) unsafe trait Zeroed: Sync {}

    // SAFETY: atomic integers.
    unsafe impl<const LEN: usize> Zeroed for [AtomicU64; LEN] {}
    // SAFETY: eight atomic integers, with no padding between them.
    unsafe impl Zeroed for Set {}

    /// The array, unmapped when dropped.
    #[derive(Debug)]
    pub(in crate::cache) struct Table<T> {
        region: MmapRegion<()>,
        len: usize,
        elements: PhantomData<T>,
    }

    impl<T: Zeroed> Table<T> {
        /// Maps `len` elements; at least one.
        pub(in crate::cache) fn zeroed(len: usize) -> Result<Self, CacheError> {
            assert!(len != 0, "a table has a first element");
            let len_bytes = len.saturating_mul(size_of::<T>());
            let region = MmapRegion::new(len_bytes).map_err(|error| CacheError {
                len_bytes,
                source: match error {
                    MmapRegionError::Mmap(source) => source,
                    other => io::Error::other(other),
                },
            })?;
            advise_large_pages(&region);
            Ok(Self { region, len, elements: PhantomData })
        }

        /// The element at 0, which every table has.
        #[inline(always)]
        pub(in crate::cache) fn first(&self) -> &T {
            let first: *const T = self.region.as_ptr().cast();
            // SAFETY: as in `at`, for index 0.
            unsafe { &*first }
        }

        /// The element at `place`, in fractions of 2^64 of all.
        #[inline(always)]
        pub(in crate::cache) fn get(&self, place: u64) -> &T {
            self.at(share(place, self.len))
        }

        /// Every element once.
        pub(in crate::cache) fn iter(&self) -> impl Iterator<Item = &T> {
            (0..self.len).map(|index| self.at(index))
        }

        #[inline(always)]
        fn at(&self, index: usize) -> &T {
            debug_assert!(index < self.len, "element {index} of {}", self.len);
            let first: *mut T = self.region.as_ptr().cast();
            // SAFETY: both callers have an index below the length, for which the mapping was made.
            let element = unsafe { first.add(index) };
            // SAFETY: the mapping is page aligned, lives as long as `self` and started as zeroes, a value of
            // `T`; every access to it goes through a shared reference to atomics.
            unsafe { &*element }
        }
    }

    fn advise_large_pages(region: &MmapRegion<()>) {
        if region.size() < HUGE_PAGE_LEN {
            return;
        }
        // SAFETY: the range is exactly the mapping just made; the advice changes no contents.
        let advised = unsafe { madvise(region.as_ptr().cast(), region.size(), Advice::LinuxHugepage) };
        if let Err(error) = advised {
            log::debug!("no large pages under a translation cache: {error}");
        }
    }
}

#[cfg(loom)]
mod modelled {
    /// loom's atomics are objects of the model and cannot be mapped.
    #[derive(Debug)]
    pub(in crate::cache) struct Table<T>(Vec<T>);

    impl<T: Default> Table<T> {
        pub(in crate::cache) fn zeroed(len: usize) -> Result<Self, crate::cache::CacheError> {
            Ok(Self((0..len).map(|_| T::default()).collect()))
        }

        pub(in crate::cache) fn first(&self) -> &T {
            &self.0[0]
        }

        pub(in crate::cache) fn get(&self, place: u64) -> &T {
            &self.0[super::share(place, self.0.len())]
        }

        pub(in crate::cache) fn iter(&self) -> impl Iterator<Item = &T> {
            self.0.iter()
        }
    }
}
