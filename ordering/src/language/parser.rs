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
mod draft;
mod edit;
mod entry;
mod fold;
mod item;
mod keyword;
mod property;
mod said;
mod shadow;
mod step;
mod sweep;
mod table;
mod unfold;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::line::{Line, lines};
use super::span::{Name, Span, Spanned};
use build::Builder;
use cursor::Parsed;
use draft::{Draft, no_keyword};

pub use declaration::OPTIONS;
pub use draft::File;
pub(super) use draft::block;
pub(super) use fold::stripped;
pub(super) use keyword::Keyword;
pub(crate) use property::BUILT_IN;
pub(crate) use said::declared_twice;

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

/// A scenario whose name could not be read.
fn nameless(line: &Line<'_>) -> Name {
    Spanned::new(String::new(), line.span())
}
