//! The lines of a source without their remarks, and the cells of a table's rows.
//!
//! Invariant: a line or a cell knows its number, and at which byte of the source its text begins.

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::span::Span;

/// A line or a cell: its text, and where that begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    /// The text without remark and without blanks at its end.
    pub(super) text: &'a str,
    /// The byte at which it begins.
    pub(super) start: usize,
    /// The 1-based number of the line.
    pub(super) number: u32,
}

/// What some editors put at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Every line of `source`, without a byte-order mark; a line may end with a carriage return and a line feed.
///
/// # Errors
/// If a carriage return ends no line: then nobody can say what the lines are.
pub(super) fn lines(source: &str) -> Result<Vec<Line<'_>>, Diagnostic> {
    let begins = source.strip_prefix(BYTE_ORDER_MARK).unwrap_or(source);
    let mut start = source.len() - begins.len();
    let mut found = Vec::new();
    for (number, text) in (1..).zip(begins.split_inclusive('\n')) {
        let line = Line { text: without_remark(text).trim_end(), start, number };
        if let Some(at) = lone_return(text) {
            return Err(line.with_lone_return(at));
        }
        found.push(line);
        start += text.len();
    }
    Ok(found)
}

/// The first carriage return of a line that does not stand before its line feed.
fn lone_return(text: &str) -> Option<usize> {
    let at = text.find('\r')?;
    (text[at..] != *"\r\n").then_some(at)
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
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The blanks it begins with.
    pub(super) fn margin(&self) -> &'a str {
        &self.text[..self.text.len() - self.text.trim_start().len()]
    }

    /// How many blanks it begins with.
    pub(super) fn indent(&self) -> usize {
        self.margin().len()
    }

    fn with_lone_return(&self, at: usize) -> Diagnostic {
        let span = Span::new(self.start + at, self.start + at + 1, self.number);
        let message = "a carriage return stands here, and no line feed behind it";
        Diagnostic::new(
            Code::LoneReturn,
            span,
            message,
            "end the lines with line feeds, as `tr '\\r' '\\n'` does for old files",
        )
    }

    /// Its first word, if it begins with one.
    pub(super) fn first_word(&self) -> &'a str {
        let text = self.text.trim_start();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        &text[..text.len() - text.trim_start_matches(is_part).len()]
    }

    /// What stands behind its first word.
    pub(super) fn rest(&self) -> Line<'a> {
        let from = self.indent() + self.first_word().len();
        Line { text: &self.text[from..], start: self.start + from, ..*self }.trimmed()
    }

    /// The same without blanks at its beginning.
    pub(super) fn trimmed(&self) -> Line<'a> {
        let indent = self.indent();
        Line { text: self.text[indent..].trim_end(), start: self.start + indent, ..*self }
    }

    /// What stands up to its first `:`, and behind it.
    pub(super) fn parted(&self) -> (Line<'a>, Line<'a>) {
        let at = self.text.find(':').map_or(self.text.len(), |at| at + 1);
        let behind = Line { text: &self.text[at..], start: self.start + at, ..*self };
        (Line { text: &self.text[..at], ..*self }, behind)
    }

    /// Where its text stands, without the blanks around it.
    pub(super) fn span(&self) -> Span {
        let trimmed = self.trimmed();
        Span::new(trimmed.start, trimmed.start + trimmed.text.len(), self.number)
    }

    /// Its cells: what stands between `|`; `||` is no border.
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
        Line { text: self.text[from..to].trim_end(), start: self.start + from, ..*self }
    }
}
