//! A file's lines become scenarios.
//!
//! Invariant: every line is read, and one that cannot be read costs that line only; so all errors of a file are
//! reported at once.

mod block;
mod condition;
mod cursor;
mod declaration;
mod edit;
mod entry;
mod keyword;
mod property;
mod said;
mod step;
mod table;

use std::collections::HashMap;
use std::ops::Range;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::line::{Line, lines};
use super::span::{Name, Span, Spanned};
use super::suggest::did_you_mean;
use super::syntax::{Agent, Scenario};
use super::token::tokens;
use super::variant::{Blamed, Edit, edit, inherit, size};
use block::Blocks;
use cursor::{Cursor, Parsed};
use edit::{unreached, variation};
use keyword::Edited;
use said::Said;
use table::{Table, head, program, table};

pub use declaration::OPTIONS;
pub(super) use keyword::Keyword;
pub(crate) use property::BUILT_IN;
pub(crate) use said::declared_twice;

/// Rows of a program at most.
pub(crate) const MOST_ROWS: usize = 4096;
/// Scenarios at most that a wrong name is compared with.
const MOST_NEIGHBOURS: usize = 64;
/// What variants of one file may take over together, in rows and declarations.
const MOST_TAKEN_OVER: usize = 250_000;

/// A scenario before `like` is resolved.
struct Draft {
    scenario: Scenario,
    edits: Vec<Edit>,
    said: Said,
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
        let known = parser.diagnostics.len();
        if let Err(diagnostic) = parser.line() {
            parser.diagnostics.push(diagnostic);
        }
        if let (true, Some(draft)) = (parser.diagnostics.len() > known, parser.drafts.last_mut()) {
            draft.scenario.whole = false;
        }
    }
    parser.finish()
}

/// What reads a file line by line.
pub(super) struct Parser<'a> {
    source: &'a str,
    lines: &'a [Line<'a>],
    at: usize,
    drafts: Vec<Draft>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    /// Before the first of `lines`, which are those of `source`.
    pub(super) const fn new(source: &'a str, lines: &'a [Line<'a>]) -> Self {
        Self { source, lines, at: 0, drafts: Vec::new(), diagnostics: Vec::new() }
    }

    /// Which line comes next.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Goes over the next line, and over those that belong to it if it begins with `keyword`; which these are.
    pub(super) fn skip(&mut self, keyword: Option<Keyword>) -> Range<usize> {
        self.at += 1;
        let first = self.at;
        if let Some(keyword) = keyword {
            self.block(keyword);
        }
        first..self.at
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
            self.drafts.push(Draft { scenario: blank(known), edits: Vec::new(), said: Said::default() });
            return name.map(drop);
        }
        let block = self.block(keyword);
        if self.drafts.is_empty() {
            let scenario = blank(nameless(&line));
            self.drafts.push(Draft { scenario, edits: Vec::new(), said: Said::default() });
            let help = "begin with `scenario NAME`";
            return Err(Diagnostic::new(
                Code::OutsideScenario,
                line.span(),
                "this line belongs to no scenario",
                help,
            ));
        }
        match block.get(MOST_ROWS) {
            Some(row) => Err(too_many_rows(row, block.len())),
            None => self.item(keyword, line, &block),
        }
    }

    /// The lines that belong to the one before.
    fn block(&mut self, keyword: Keyword) -> Vec<Line<'a>> {
        let mut found: Vec<Line<'a>> = Vec::new();
        let is_label =
            |line: &Line<'_>| line.text.ends_with(':') && line.text.len() == line.first_word().len() + 1;
        while let Some(line) = self.lines.get(self.at) {
            let belongs = match keyword {
                Keyword::Race | Keyword::Trace => {
                    // A line that holds a remark only does not end a table.
                    let remark = self.source[line.start..].starts_with('#');
                    let ends =
                        found.first().is_some_and(|head| Keyword::ends_a_table(line, head.cells().len()));
                    (remark || !line.is_blank()) && !ends
                }
                Keyword::Agent | Keyword::Edits(Edited::Replace) => {
                    line.is_blank() || line.indent() > 0 || is_label(line)
                }
                Keyword::Scenario
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
            self.at += 1;
            if !line.is_blank() {
                found.push(*line);
            }
        }
        found
    }

    fn item(&mut self, keyword: Keyword, line: Line<'a>, block: &[Line<'a>]) -> Parsed<()> {
        let Some(Draft { scenario, edits, said }) = self.drafts.last_mut() else { return Ok(()) };
        if keyword == Keyword::Like {
            scenario.like = Some(declaration::title(line, "like")?);
            return said.once("like", line.span());
        }
        let tokens = tokens(line.rest())?;
        let mut cursor = Cursor::new(&tokens, line.span());
        match keyword {
            Keyword::Scenario | Keyword::Like => {}
            Keyword::About => {
                said.once("about", line.span())?;
                scenario.about = Some(sentence(&mut cursor, "about \"ptep_clear_flush() without _notify\"")?);
            }
            Keyword::Source => {
                said.once("source", line.span())?;
                scenario.source = Some(sentence(&mut cursor, "source \"mm/memory.c wp_page_copy()\"")?);
            }
            Keyword::Race => {
                cursor.done("race")?;
                let read = table(Table::Race, filled(block, &line)?, &mut self.diagnostics);
                read.agents.into_iter().try_for_each(|agent| acting(agent, scenario, said))?;
            }
            Keyword::Trace => {
                cursor.done("trace")?;
                said.once("trace", line.span())?;
                scenario.trace = table(Table::Trace, filled(block, &line)?, &mut self.diagnostics).rows;
            }
            Keyword::Agent => {
                let mut agent = head(&mut cursor, "agent ksmd on CPU0")?;
                cursor.eat(":");
                cursor.done("agent ksmd on CPU0")?;
                agent.rows = program(block, &mut self.diagnostics);
                acting(agent, scenario, said)?;
            }
            Keyword::Asks(asked) => {
                let property = property::property(asked, &mut cursor, self.source)?;
                said.once(property.text.as_str(), property.span)?;
                scenario.properties.push(property);
            }
            Keyword::Expect => {
                said.once("expect", line.span())?;
                scenario.expect = Some(property::expect(&mut cursor, self.source)?);
            }
            Keyword::Unreached => scenario.unreached.push(unreached(&mut cursor, line.span())?),
            Keyword::Option => {
                let option = declaration::option(&mut cursor)?;
                said.once(format!("option {}", option.0.node), line.span())?;
                scenario.options.push(option);
            }
            Keyword::Edits(edited) => {
                edits.push(variation(edited, &mut cursor, block, &mut self.diagnostics)?);
            }
            Keyword::Lock => return Err(step_outside(&line)),
            Keyword::Declares(declared) => declaration::declaration(declared, &mut cursor, scenario, said)?,
        }
        Ok(())
    }

    /// Resolves variants and reads the programs.
    fn finish(mut self) -> File {
        let mut scenarios: Vec<Scenario> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut blamed = Blamed::default();
        let mut taken_over = 0;
        for Draft { mut scenario, edits, .. } in std::mem::take(&mut self.drafts) {
            let mut wrong = Vec::new();
            match resolve(&mut scenario, &edits, &known, &scenarios, &mut taken_over) {
                Ok(()) => {
                    for agent in &mut scenario.agents {
                        agent.body = Blocks::of(self.source, &mut wrong).program(&agent.rows);
                    }
                }
                Err(diagnostic) => wrong.push(diagnostic),
            }
            scenario.whole &= wrong.is_empty();
            self.diagnostics.extend(blamed.own(&scenario, wrong));
            if scenario.name.node.is_empty() {
                continue;
            }
            if let Some(first) = known.insert(scenario.name.node.clone(), scenarios.len()) {
                let message = format!("there is a scenario `{}` above", scenario.name.node);
                let twice =
                    Diagnostic::new(Code::ScenarioTwice, scenario.name.span, message, "give it another name");
                self.diagnostics.push(twice.with_second(scenarios[first].name.span, "here"));
            }
            scenarios.push(scenario);
        }
        if scenarios.is_empty() && self.diagnostics.is_empty() {
            let place = self.lines.last().map_or(Span::new(0, 0, 1), |last| last.span());
            let help = "begin with `scenario NAME`; docs/language.md has a first one";
            self.diagnostics.push(Diagnostic::new(
                Code::NoScenario,
                place,
                "there is no scenario in this file",
                help,
            ));
        }
        File { scenarios, diagnostics: self.diagnostics }
    }
}

fn resolve(
    scenario: &mut Scenario,
    edits: &[Edit],
    known: &HashMap<String, usize>,
    above: &[Scenario],
    taken_over: &mut usize,
) -> Parsed<()> {
    if let Some(like) = scenario.like.clone() {
        let Some(base) = known.get(&like.node).and_then(|index| above.get(*index)) else {
            let near = above.iter().rev().take(MOST_NEIGHBOURS).map(|one| one.name.node.as_str());
            let help =
                did_you_mean(&like.node, &near.collect::<Vec<_>>(), "it must stand above, in the same file");
            return Err(Diagnostic::new(
                Code::UnknownBase,
                like.span,
                format!("there is no scenario `{}`", like.node),
                help,
            ));
        };
        *taken_over += size(base);
        if *taken_over > MOST_TAKEN_OVER {
            let message = "the variants of this file take over too much to be explored";
            let help = format!("together they may take over {MOST_TAKEN_OVER} rows and declarations");
            return Err(Diagnostic::new(Code::TakesOverTooMuch, like.span, message, help));
        }
        scenario.whole &= base.whole;
        inherit(scenario, base);
    }
    edits.iter().try_for_each(|one| edit(scenario, one))
}

fn acting(agent: Agent, scenario: &mut Scenario, said: &mut Said) -> Parsed<()> {
    said.once(format!("agent {}", agent.name.node), agent.name.span)?;
    scenario.agents.push(agent);
    Ok(())
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

fn too_many_rows(row: &Line<'_>, count: usize) -> Diagnostic {
    let message = format!("this block has {count} rows: too many to explore");
    Diagnostic::new(
        Code::TooManyRows,
        row.span(),
        message,
        format!("a program has at most {MOST_ROWS} rows; use `repeat`"),
    )
}

/// The rows of a table, its head first.
fn filled<'b, 'a>(block: &'b [Line<'a>], line: &Line<'_>) -> Parsed<&'b [Line<'a>]> {
    if block.is_empty() {
        let help = "put the names of the agents on the next line, with `|` between them";
        return Err(Diagnostic::new(Code::EmptyTable, line.span(), "this table has no rows", help));
    }
    Ok(block)
}

/// What stands behind `about` and `source`.
fn sentence(cursor: &mut Cursor<'_>, form: &str) -> Parsed<String> {
    let Some(text) = cursor.quoted() else { return Err(cursor.expected("a text in quotes", form)) };
    cursor.done(form)?;
    Ok(text.node)
}

/// A scenario whose name could not be read.
fn nameless(line: &Line<'_>) -> Name {
    Spanned::new(String::new(), line.span())
}

fn blank(name: Name) -> Scenario {
    Scenario {
        name,
        whole: true,
        like: None,
        about: None,
        source: None,
        pages: Vec::new(),
        mms: Vec::new(),
        homes: Vec::new(),
        places: Vec::new(),
        tags: Vec::new(),
        pmds: Vec::new(),
        shadows: Vec::new(),
        above: Vec::new(),
        pasids: Vec::new(),
        contexts: Vec::new(),
        frames: Vec::new(),
        maps: Vec::new(),
        refs: Vec::new(),
        users: Vec::new(),
        variables: Vec::new(),
        options: Vec::new(),
        agents: Vec::new(),
        properties: Vec::new(),
        expect: None,
        unreached: Vec::new(),
        trace: Vec::new(),
    }
}
