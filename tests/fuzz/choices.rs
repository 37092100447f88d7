//! Bytes as decisions.
//!
//! Invariant: a decision takes the bytes it needs from the front; when there are none left, every decision is the first
//! one. So a change of one byte changes one decision, mostly, and what was decided before it stays.

/// The decisions that are left.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'bytes> {
    bytes: &'bytes [u8],
}

impl<'bytes> Choices<'bytes> {
    /// Those that `bytes` make.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Self {
        Self { bytes }
    }

    /// Whether there are none left.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A byte.
    pub const fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// Any number of 64 bits.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `bound`, which is at most 2^16.
    pub fn below(&mut self, bound: u64) -> u64 {
        let drawn =
            if bound <= 0x100 { self.byte().into() } else { u16::from_le_bytes([self.byte(), self.byte()]) };
        u64::from(drawn) % bound.max(1)
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
        let at = self.below(things.len() as u64);
        things[usize::try_from(at).unwrap_or(0)]
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
