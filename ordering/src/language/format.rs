//! A scenario file in the one form that the catalogue has: what `afterimage fmt` writes.
//!
//! Invariant: what is written means the same as what was read, up to places; that is looked at each time, and a text of
//! which it is not so is refused. Remarks and texts in quotes stand as they stood. The form of a form is itself.

mod blanks;
mod meaning;
mod table;

use super::diagnostic::Diagnostic;
use super::line::{Line, lines};
use super::parser::{Keyword, block, parse, stripped};
use super::token::tokens;

/// Where what is declared begins behind its keyword, if that leaves room.
const DECLARED: usize = 8;
/// Where remarks begin, if what stands before leaves room.
const REMARKS: usize = 36;
/// By how much a block is further to the right.
const STEP: usize = 2;

/// Why a text has no form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unformed {
    /// It cannot be read.
    Wrong(Vec<Diagnostic>),
    /// In the form it would mean something else: rows that replace others are less or further to the right than these, by
    /// another number of blanks than two.
    Differs,
}

/// A line that is written.
struct Out<'s> {
    code: String,
    /// With its `#`.
    remark: Option<&'s str>,
    /// The table that it belongs to, which has its remarks below each other.
    table: Option<usize>,
}

/// The form of `source`.
///
/// # Errors
/// Why it has none.
pub fn format(source: &str) -> Result<String, Unformed> {
    let before = parse(source);
    if !before.diagnostics.is_empty() {
        return Err(Unformed::Wrong(before.diagnostics));
    }
    let read = lines(source).map_err(|wrong| Unformed::Wrong(vec![wrong]))?;
    let mut writer = Writer { source, out: Vec::new(), tables: 0, depth: 0 };
    writer.lines(&read).map_err(|wrong| Unformed::Wrong(vec![wrong]))?;
    let text = writer.text();
    let after = parse(&text);
    let same =
        after.diagnostics.is_empty() && meaning::of(&before.scenarios) == meaning::of(&after.scenarios);
    if same { Ok(text) } else { Err(Unformed::Differs) }
}

struct Writer<'s> {
    source: &'s str,
    out: Vec<Out<'s>>,
    tables: usize,
    /// How many `for` stand around what is written.
    depth: usize,
}

impl<'s> Writer<'s> {
    /// The remark of a line.
    fn remark(&self, line: Line<'_>) -> Option<&'s str> {
        let rest = whole_line(&self.source[line.start + line.text.len()..]).trim();
        (!rest.is_empty()).then_some(rest)
    }

    fn push(&mut self, line: Line<'_>, code: &str) {
        let remark = self.remark(line);
        // A remark that has a line of its own may stand to the left of a `for`.
        let outside = self.is_leftmost(line) || remark.is_none();
        let depth = if code.trim().is_empty() && outside { 0 } else { self.depth };
        self.out.push(Out { code: " ".repeat(STEP * depth) + code, remark, table: None });
    }

    /// Lines of the left margin, or of a `for` as if they were.
    fn lines(&mut self, lines: &[Line<'s>]) -> Result<(), Diagnostic> {
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            let keyword = if line.is_blank() { None } else { Keyword::named(line.first_word()) };
            let length = keyword.map_or(0, |keyword| block(keyword, &lines[at..], self.source).1);
            let below = &lines[at..at + length];
            at += length;
            match keyword {
                None => self.push(*line, ""),
                Some(keyword) => self.keyword(keyword, *line, below)?,
            }
        }
        Ok(())
    }

    /// Whether a line begins at the left end of one of the source.
    fn is_leftmost(&self, line: Line<'_>) -> bool {
        line.start == 0 || self.source[..line.start].ends_with('\n')
    }

    fn keyword(&mut self, keyword: Keyword, line: Line<'s>, block: &[Line<'s>]) -> Result<(), Diagnostic> {
        let (word, rest) = (line.first_word(), line.rest());
        let rest = match keyword {
            // Their names hold what would be signs elsewhere.
            Keyword::Scenario | Keyword::Like => rest.text.to_owned(),
            Keyword::Sweep
            | Keyword::For
            | Keyword::About
            | Keyword::Source
            | Keyword::Declares(_)
            | Keyword::Option
            | Keyword::Race
            | Keyword::Trace
            | Keyword::Agent
            | Keyword::Asks(_)
            | Keyword::Expect
            | Keyword::Unreached
            | Keyword::Edits(_)
            | Keyword::Lock => blanks::between(&tokens(rest)?, self.source),
        };
        let is_alone = matches!(keyword, Keyword::Agent | Keyword::Race | Keyword::Trace | Keyword::For)
            || rest.is_empty();
        let width = if is_alone { 0 } else { DECLARED - 1 };
        self.push(line, format!("{word:width$} {rest}").trim_end());
        match keyword {
            Keyword::Race | Keyword::Trace => self.table(keyword, block),
            // These show how deep in its blocks stands what they replace.
            Keyword::Edits(_) => {
                let least = block.iter().filter(|row| !row.is_blank()).map(Line::indent).min();
                self.program(block, least.map_or(1, |least| (least / STEP).max(1)))
            }
            Keyword::For => {
                self.depth += 1;
                self.lines(&stripped(block, self.source)?)?;
                self.depth -= 1;
                Ok(())
            }
            Keyword::Scenario
            | Keyword::Sweep
            | Keyword::Like
            | Keyword::About
            | Keyword::Source
            | Keyword::Declares(_)
            | Keyword::Option
            | Keyword::Agent
            | Keyword::Asks(_)
            | Keyword::Expect
            | Keyword::Unreached
            | Keyword::Lock => self.program(block, 1),
        }
    }

    /// Rows on lines of their own, the outermost behind so many steps.
    fn program(&mut self, block: &[Line<'s>], outer: usize) -> Result<(), Diagnostic> {
        let mut levels = Levels::default();
        for line in block {
            let code = match line.is_blank() {
                true if self.remark(*line).is_none() || self.source[line.start..].starts_with('#') => {
                    String::new()
                }
                // It stands where the row behind it would.
                true => " ".repeat(STEP * (outer + levels.clone().of(self.remark_indent(*line)))),
                false => {
                    let text = blanks::between(&tokens(line.trimmed())?, self.source);
                    match line.indent() {
                        0 => {
                            levels = Levels::default();
                            text
                        }
                        indent => format!("{}{text}", " ".repeat(STEP * (outer + levels.of(indent)))),
                    }
                }
            };
            self.push(*line, &code);
        }
        Ok(())
    }

    /// How far to the right a remark stands that has a line of its own.
    fn remark_indent(&self, line: Line<'_>) -> usize {
        let text = whole_line(&self.source[line.start..]);
        text.len() - text.trim_start().len()
    }

    fn table(&mut self, keyword: Keyword, block: &[Line<'s>]) -> Result<(), Diagnostic> {
        self.tables += 1;
        let trace = keyword == Keyword::Trace;
        for (line, code) in block.iter().zip(table::aligned(block, trace, self.source)?) {
            let remark = self.remark(*line);
            let table = (!code.is_empty()).then_some(self.tables);
            let margin = if code.is_empty() { String::new() } else { " ".repeat(STEP * self.depth) };
            self.out.push(Out { code: margin + &code, remark, table });
        }
        Ok(())
    }

    /// All lines, with one empty line where there were several.
    fn text(self) -> String {
        let mut widths = vec![0; self.tables + 1];
        for one in &self.out {
            if let (Some(table), Some(_)) = (one.table, one.remark) {
                widths[table] = widths[table].max(one.code.chars().count() + 1);
            }
        }
        let mut text = String::new();
        let mut empty = true;
        for one in &self.out {
            let at = REMARKS.max(one.table.map_or(0, |table| widths[table]));
            let line = match one.remark {
                Some(remark) if one.code.trim().is_empty() => format!("{}{remark}", one.code),
                Some(remark) => format!("{:width$} {remark}", one.code, width = at - 1),
                None => one.code.trim_end().to_owned(),
            };
            if !(line.is_empty() && empty) {
                text.push_str(&line);
                text.push('\n');
            }
            empty = line.is_empty();
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

/// What stands before the end of the line.
fn whole_line(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(line, _)| line)
}

/// How many blocks are open: what stands further to the right than a row is in a block of its own.
#[derive(Clone, Default)]
struct Levels {
    open: Vec<usize>,
}

impl Levels {
    /// The blocks around a row that begins behind so many blanks.
    fn of(&mut self, indent: usize) -> usize {
        self.open.retain(|open| *open < indent);
        self.open.push(indent);
        self.open.len() - 1
    }
}

#[cfg(test)]
mod tests;
