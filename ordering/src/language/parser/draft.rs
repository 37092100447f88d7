//! A file as its lines say it: scenarios, each line with those that belong to it, before anything of it is resolved.
//!
//! Invariant: which lines belong to a line depends on the word that it begins with and on the lines alone.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::super::span::{Name, Span};
use super::super::suggest::did_you_mean;
use super::super::syntax::Scenario;
use super::keyword::{Edited, Keyword};

/// Rows of a program at most.
pub(crate) const MOST_ROWS: usize = 4096;

/// A scenario as its lines say it, before `like`, `sweep` and `for` are resolved.
pub(super) struct Draft<'a> {
    pub(super) name: Name,
    /// Whether every line of it could be read so far.
    pub(super) whole: bool,
    pub(super) items: Vec<Item<'a>>,
}

/// A line of a scenario with those that belong to it.
pub(super) struct Item<'a> {
    pub(super) keyword: Keyword,
    pub(super) line: Line<'a>,
    pub(super) block: Vec<Line<'a>>,
    /// Of a `for`: what is said for each value.
    pub(super) inner: Vec<Item<'a>>,
}

/// What a file says: its scenarios, without those parts that are in error, and the errors.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// In the order of the file, with what `like` takes over.
    pub scenarios: Vec<Scenario>,
    /// Everything that is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Those of `lines` that belong to a line before them that begins with `keyword`, and how many were gone over.
pub(in super::super) fn block<'a>(
    keyword: Keyword,
    lines: &[Line<'a>],
    source: &str,
) -> (Vec<Line<'a>>, usize) {
    let mut found: Vec<Line<'a>> = Vec::new();
    let is_label =
        |line: &Line<'_>| line.text.ends_with(':') && line.text.len() == line.first_word().len() + 1;
    let mut length = 0;
    while let Some(line) = lines.get(length) {
        let belongs = match keyword {
            Keyword::Race | Keyword::Trace => {
                // A line that holds a remark only does not end a table.
                let remark = source[line.start..].trim_start_matches([' ', '\t']).starts_with('#');
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

/// The error for a step where no program is.
pub(super) fn step_outside(line: &Line<'_>) -> Diagnostic {
    let help = "locks need no declaration: `lock NAME` is a step, put it into a program";
    Diagnostic::new(Code::StepOutside, line.span(), "a step stands outside of every program", help)
}

/// The error for a line that begins with no known word.
pub(super) fn no_keyword(line: &Line<'_>) -> Diagnostic {
    let start = line.trimmed();
    let word = start.text.split_whitespace().next().expect("a line that is not blank has a word");
    let span = Span::new(start.start, start.start + word.len(), line.number);
    let help = "a scenario's lines begin with page, frame, map, cpu, device, race, agent, never, expect, …";
    let message = format!("no line begins with `{word}`");
    Diagnostic::new(Code::NoKeyword, span, message, did_you_mean(word, &Keyword::words(), help))
}

/// The error for a block that begins so long before `row`.
pub(super) fn too_many_rows(row: &Line<'_>, count: usize) -> Diagnostic {
    let message = format!("this block has {count} rows: too many to explore");
    Diagnostic::new(
        Code::TooManyRows,
        row.span(),
        message,
        format!("a program has at most {MOST_ROWS} rows; use `repeat`"),
    )
}
