//! One line of a scenario, with those that belong to it, read into the scenario for some values of its parameters.
//!
//! Invariant: an item that cannot be read costs that item only, and leaves what it was read into as it was.

use std::collections::HashSet;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::super::span::{Name, Span, Spanned};
use super::super::syntax::{Agent, Expect, Scenario};
use super::super::token::tokens;
use super::super::variant::Edit;
use super::bind::{Bound, bind_all, counted};
use super::cursor::{Cursor, Parsed};
use super::draft::{Item, step_outside};
use super::edit::{unreached, variation};
use super::keyword::Keyword;
use super::said::Said;
use super::table::{Table, head, program, table};
use super::{declaration, property};

/// Rows and declarations at most that the sweeps and the `for`s of one file make: as many as a long file has
/// without them.
const MOST_UNFOLDED: usize = 50_000;

/// What may still be made.
pub(super) struct Budget {
    left: usize,
    exceeded: bool,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self { left: MOST_UNFOLDED, exceeded: false }
    }

    /// Takes so many rows and declarations, of which `span` is one.
    pub(super) fn spend(&mut self, count: usize, span: Span) -> Parsed<()> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.exceeded = true;
                let message = "the sweeps and `for`s of this file make too much to be explored";
                let help = format!(
                    "together they may make {MOST_UNFOLDED} rows and declarations: make ranges smaller"
                );
                Err(Diagnostic::new(Code::UnfoldsTooMuch, span, message, help))
            }
        }
    }

    /// Whether more was wanted than there is, which was said.
    pub(super) const fn is_exceeded(&self) -> bool {
        self.exceeded
    }
}

/// A verdict that a line expects.
pub(super) struct Expected {
    pub(super) verdict: Spanned<Expect>,
    /// Whether it is expected for these values; none if it says nothing of them.
    pub(super) when: Option<bool>,
    pub(super) line: Span,
}

/// A scenario for some values of its parameters, as far as it is read.
pub(super) struct Made<'b> {
    pub(super) scenario: Scenario,
    pub(super) edits: Vec<Edit>,
    pub(super) expected: Vec<Expected>,
    said: Said,
    budget: &'b mut Budget,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'b> Made<'b> {
    pub(super) fn new(name: Name, budget: &'b mut Budget) -> Self {
        Self {
            scenario: blank(name),
            edits: Vec::new(),
            expected: Vec::new(),
            said: Said::default(),
            budget,
            diagnostics: Vec::new(),
        }
    }

    /// Reads items, and notes what is wrong with each.
    pub(super) fn items(&mut self, items: &[Item<'_>], bound: &Bound, inside: bool) {
        for item in items {
            if self.budget.is_exceeded() {
                self.scenario.whole = false;
                return;
            }
            let known = self.diagnostics.len();
            if let Err(wrong) = self.item(item, bound, inside) {
                self.diagnostics.push(wrong);
            }
            self.scenario.whole &= self.diagnostics.len() == known;
        }
    }

    /// `inside`: of a `for`.
    fn item(&mut self, item: &Item<'_>, bound: &Bound, inside: bool) -> Parsed<()> {
        let Item { keyword, line, block, inner } = item;
        let (keyword, line) = (*keyword, *line);
        if !bound.is_empty() {
            self.budget.spend(1 + block.len(), line.span())?;
        }
        if inside && keyword.stands_once() {
            return Err(stands_once(&line));
        }
        if keyword == Keyword::Like {
            self.scenario.like = Some(declaration::title(line, "like")?);
            return self.said.once("like", line.span());
        }
        if keyword == Keyword::For {
            return self.each(line, inner, bound);
        }
        let tokens = bind_all(tokens(line.rest())?, bound)?;
        self.line(keyword, (line, block.as_slice()), &mut Cursor::new(&tokens, line.span()), bound)
    }

    /// A line whose words have their values, with those below that belong to it.
    fn line(
        &mut self,
        keyword: Keyword,
        (line, block): (Line<'_>, &[Line<'_>]),
        cursor: &mut Cursor<'_>,
        bound: &Bound,
    ) -> Parsed<()> {
        let (scenario, said) = (&mut self.scenario, &mut self.said);
        match keyword {
            Keyword::Scenario | Keyword::Like | Keyword::For | Keyword::Sweep => {}
            Keyword::About => {
                said.once("about", line.span())?;
                scenario.about = Some(sentence(cursor, "about \"ptep_clear_flush() without _notify\"")?);
            }
            Keyword::Source => {
                said.once("source", line.span())?;
                scenario.source = Some(sentence(cursor, "source \"mm/memory.c wp_page_copy()\"")?);
            }
            Keyword::Race => {
                cursor.done("race")?;
                let read = table(Table::Race, filled(block, &line)?, bound, &mut self.diagnostics);
                read.agents.into_iter().try_for_each(|agent| acting(agent, scenario, said))?;
            }
            Keyword::Trace => {
                cursor.done("trace")?;
                said.once("trace", line.span())?;
                let of = table(Table::Trace, filled(block, &line)?, &Bound::default(), &mut self.diagnostics);
                scenario.trace = of.rows;
            }
            Keyword::Agent => {
                let mut agent = head(cursor, "agent ksmd on CPU0")?;
                cursor.eat(":");
                cursor.done("agent ksmd on CPU0")?;
                agent.rows = program(block, bound, &mut self.diagnostics);
                acting(agent, scenario, said)?;
            }
            Keyword::Asks(asked) => {
                let property = property::property(asked, cursor)?;
                said.once(property.text.as_str(), property.span)?;
                scenario.properties.push(property);
            }
            Keyword::Expect => {
                let (verdict, when) = property::expect(cursor)?;
                if when.is_none() {
                    said.once("expect", line.span())?;
                }
                self.expected.push(Expected { verdict, when, line: line.span() });
            }
            Keyword::Unreached => scenario.unreached.push(unreached(cursor, line.span())?),
            Keyword::Option => {
                let option = declaration::option(cursor)?;
                said.once(format!("option {}", option.0.node), line.span())?;
                scenario.options.push(option);
            }
            Keyword::Edits(edited) => {
                self.edits.push(variation(edited, cursor, block, bound, &mut self.diagnostics)?);
            }
            Keyword::Lock => return Err(step_outside(&line)),
            Keyword::Declares(declared) => declaration::declaration(declared, cursor, scenario, said)?,
        }
        Ok(())
    }

    /// The items of a `for`, for each value.
    fn each(&mut self, line: Line<'_>, inner: &[Item<'_>], bound: &Bound) -> Parsed<()> {
        let tokens = bind_all(tokens(line)?, bound)?;
        let mut cursor = Cursor::new(&tokens, line.span());
        let counted = counted(&mut cursor)?;
        cursor.done(super::bind::FOR)?;
        self.scenario.unfolded = true;
        for value in counted.values() {
            self.budget.spend(1, line.span())?;
            self.items(inner, &bound.with(&counted.word.node, value), true);
        }
        Ok(())
    }

    /// Notes the verdict that is expected for these values.
    pub(super) fn expect(&mut self, held: &mut HashSet<Span>) {
        let holds = |one: &&Expected| one.when != Some(false);
        let conditional = self.expected.iter().any(|one| one.when.is_some());
        let mut holding = self.expected.iter().filter(holds);
        let (first, second) = (holding.next(), holding.next());
        let told =
            self.scenario.sweep.as_ref().map_or_else(|| "no parameter".to_owned(), |sweep| sweep.told());
        let help = "let the conditions behind `when` divide the combinations between them";
        if let (Some(first), Some(second)) = (first, second) {
            let message = format!("a second verdict is expected with {told}");
            let twice = Diagnostic::new(Code::ExpectedTwice, second.line, message, help);
            self.diagnostics.push(twice.with_second(first.line, "the first"));
        } else if let (None, true, Some(one)) = (first, conditional, self.expected.first()) {
            let message = format!("no verdict is expected with {told}");
            self.diagnostics.push(Diagnostic::new(Code::ExpectedTwice, one.line, message, help));
        }
        if let Some(first) = first {
            held.insert(first.line);
            self.scenario.expect = Some(first.verdict.clone());
        }
    }
}

fn stands_once(line: &Line<'_>) -> Diagnostic {
    let message = format!("`{}` stands once in a scenario, and in no `for`", line.first_word());
    Diagnostic::new(Code::StandsOnce, line.span(), message, "put it before or behind the `for`")
}

fn acting(agent: Agent, scenario: &mut Scenario, said: &mut Said) -> Parsed<()> {
    said.once(format!("agent {}", agent.name.node), agent.name.span)?;
    scenario.agents.push(agent);
    Ok(())
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

fn blank(name: Name) -> Scenario {
    Scenario {
        name,
        whole: true,
        sweep: None,
        unfolded: false,
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
