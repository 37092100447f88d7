//! The word that a state is packed into.
//!
//! Invariant: the top bit of a packed state is always set, so that zero can mean an empty slot of the set.

use std::fmt::Debug;
use std::ops::{BitAnd, BitOr, BitXor, Not, Shl, Shr};

use super::set::slot::{Narrow, Slot, Wide};

/// Unsigned words that states are packed into.
pub(super) trait Word:
    Copy
    + Ord
    + Debug
    + Default
    + Send
    + Sync
    + 'static
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Not<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    /// A place in the set.
    type Slot: Slot<Self>;
    /// Bits of the word.
    const BITS: u32;
    /// No bit set.
    const ZERO: Self;
    /// The lowest bit set.
    const ONE: Self;

    /// A small number as a word.
    fn of(value: u32) -> Self;
    /// The lowest 32 bits.
    fn low(self) -> u32;
    /// The sum modulo the size of the word.
    fn plus(self, other: Self) -> Self;
    /// Its bits mixed; the high ones are the good ones.
    fn hash(self) -> u64;

    /// The bit that every state has.
    fn occupied() -> Self {
        Self::ONE << (Self::BITS - 1)
    }
}

/// An odd number without pattern: 2^64 divided by the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

impl Word for u64 {
    type Slot = Narrow;
    const BITS: u32 = 64;
    const ZERO: Self = 0;
    const ONE: Self = 1;

    fn of(value: u32) -> Self {
        Self::from(value)
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are asked for")]
    #[inline]
    fn low(self) -> u32 {
        self as u32
    }

    #[inline]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn hash(self) -> u64 {
        // The product alone leaves high bits of the state out of the low bits of the slot.
        (self ^ (self >> 29)).wrapping_mul(MIX)
    }
}

impl Word for u128 {
    type Slot = Wide;
    const BITS: u32 = 128;
    const ZERO: Self = 0;
    const ONE: Self = 1;

    fn of(value: u32) -> Self {
        Self::from(value)
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are asked for")]
    #[inline]
    fn low(self) -> u32 {
        self as u32
    }

    #[inline]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves are mixed one after the other")]
    #[inline]
    fn hash(self) -> u64 {
        (self as u64 ^ ((self >> 64) as u64).hash().rotate_left(32)).hash()
    }
}
