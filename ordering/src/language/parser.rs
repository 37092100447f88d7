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
mod property;
mod step;
mod table;

use std::collections::HashMap;

use super::diagnostic::Diagnostic;
use super::line::{Line, lines};
use super::span::{Name, Span, Spanned};
use super::suggest::did_you_mean;
use super::syntax::Scenario;
use super::token::tokens;
use super::variant::{Edit, edit, inherit};
use block::Blocks;
use cursor::{Cursor, Parsed};
use edit::{unreached, variation};
use table::{Table, head, row, table};

pub use declaration::OPTIONS;
pub(crate) use property::BUILT_IN;
pub(crate) use step::{made, on_page};

/// Every word that a line at the left margin may begin with.
const KEYWORDS: &[&str] = &[
    "scenario",
    "like",
    "about",
    "source",
    "page",
    "mm",
    "pasid",
    "frame",
    "swap",
    "table",
    "pmd",
    "map",
    "refs",
    "cpu",
    "vcpu",
    "device",
    "var",
    "option",
    "race",
    "trace",
    "agent",
    "never",
    "always",
    "finally",
    "expect",
    "unreached",
    "replace",
    "drop",
    "move",
    "lock",
];

/// A scenario before `like` is resolved.
struct Draft {
    scenario: Scenario,
    edits: Vec<Edit>,
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
    let lines = lines(source);
    let mut parser = Parser { source, lines: &lines, at: 0, drafts: Vec::new(), diagnostics: Vec::new() };
    while parser.at < lines.len() {
        if let Err(diagnostic) = parser.line() {
            parser.diagnostics.push(diagnostic);
        }
    }
    parser.finish()
}

struct Parser<'a> {
    source: &'a str,
    lines: &'a [Line<'a>],
    at: usize,
    drafts: Vec<Draft>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    /// Reads what begins on the next line.
    fn line(&mut self) -> Parsed<()> {
        let line = self.lines[self.at];
        self.at += 1;
        if line.is_blank() {
            return Ok(());
        }
        let keyword = line.first_word();
        if keyword == "scenario" {
            let name = declaration::title(line, keyword)?;
            self.drafts.push(Draft { scenario: blank(name), edits: Vec::new() });
            return Ok(());
        }
        if !KEYWORDS.contains(&keyword) {
            let help =
                "a scenario's lines begin with page, frame, map, cpu, device, race, agent, never, expect, …";
            let word = line.text.split_whitespace().next().unwrap_or_default();
            let span = Span::new(line.span().start, line.span().start + word.len());
            let message = format!("no line begins with `{word}`");
            return Err(Diagnostic::new(span, message, did_you_mean(word, KEYWORDS, help)));
        }
        let block = self.block(keyword);
        if self.drafts.is_empty() {
            let help = "begin with `scenario NAME`";
            return Err(Diagnostic::new(line.span(), "this line belongs to no scenario", help));
        }
        self.item(keyword, line, &block)
    }

    /// The lines that belong to the one before.
    fn block(&mut self, keyword: &str) -> Vec<Line<'a>> {
        let start = self.at;
        let is_label =
            |line: &Line<'_>| line.text.ends_with(':') && line.text.len() == line.first_word().len() + 1;
        while let Some(line) = self.lines.get(self.at) {
            let margin = line.indent() == 0;
            let declares = margin && KEYWORDS.contains(&line.first_word()) && line.cells().len() == 1;
            let belongs = match keyword {
                "race" | "trace" => {
                    let empty = self.lines[start..self.at].iter().all(Line::is_blank);
                    // A line that holds a remark only does not end a table.
                    let remark = self.source[line.start..].starts_with('#');
                    (remark || !line.is_blank()) && (empty || !declares || is_lock(line))
                }
                "agent" | "replace" => line.is_blank() || !margin || is_label(line),
                _ => false,
            };
            if !belongs {
                break;
            }
            self.at += 1;
        }
        let found = &self.lines[start..self.at];
        found.iter().filter(|line| !line.is_blank()).copied().collect()
    }

    fn item(&mut self, keyword: &str, line: Line<'a>, block: &[Line<'a>]) -> Parsed<()> {
        let Some(draft) = self.drafts.last_mut() else { return Ok(()) };
        let scenario = &mut draft.scenario;
        let rest = line.rest();
        if keyword == "like" {
            scenario.like = Some(declaration::title(line, keyword)?);
            return Ok(());
        }
        if keyword == "about" || keyword == "source" {
            let text = Some(rest.text.trim_matches('"').to_owned());
            *(if keyword == "about" { &mut scenario.about } else { &mut scenario.source }) = text;
            return Ok(());
        }
        let tokens = tokens(rest.text, rest.start, &mut self.diagnostics);
        let mut cursor = Cursor::new(&tokens, line.span());
        match keyword {
            "race" | "trace" => {
                cursor.done(keyword)?;
                if block.is_empty() {
                    let help = "put the names of the agents on the next line, with `|` between them";
                    return Err(Diagnostic::new(line.span(), "this table has no rows", help));
                }
                let kind = if keyword == "race" { Table::Race } else { Table::Trace };
                let read = table(kind, block, &mut self.diagnostics);
                if kind == Table::Race {
                    scenario.agents.extend(read.agents);
                } else {
                    scenario.trace.extend(read.rows);
                }
            }
            "agent" => {
                let mut agent = head(&mut cursor, "agent ksmd on CPU0")?;
                cursor.eat(":");
                cursor.done("agent ksmd on CPU0")?;
                agent.rows = block.iter().map(|line| row(*line, &mut self.diagnostics)).collect();
                scenario.agents.push(agent);
            }
            "never" | "always" | "finally" => {
                scenario.properties.push(property::property(keyword, &mut cursor, self.source)?);
            }
            "expect" => scenario.expect = Some(property::expect(&mut cursor, self.source)?),
            "unreached" => scenario.unreached.push(unreached(&mut cursor, line.span())?),
            "option" => scenario.options.push(declaration::option(&mut cursor)?),
            "replace" | "drop" | "move" => {
                let edit = variation(keyword, &mut cursor, block, &mut self.diagnostics)?;
                draft.edits.push(edit);
            }
            "lock" => {
                let help = "locks need no declaration: `lock NAME` is a step, put it into a program";
                return Err(Diagnostic::new(line.span(), "a step stands outside of every program", help));
            }
            _ => declaration::declaration(keyword, &mut cursor, scenario)?,
        }
        Ok(())
    }

    /// Resolves variants and reads the programs.
    fn finish(mut self) -> File {
        let mut scenarios: Vec<Scenario> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for draft in std::mem::take(&mut self.drafts) {
            let mut scenario = draft.scenario;
            if let Err(diagnostic) = resolve(&mut scenario, &draft.edits, &known, &scenarios) {
                self.diagnostics.push(diagnostic);
            }
            for agent in &mut scenario.agents {
                let mut blocks = Blocks { source: self.source, diagnostics: &mut self.diagnostics };
                agent.body = blocks.program(&agent.rows);
            }
            if known.insert(scenario.name.node.clone(), scenarios.len()).is_some() {
                let message = format!("there is a scenario `{}` above", scenario.name.node);
                self.diagnostics.push(Diagnostic::new(scenario.name.span, message, "give it another name"));
            }
            scenarios.push(scenario);
        }
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        for diagnostic in self.diagnostics {
            // What a variant takes over is read again, and found wrong again.
            if !diagnostics.contains(&diagnostic) {
                diagnostics.push(diagnostic);
            }
        }
        File { scenarios, diagnostics }
    }
}

/// Whether a row of a table begins with the step `lock`, which is no declaration there.
fn is_lock(line: &Line<'_>) -> bool {
    line.first_word() == "lock"
}

fn resolve(
    scenario: &mut Scenario,
    edits: &[Edit],
    known: &HashMap<String, usize>,
    above: &[Scenario],
) -> Parsed<()> {
    if let Some(like) = scenario.like.clone() {
        let Some(base) = known.get(&like.node).and_then(|index| above.get(*index)) else {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            let help = did_you_mean(&like.node, &names, "it must stand above, in the same file");
            return Err(Diagnostic::new(like.span, format!("there is no scenario `{}`", like.node), help));
        };
        inherit(scenario, base);
    }
    edits.iter().try_for_each(|one| edit(scenario, one))
}

fn blank(name: Name) -> Scenario {
    Scenario {
        name: Spanned::new(name.node, name.span),
        like: None,
        about: None,
        source: None,
        pages: Vec::new(),
        mms: Vec::new(),
        homes: Vec::new(),
        pmds: Vec::new(),
        above: Vec::new(),
        pasids: Vec::new(),
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
