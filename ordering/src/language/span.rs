//! Where something stands in a source text.
//!
//! Invariant: a span is a range of bytes of the text it was made from, and both ends are character boundaries. It knows
//! its line from the start: whoever counted lines again for each place would be quadratic in the length of the file.

use std::fmt;
use std::ops::Range;

/// A range of bytes of the source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// The 1-based line of the first byte.
    pub line: u32,
    /// Which row it is of a program in which a `for` is written out, from 1; 0 outside of every `for`. What stands once
    /// in the source is several statements there.
    pub copy: u32,
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
    /// The bytes from `start` up to `end`, of that line.
    #[must_use]
    pub const fn new(start: usize, end: usize, line: u32) -> Self {
        Self { start, end, line, copy: 0 }
    }

    /// The place in the source, whatever a `for` makes of it.
    #[must_use]
    pub const fn in_source(self) -> Self {
        Self { copy: 0, ..self }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        let first = self.min(other);
        Self { end: self.end.max(other.end), ..first }
    }

    /// The text it covers.
    ///
    /// # Panics
    /// If it was made from another text than `source`.
    #[must_use]
    pub fn text(self, source: &str) -> &str {
        source.get(Range::from(self)).expect("a span is a range of the text that it was made from")
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start..span.end
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl<T> Spanned<T> {
    /// `node` at `span`.
    pub const fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}
