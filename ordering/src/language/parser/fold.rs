//! Lines and their blocks as items; a `for` at the left margin holds items of its own.
//!
//! Invariant: what stands in a `for` is read as it would be at the left margin, and knows its place in the source.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::Parser;
use super::bind::FOR;
use super::cursor::Parsed;
use super::draft::{Item, MOST_ROWS, block, no_keyword, too_many_rows};
use super::keyword::Keyword;
use super::unfold::DEPTH;

impl<'a> Parser<'a> {
    /// A line with those that belong to it, and what is wrong inside of it if it is a `for`.
    pub(super) fn item(
        &self,
        keyword: Keyword,
        line: Line<'a>,
        block: Vec<Line<'a>>,
        depth: usize,
    ) -> (Parsed<Item<'a>>, Vec<Diagnostic>) {
        if let Some(row) = block.get(MOST_ROWS) {
            return (Err(too_many_rows(row, block.len())), Vec::new());
        }
        if keyword != Keyword::For {
            return (Ok(Item { keyword, line, block, inner: Vec::new() }), Vec::new());
        }
        let mut wrong = Vec::new();
        let inner = self.inner(line, &block, depth, &mut wrong);
        (inner.map(|(line, inner)| Item { keyword, line, block: Vec::new(), inner }), wrong)
    }

    /// The head of a `for` up to its colon, and the items behind it or below.
    fn inner(
        &self,
        line: Line<'a>,
        block: &[Line<'a>],
        depth: usize,
        wrong: &mut Vec<Diagnostic>,
    ) -> Parsed<(Line<'a>, Vec<Item<'a>>)> {
        if depth >= DEPTH {
            let help = "write some of them out";
            return Err(Diagnostic::new(Code::NestsTooDeep, line.span(), "this `for` nests too deep", help));
        }
        let (head, behind) = line.parted();
        let mut lines = stripped(block, self.source)?;
        if !behind.is_blank() {
            lines.insert(0, behind.trimmed());
        }
        let mut reader = Reader { lines: &lines, at: 0 };
        let mut found = Vec::new();
        while let Some((line, block)) = reader.next(self.source) {
            let Some(keyword) = Keyword::named(line.first_word()) else {
                wrong.push(no_keyword(&line));
                continue;
            };
            let (item, inside) = self.item(keyword, line, block, depth + 1);
            wrong.extend(inside);
            match item {
                Ok(item) => found.push(item),
                Err(one) => wrong.push(one),
            }
        }
        if found.is_empty() && wrong.is_empty() {
            let help = format!("put lines below that begin further to the right, as below `{FOR}`");
            return Err(Diagnostic::new(Code::EmptyBody, line.span(), "nothing follows this `for`", help));
        }
        Ok((head, found))
    }
}

/// Reads lines that are not of the left margin as if they were.
struct Reader<'l, 'a> {
    lines: &'l [Line<'a>],
    at: usize,
}

impl<'a> Reader<'_, 'a> {
    /// The next line that says something, and those that belong to it.
    fn next(&mut self, source: &'a str) -> Option<(Line<'a>, Vec<Line<'a>>)> {
        let line = loop {
            let line = *self.lines.get(self.at)?;
            self.at += 1;
            if !line.is_blank() {
                break line;
            }
        };
        let keyword = Keyword::named(line.first_word());
        let block = keyword.map_or_else(Vec::new, |keyword| {
            let (block, length) = block(keyword, &self.lines[self.at..], source);
            self.at += length;
            block
        });
        Some((line, block))
    }
}

/// The lines of a block without the blanks that all begin with.
pub(in super::super) fn stripped<'a>(block: &[Line<'a>], source: &str) -> Parsed<Vec<Line<'a>>> {
    // A table goes on behind a remark.
    let remark = |line: &Line<'a>| {
        let rest = &source[line.start..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let start = if rest[blanks..].starts_with('#') { line.start + blanks } else { line.start };
        Line { start, ..*line }
    };
    let said = || block.iter().filter(|line| !line.is_blank());
    let Some(margin) = said().map(Line::margin).min_by_key(|margin| margin.len()) else {
        return Ok(block.iter().map(remark).collect());
    };
    if let Some(mixed) = said().find(|line| !line.margin().starts_with(margin)) {
        let message = "tabs and blanks are mixed at the beginning of the lines of one `for`";
        return Err(Diagnostic::new(Code::MixedMargin, mixed.span(), message, "use blanks alone"));
    }
    let without = |line: &Line<'a>| match line.is_blank() {
        true => remark(line),
        false => Line { text: &line.text[margin.len()..], start: line.start + margin.len(), ..*line },
    };
    Ok(block.iter().map(without).collect())
}
