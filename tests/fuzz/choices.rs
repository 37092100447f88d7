//! Bytes as decisions.
//!
//! Invariant: a decision takes the bytes it needs from the front; when there are none left, every decision is the first
//! one. So a change of one byte changes one decision, mostly, and what was decided before it stays. Source:
//! `arbitrary`, which takes them.

use arbitrary::Unstructured;

/// The decisions that are left.
#[derive(Debug)]
pub struct Choices<'bytes>(Unstructured<'bytes>);

impl<'bytes> Choices<'bytes> {
    /// Those that `bytes` make.
    #[must_use]
    pub fn new(bytes: &'bytes [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Whether there are none left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Any number of 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.int_in_range(0..=bound.max(1) - 1).unwrap_or(0)
    }

    /// One in `count` times.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 1
    }

    /// One of `things`.
    ///
    /// # Panics
    /// If there are none.
    pub fn of<T: Copy>(&mut self, things: &[T]) -> T {
        *self.0.choose(things).expect("there is one at least")
    }

    /// A number of the kind that breaks things: small, around a power of two, all ones, or any.
    pub fn number(&mut self) -> u64 {
        match self.below(8) {
            0 | 1 => self.byte().into(),
            2 => 1 << self.below(64),
            3 => (1_u64 << self.below(64)).wrapping_sub(1),
            4 => u64::MAX << self.below(64),
            5 => u64::from(self.byte()) << self.below(64),
            6 => (1_u64 << self.below(64)).wrapping_sub(u64::from(self.byte())),
            _ => self.word(),
        }
    }

    /// `word`, but one in `count` times with a bit or two that are wrong.
    pub fn spoil(&mut self, word: u64, count: u64) -> u64 {
        if !self.one_in(count) {
            return word;
        }
        let once = word ^ 1 << self.below(64);
        if self.one_in(4) { once ^ 1 << self.below(64) } else { once }
    }
}
