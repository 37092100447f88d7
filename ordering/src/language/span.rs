//! Where something stands in a source text.
//!
//! Invariant: a span is a range of bytes of the text it was made from, and both ends are character boundaries.

use std::ops::Range;

/// A range of bytes of the source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Something with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    /// The thing.
    pub node: T,
    /// Where it stands.
    pub span: Span,
}

/// A name as it was written.
pub type Name = Spanned<String>;

impl Span {
    /// The bytes from `start` up to `end`.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The 1-based line of its first byte.
    #[must_use]
    pub fn line(self, source: &str) -> u32 {
        let before = source.bytes().take(self.start).filter(|byte| *byte == b'\n').count();
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// The text it covers; empty if it is not a range of `source`.
    #[must_use]
    pub fn text(self, source: &str) -> &str {
        source.get(Range::from(self)).unwrap_or("")
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start..span.end
    }
}

impl<T> Spanned<T> {
    /// `node` at `span`.
    pub const fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}
