//! What the cache says about an address, and how it is packed into two words.
//!
//! Invariant: the packing loses nothing. Two different (tag, page, size) never have the same key, so a hit is
//! exact; an address that is not canonical for 57 bits and a frame beyond 52 physical bits have no packing and are
//! never cached.
//!
//! ```text
//! key    62..61 size (1..3; 0 = empty way) | 60..45 tag | 44..0 page number, counted from -2^56
//! value  63..24 frame number | 23 dirty | 22 execute | 21 write | 20 read | 19..1 generation | 0 filled
//! ```

use crate::address::{Access, PageSize, Pfn, PhysAddr, VirtAddr};

/// Half of the 57-bit address space: added, it turns canonical addresses into 0..2^57.
const CANONICAL_BIAS: u64 = 1 << 56;
const ADDRESS_BITS: u32 = 57;
const TAG_SHIFT: u32 = 45;
const SIZE_SHIFT: u32 = 61;
const READ: u64 = 1 << 20;
const WRITE: u64 = 1 << 21;
const EXECUTE: u64 = 1 << 22;
const DIRTY: u64 = 1 << 23;
const PFN_SHIFT: u32 = 24;

/// Set in every value that was filled, and in every generation: so a value of nothing is of none.
pub(super) const FILLED: u64 = 1;
/// From a generation to the next one.
pub(super) const GENERATION_STEP: u64 = 2;
/// What a value keeps of a generation, and the bit of its own.
const KEPT: u64 = 1 << 20;
/// How many generations a value can tell apart.
pub(super) const GENERATIONS: u64 = KEPT / GENERATION_STEP;
/// From a page to the next one, in sets and fractions of 2^64 of one: a whole set, and the smaller part of the golden
/// section.
const STEP: u128 = (1 << 64) + 0x61c8_8646_80b5_83eb;
/// From a tag to the next one, in fractions of 2^19 of all sets. Found by search: pages of 16 tags keep their places,
/// whether they lie 1, 2, 8 or 512 pages apart.
const TAG_STEP: u64 = 0x4_bdfb;

/// An address space as the cache tells it apart: a slot for a PASID, a domain or an ASID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tag(pub u16);

/// What a translation allows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Permission {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

/// The use of one leaf, as it stood in the page table when it was walked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Translation {
    /// First frame of the page.
    pub pfn: Pfn,
    /// Reach.
    pub size: PageSize,
    /// What every level of the walk allowed.
    pub permission: Permission,
    /// Whether the leaf's D bit was set. A store through a translation that is not dirty must walk again, to set it.
    pub dirty: bool,
}

/// A packed (tag, page, size); never 0. Those of a tag and a size are in the order of their pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key(pub(super) u64);

/// How keys are spread over the sets of one cache: a key times this says, in fractions of 2^64, where among the sets
/// it belongs.
///
/// Neighbouring pages go to one set after the other, or leave one out; so as many as there are ways come back to a
/// set, and then the cache is nearly full. Pages as far apart as there are sets, and tags, come as far from each
/// other as fractions can.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread(u64);

/// A packed translation with the generation it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value(pub(super) u64);

impl Permission {
    /// Loads only.
    pub const READ_ONLY: Self = Self { read: true, write: false, execute: false };
    /// Loads and stores.
    pub const READ_WRITE: Self = Self { read: true, write: true, execute: false };

    /// Whether `access` may go through.
    #[must_use]
    #[inline]
    pub const fn allows(self, access: Access) -> bool {
        match access {
            Access::Read => self.read,
            Access::Write => self.write,
        }
    }
}

impl Translation {
    /// Whether an access may go through it: a store that finds D clear must walk again, to set it.
    #[inline]
    #[must_use]
    pub fn serves(self, access: Access) -> bool {
        self.permission.allows(access) && (access == Access::Read || self.dirty)
    }

    /// The physical address of `address`, which lies in the translated page.
    #[must_use]
    #[inline]
    pub const fn physical(self, address: VirtAddr) -> PhysAddr {
        let offset = match self.size {
            // Apart because a lookup knows this size: the compiler then drops the arithmetic of sizes.
            PageSize::Size4K => address.offset_in(PageSize::Size4K),
            larger => address.offset_in(larger),
        };
        self.pfn.address().offset(offset)
    }
}

impl Key {
    /// None for an address that is not canonical for 57 bits.
    #[inline(always)]
    pub(super) const fn new(tag: Tag, address: VirtAddr, size: PageSize) -> Option<Self> {
        let biased = address.0.wrapping_add(CANONICAL_BIAS);
        if biased >> ADDRESS_BITS != 0 {
            return None;
        }
        let number = biased >> (12 + 9 * (size.level() - 1));
        Some(Self((size.level() as u64) << SIZE_SHIFT | (tag.0 as u64) << TAG_SHIFT | number))
    }

    /// The first address of the page packed in, and its size; none of a key that nobody packed.
    pub(super) fn page(self) -> Option<(VirtAddr, PageSize)> {
        let size = PageSize::of_level(u32::try_from(self.0 >> SIZE_SHIFT).ok()?)?;
        let number = self.0 & ((1 << TAG_SHIFT) - 1);
        Some((VirtAddr((number << (12 + 9 * (size.level() - 1))).wrapping_sub(CANONICAL_BIAS)), size))
    }

    /// The tag packed in.
    #[expect(clippy::cast_possible_truncation, reason = "the size above the 16 bits is cut off on purpose")]
    pub(super) const fn tag(self) -> Tag {
        Tag((self.0 >> TAG_SHIFT) as u16)
    }
}

impl Spread {
    /// Over so many sets.
    #[expect(clippy::cast_possible_truncation, reason = "fractions are kept, whole turns are not")]
    pub(super) const fn over(sets: usize) -> Self {
        let step = (STEP / sets as u128) as u64;
        // A tag stands so far to the left in a key that only these bits reach the product.
        const TAG_BITS: u64 = (1 << (u64::BITS - TAG_SHIFT)) - 1;
        Self(step & !TAG_BITS | TAG_STEP)
    }

    /// Where `key` belongs.
    #[inline(always)]
    pub(super) const fn place(self, key: Key) -> u64 {
        self.0.wrapping_mul(key.0)
    }
}

impl Value {
    /// What no fill leaves, and no generation has.
    pub(super) const NOTHING: Self = Self(0);

    /// None for a frame beyond 52 physical address bits.
    pub(super) fn new(translation: Translation, generation: u64) -> Option<Self> {
        let Translation { pfn, permission, dirty, .. } = translation;
        let flag = |set: bool, bit: u64| if set { bit } else { 0 };
        let flags = flag(permission.read, READ)
            | flag(permission.write, WRITE)
            | flag(permission.execute, EXECUTE)
            | flag(dirty, DIRTY);
        let fits = (pfn.0 << PFN_SHIFT) >> PFN_SHIFT == pfn.0;
        fits.then_some(Self((pfn.0 << PFN_SHIFT) | flags | (generation % KEPT)))
    }

    /// Whether the value was filled in `generation`, of which only the low bits count.
    #[inline(always)]
    pub(super) const fn is_of(self, generation: u64) -> bool {
        (self.0 ^ generation).is_multiple_of(KEPT)
    }

    /// The translation, of a page of the key's size.
    #[inline(always)]
    pub(super) const fn translation(self, size: PageSize) -> Translation {
        Translation {
            pfn: Pfn(self.0 >> PFN_SHIFT),
            size,
            permission: Permission {
                read: self.0 & READ != 0,
                write: self.0 & WRITE != 0,
                execute: self.0 & EXECUTE != 0,
            },
            dirty: self.0 & DIRTY != 0,
        }
    }
}
