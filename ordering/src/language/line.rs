//! The lines of a source without their remarks, and the cells of a table's rows.
//!
//! Invariant: a line or a cell knows at which byte of the source its text begins.

use super::span::Span;

/// A line or a cell: its text, and where that begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    /// The text without remark and without blanks at its end.
    pub(super) text: &'a str,
    /// The byte at which it begins.
    pub(super) start: usize,
}

/// Every line of `source`.
#[must_use]
pub(super) fn lines(source: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    let mut found = Vec::new();
    for text in source.split_inclusive('\n') {
        found.push(Line { text: without_remark(text).trim_end(), start });
        start += text.len();
    }
    found
}

/// The text before a `#` that stands outside of quotes.
fn without_remark(text: &str) -> &str {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'#' if !quoted => return &text[..at],
            _ => {}
        }
    }
    text
}

impl<'a> Line<'a> {
    /// Whether nothing stands on it.
    #[must_use]
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// How many blanks it begins with.
    #[must_use]
    pub(super) fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// Its first word, if it begins with one.
    #[must_use]
    pub(super) fn first_word(&self) -> &'a str {
        let text = self.text.trim_start();
        let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        &text[..end.unwrap_or(text.len())]
    }

    /// What stands behind its first word.
    #[must_use]
    pub(super) fn rest(&self) -> Line<'a> {
        let from = self.indent() + self.first_word().len();
        Line { text: &self.text[from..], start: self.start + from }.trimmed()
    }

    /// The same without blanks at its beginning.
    #[must_use]
    pub(super) fn trimmed(&self) -> Line<'a> {
        let indent = self.indent();
        Line { text: self.text[indent..].trim_end(), start: self.start + indent }
    }

    /// Where its text stands, without the blanks around it.
    #[must_use]
    pub(super) fn span(&self) -> Span {
        let trimmed = self.trimmed();
        Span::new(trimmed.start, trimmed.start + trimmed.text.len())
    }

    /// Its cells: what stands between `|`; `||` is no border.
    #[must_use]
    pub(super) fn cells(&self) -> Vec<Line<'a>> {
        let bytes = self.text.as_bytes();
        let mut found = Vec::new();
        let mut from = 0;
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b'|' && bytes.get(at + 1) == Some(&b'|') {
                at += 1;
            } else if bytes[at] == b'|' {
                found.push(self.cell(from, at));
                from = at + 1;
            }
            at += 1;
        }
        found.push(self.cell(from, bytes.len()));
        found
    }

    fn cell(&self, from: usize, to: usize) -> Line<'a> {
        Line { text: self.text[from..to].trim_end(), start: self.start + from }
    }
}
