//! A file's lines become scenarios.
//!
//! Invariant: every line is read, and one that cannot be read costs that line only; so all errors of a file are
//! reported at once.

mod bind;
mod block;
mod build;
mod condition;
mod cursor;
mod declaration;
mod edit;
mod entry;
mod fold;
mod item;
mod keyword;
mod property;
mod said;
mod step;
mod sweep;
mod table;
mod unfold;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::line::{Line, lines};
use super::span::{Name, Span, Spanned};
use super::suggest::did_you_mean;
use super::syntax::Scenario;
use build::Builder;
use cursor::Parsed;
use keyword::Edited;

pub use declaration::OPTIONS;
pub(super) use fold::stripped;
pub(super) use keyword::Keyword;
pub(crate) use property::BUILT_IN;
pub(crate) use said::declared_twice;

/// Rows of a program at most.
pub(crate) const MOST_ROWS: usize = 4096;
/// A scenario as its lines say it, before `like`, `sweep` and `for` are resolved.
struct Draft<'a> {
    name: Name,
    /// Whether every line of it could be read so far.
    whole: bool,
    items: Vec<Item<'a>>,
}

/// A line of a scenario with those that belong to it.
struct Item<'a> {
    keyword: Keyword,
    line: Line<'a>,
    block: Vec<Line<'a>>,
    /// Of a `for`: what is said for each value.
    inner: Vec<Item<'a>>,
}

/// What a file says: its scenarios, without those parts that are in error, and the errors.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// In the order of the file, with what `like` takes over.
    pub scenarios: Vec<Scenario>,
    /// Everything that is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a whole file.
#[must_use]
pub fn parse(source: &str) -> File {
    let lines = match lines(source) {
        Ok(lines) => lines,
        Err(unreadable) => return File { scenarios: Vec::new(), diagnostics: vec![unreadable] },
    };
    let mut parser = Parser::new(source, &lines);
    while parser.at < lines.len() {
        if let Err(diagnostic) = parser.line() {
            parser.diagnostics.push(diagnostic);
            if let Some(draft) = parser.drafts.last_mut() {
                draft.whole = false;
            }
        }
    }
    let place = lines.last().map_or(Span::new(0, 0, 1), Line::span);
    Builder::new(parser.drafts, parser.diagnostics).finish(place)
}

/// What reads a file line by line.
struct Parser<'a> {
    source: &'a str,
    lines: &'a [Line<'a>],
    at: usize,
    drafts: Vec<Draft<'a>>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    const fn new(source: &'a str, lines: &'a [Line<'a>]) -> Self {
        Self { source, lines, at: 0, drafts: Vec::new(), diagnostics: Vec::new() }
    }

    /// Reads what begins on the next line.
    fn line(&mut self) -> Parsed<()> {
        let line = self.lines[self.at];
        self.at += 1;
        if line.is_blank() {
            return Ok(());
        }
        let Some(keyword) = Keyword::named(line.first_word()) else { return Err(no_keyword(&line)) };
        if keyword == Keyword::Scenario {
            let name = declaration::title(line, "scenario");
            // What stands below a name that cannot be read belongs to that scenario all the same.
            let known = name.as_ref().map_or(nameless(&line), Name::clone);
            self.drafts.push(Draft { name: known, whole: true, items: Vec::new() });
            return name.map(drop);
        }
        let block = self.block(keyword);
        if self.drafts.is_empty() {
            self.drafts.push(Draft { name: nameless(&line), whole: true, items: Vec::new() });
            let help = "begin with `scenario NAME`";
            return Err(Diagnostic::new(
                Code::OutsideScenario,
                line.span(),
                "this line belongs to no scenario",
                help,
            ));
        }
        let (item, wrong) = self.item(keyword, line, block, 0);
        self.diagnostics.extend(wrong);
        let Some(draft) = self.drafts.last_mut() else { return Ok(()) };
        match item {
            Ok(item) => draft.items.push(item),
            Err(wrong) => return Err(wrong),
        }
        Ok(())
    }

    /// The lines that belong to the one before.
    fn block(&mut self, keyword: Keyword) -> Vec<Line<'a>> {
        let (found, length) = block(keyword, &self.lines[self.at..], self.source);
        self.at += length;
        found
    }
}

/// Those of `lines` that belong to a line before them that begins with `keyword`, and how many were gone over.
pub(super) fn block<'a>(keyword: Keyword, lines: &[Line<'a>], source: &str) -> (Vec<Line<'a>>, usize) {
    let mut found: Vec<Line<'a>> = Vec::new();
    let is_label =
        |line: &Line<'_>| line.text.ends_with(':') && line.text.len() == line.first_word().len() + 1;
    let mut length = 0;
    while let Some(line) = lines.get(length) {
        let belongs = match keyword {
            Keyword::Race | Keyword::Trace => {
                // A line that holds a remark only does not end a table.
                let remark = source[line.start..].starts_with('#');
                let ends = found.first().is_some_and(|head| Keyword::ends_a_table(line, head.cells().len()));
                (remark || !line.is_blank()) && !ends
            }
            Keyword::Agent | Keyword::Edits(Edited::Replace) => {
                line.is_blank() || line.indent() > 0 || is_label(line)
            }
            Keyword::For => line.is_blank() || line.indent() > 0,
            Keyword::Scenario
            | Keyword::Sweep
            | Keyword::Like
            | Keyword::About
            | Keyword::Source
            | Keyword::Declares(_)
            | Keyword::Option
            | Keyword::Asks(_)
            | Keyword::Expect
            | Keyword::Unreached
            | Keyword::Edits(Edited::Drop | Edited::Move)
            | Keyword::Lock => false,
        };
        if !belongs {
            break;
        }
        length += 1;
        // In a `for` an empty line may end a table.
        if !line.is_blank() || keyword == Keyword::For {
            found.push(*line);
        }
    }
    (found, length)
}

fn step_outside(line: &Line<'_>) -> Diagnostic {
    let help = "locks need no declaration: `lock NAME` is a step, put it into a program";
    Diagnostic::new(Code::StepOutside, line.span(), "a step stands outside of every program", help)
}

fn no_keyword(line: &Line<'_>) -> Diagnostic {
    let start = line.trimmed();
    let word = start.text.split_whitespace().next().expect("a line that is not blank has a word");
    let span = Span::new(start.start, start.start + word.len(), line.number);
    let help = "a scenario's lines begin with page, frame, map, cpu, device, race, agent, never, expect, …";
    let message = format!("no line begins with `{word}`");
    Diagnostic::new(Code::NoKeyword, span, message, did_you_mean(word, &Keyword::words(), help))
}

/// The error for a block that begins so long before `row`.
fn too_many_rows(row: &Line<'_>, count: usize) -> Diagnostic {
    let message = format!("this block has {count} rows: too many to explore");
    Diagnostic::new(
        Code::TooManyRows,
        row.span(),
        message,
        format!("a program has at most {MOST_ROWS} rows; use `repeat`"),
    )
}

/// A scenario whose name could not be read.
fn nameless(line: &Line<'_>) -> Name {
    Spanned::new(String::new(), line.span())
}
