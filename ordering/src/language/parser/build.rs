//! Drafts become scenarios: variants take over what their base says, a sweep becomes a scenario for each combination.
//!
//! Invariant: scenarios come in the order of the file, those of a sweep in the order of its combinations. What is wrong
//! with a line is said once, however many scenarios have it.

use std::collections::{HashMap, HashSet};

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span};
use super::super::suggest::did_you_mean;
use super::super::syntax::{Scenario, Sweep};
use super::super::token::tokens;
use super::super::variant::{Blamed, edit, inherit, size};
use super::bind::Bound;
use super::block::Blocks;
use super::cursor::{Cursor, Parsed};
use super::declaration;
use super::draft::{Draft, File};
use super::item::{Budget, Made};
use super::keyword::Keyword;
use super::shadow::shadow;
use super::sweep::{Parameter, combinations, parameters, varied, within};
use super::unfold::unfolded;

/// Scenarios at most that a wrong name is compared with.
const MOST_NEIGHBOURS: usize = 64;
/// What variants of one file may take over together, in rows and declarations.
const MOST_TAKEN_OVER: usize = 250_000;
/// Variants at most, each of the next, of which none is there for the values of the first.
const MOST_BASES: usize = 64;

/// Makes scenarios of drafts.
pub(super) struct Builder<'a> {
    drafts: Vec<Draft<'a>>,
    /// By draft: its parameters.
    parameters: Vec<Vec<Parameter>>,
    /// Drafts that are swept, by name.
    swept: HashMap<String, usize>,
    scenarios: Vec<Scenario>,
    /// Scenarios by name.
    known: HashMap<String, usize>,
    diagnostics: Vec<Diagnostic>,
    blamed: Blamed,
    taken_over: usize,
    budget: Budget,
}

impl<'a> Builder<'a> {
    pub(super) fn new(drafts: Vec<Draft<'a>>, diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            drafts,
            parameters: Vec::new(),
            swept: HashMap::new(),
            scenarios: Vec::new(),
            known: HashMap::new(),
            diagnostics,
            blamed: Blamed::default(),
            taken_over: 0,
            budget: Budget::new(),
        }
    }

    /// All scenarios; `place` is where a file ends that has none.
    pub(super) fn finish(mut self, place: Span) -> File {
        for draft in 0..self.drafts.len() {
            if let Err(wrong) = self.draft(draft) {
                self.diagnostics.push(wrong);
            }
        }
        if self.scenarios.is_empty() && self.diagnostics.is_empty() {
            let help = "begin with `scenario NAME`; docs/language.md has a first one";
            let message = "there is no scenario in this file";
            self.diagnostics.push(Diagnostic::new(Code::NoScenario, place, message, help));
        }
        File { scenarios: self.scenarios, diagnostics: self.diagnostics }
    }

    /// The scenarios of one draft.
    fn draft(&mut self, draft: usize) -> Parsed<()> {
        let found = self.parameters_of(draft);
        self.parameters.push(found.as_ref().map_or(Vec::new(), Clone::clone));
        let (parameters, name) = (found?, self.drafts[draft].name.clone());
        let (mut seen, mut held) = (HashSet::new(), HashSet::new());
        if parameters.is_empty() {
            self.one(draft, None, &mut seen, &mut held);
            return Ok(());
        }
        self.is_new(&name);
        self.swept.insert(name.node.clone(), draft);
        for sweep in combinations(&name.node, &parameters, name.span)? {
            self.one(draft, Some(sweep), &mut seen, &mut held);
            if self.budget.is_exceeded() {
                return Ok(());
            }
        }
        let lines = self.drafts[draft].items.iter().filter(|item| item.keyword == Keyword::Expect);
        let never = lines.map(|item| item.line.span()).find(|line| !held.contains(line));
        match never.filter(|_| seen.is_empty() && self.drafts[draft].whole) {
            Some(line) => {
                let message = "this verdict is expected of no combination";
                let help = "leave the line out, or sweep over values for which its condition holds";
                Err(Diagnostic::new(Code::ExpectedNever, line, message, help))
            }
            None => Ok(()),
        }
    }

    /// What the draft is swept over: what it says, and what its base does.
    fn parameters_of(&self, draft: usize) -> Parsed<Vec<Parameter>> {
        let (mut own, mut place) = (Vec::new(), None);
        let mut base: &[Parameter] = &[];
        for item in &self.drafts[draft].items {
            if item.keyword == Keyword::Sweep {
                let tokens = tokens(item.line.rest())?;
                let span = item.line.span();
                if let Some(first) = place.replace(span) {
                    let message = "`sweep` is said twice";
                    let help = "put all parameters behind one, with `,` between them";
                    let twice = Diagnostic::new(Code::SaidTwice, span, message, help);
                    return Err(twice.with_second(first, "here too"));
                }
                own = parameters(&mut Cursor::new(&tokens, span))?;
            } else if item.keyword == Keyword::Like
                && let Ok(like) = declaration::title(item.line, "like")
                && let Some(of) = self.swept.get(&like.node)
            {
                base = &self.parameters[*of];
            }
        }
        let all = varied(base, own);
        let trace = self.drafts[draft].items.iter().find(|item| item.keyword == Keyword::Trace);
        match trace.filter(|_| !all.is_empty()) {
            Some(item) => {
                let message = "a trace is one order of one scenario, and this one is swept";
                let help = "put it below `scenario NAME` and `like NAME` of one that the sweep makes";
                Err(Diagnostic::new(Code::StandsOnce, item.line.span(), message, help))
            }
            None => Ok(all),
        }
    }

    /// One scenario of a draft. What was `seen` to be wrong is not said again; verdicts that are expected are `held`.
    fn one(
        &mut self,
        draft: usize,
        sweep: Option<Sweep>,
        seen: &mut HashSet<(Span, Code)>,
        held: &mut HashSet<Span>,
    ) {
        let mut found = Vec::new();
        let (mut scenario, mut wrong) = self.built(draft, sweep, held, 0, &mut found);
        if wrong.is_empty() {
            self.programs(&mut scenario, &mut wrong);
        }
        let Draft { items, .. } = &self.drafts[draft];
        found.extend(shadow(&scenario, &self.parameters[draft], items));
        scenario.whole &= wrong.is_empty() && found.is_empty();
        found.extend(self.blamed.own(&scenario, wrong));
        let is_repeated = scenario.unfolded;
        for one in found {
            if is_repeated && !seen.insert((one.span, one.code)) {
                continue;
            }
            self.diagnostics.push(scenario.with_values(one));
        }
        if scenario.name.node.is_empty() {
            return;
        }
        self.is_new(&scenario.name);
        self.known.insert(scenario.name.node.clone(), self.scenarios.len());
        self.scenarios.push(scenario);
    }

    /// Says if a name is that of a scenario above.
    fn is_new(&mut self, name: &Name) {
        let above = self.known.get(&name.node).map(|index| self.scenarios[*index].name.span);
        let swept = self.swept.get(&name.node).map(|index| self.drafts[*index].name.span);
        if let Some(first) = above.or(swept) {
            let message = format!("there is a scenario `{}` above", name.node);
            let twice = Diagnostic::new(Code::ScenarioTwice, name.span, message, "give it another name");
            self.diagnostics.push(twice.with_second(first, "here"));
        }
    }

    /// Reads the programs of a scenario whose rows are there.
    fn programs(&mut self, scenario: &mut Scenario, wrong: &mut Vec<Diagnostic>) {
        for agent in &mut scenario.agents {
            agent.unfolded = unfolded(&agent.rows, wrong);
            if let Some(rows) = &agent.unfolded {
                scenario.unfolded = true;
                if let Err(too_much) = self.budget.spend(rows.len(), agent.name.span) {
                    wrong.push(too_much);
                    return;
                }
            }
            agent.body = Blocks::of(wrong).program(agent.read());
        }
    }

    /// A draft for some values of its parameters, with what its base says in place and without programs; what is wrong
    /// with its lines is `found`, what is wrong with what it takes over is returned.
    fn built(
        &mut self,
        draft: usize,
        sweep: Option<Sweep>,
        held: &mut HashSet<Span>,
        depth: usize,
        found: &mut Vec<Diagnostic>,
    ) -> (Scenario, Vec<Diagnostic>) {
        let bound = sweep.as_ref().map_or_else(Bound::default, Sweep::bound);
        let Draft { name, whole, items } = &self.drafts[draft];
        let mut made = Made::new(name.clone(), &mut self.budget);
        made.scenario.whole = *whole;
        made.scenario.unfolded = sweep.is_some();
        if let Some(sweep) = &sweep {
            made.scenario.name.node = sweep.name();
        }
        made.scenario.sweep = sweep;
        made.items(items, &bound, false);
        if depth == 0 {
            made.expect(held);
        }
        let Made { mut scenario, edits, diagnostics, .. } = made;
        scenario.whole &= diagnostics.is_empty();
        found.extend(diagnostics);
        let taken = self.take_over(draft, &mut scenario, &bound, depth, found);
        let edited = taken.and_then(|()| edits.iter().try_for_each(|one| edit(&mut scenario, one)));
        (scenario, edited.err().into_iter().collect())
    }

    /// Puts what the base says under a variant.
    fn take_over(
        &mut self,
        draft: usize,
        scenario: &mut Scenario,
        bound: &Bound,
        depth: usize,
        found: &mut Vec<Diagnostic>,
    ) -> Parsed<()> {
        let Some(like) = scenario.like.clone() else { return Ok(()) };
        let swept = self.swept.get(&like.node).copied().filter(|base| *base < draft);
        let sweep = swept.map(|draft| within(&like.node, &self.parameters[draft], bound));
        let name = sweep.as_ref().map_or_else(|| like.node.clone(), Sweep::name);
        let made;
        // Another scenario may be called as one of the sweep would be.
        let is_meant = |index: &&usize| sweep.is_none() || self.scenarios[**index].sweep == sweep;
        let base = match (self.known.get(&name).filter(is_meant), swept) {
            (Some(index), _) => {
                if let Some(said) = &mut scenario.like {
                    said.node = name;
                }
                &self.scenarios[*index]
            }
            (None, Some(draft)) => {
                if depth >= MOST_BASES {
                    let message = "this variant is like too many others, each like the next";
                    let help = "let it be like one of those that are at the top";
                    return Err(Diagnostic::new(Code::TakesOverTooMuch, like.span, message, help));
                }
                let (base, wrong) = self.built(draft, sweep, &mut HashSet::new(), depth + 1, found);
                if let Some(wrong) = wrong.into_iter().next() {
                    return Err(wrong);
                }
                made = base;
                &made
            }
            (None, None) => return Err(self.unknown_base(&like)),
        };
        more(&mut self.taken_over, size(base), like.span)?;
        scenario.whole &= base.whole;
        scenario.unfolded |= base.unfolded;
        inherit(scenario, base);
        Ok(())
    }

    fn unknown_base(&self, like: &Name) -> Diagnostic {
        let near = self.scenarios.iter().rev().take(MOST_NEIGHBOURS).map(|one| one.name.node.as_str());
        let help =
            did_you_mean(&like.node, &near.collect::<Vec<_>>(), "it must stand above, in the same file");
        let message = format!("there is no scenario `{}`", like.node);
        Diagnostic::new(Code::UnknownBase, like.span, message, help)
    }
}

/// Counts what variants take over.
fn more(taken_over: &mut usize, count: usize, span: Span) -> Parsed<()> {
    *taken_over += count;
    if *taken_over > MOST_TAKEN_OVER {
        let message = "the variants of this file take over too much to be explored";
        let help = format!("together they may take over {MOST_TAKEN_OVER} rows and declarations");
        return Err(Diagnostic::new(Code::TakesOverTooMuch, span, message, help));
    }
    Ok(())
}
