//! What is looked at when a run has ended: what each statement has returned, the variables, the entries of the page table.
//!
//! Invariant: a scenario that is lowered without it has none of the variables made here. A register is written only by
//! the ways on which its statement returns a value, and no step reads it.

use crate::language::span::Span;
use crate::language::syntax::{Spoken, Step};
use crate::model::{Statement, Update, Var};

use super::Lowering;
use super::emitter::Emitter;
use super::event::Happening;
use super::mark::row;
use super::names::{PageId, PmdId};
use super::program::Place;
use super::state::Key;

/// What is looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// Each statement that returns a value, and its register: value 0 if it has returned none, then each content.
    pub returning: Vec<(Statement, Var)>,
    /// Each content that can be returned, ascending.
    pub contents: Vec<u32>,
    /// The variables that the scenario declares, with the least value of each.
    pub variables: Vec<(Var, u32)>,
    /// The entry of each page, then each upper entry.
    pub entries: Vec<Var>,
    /// The oldest slot of each store buffer: 0 if nothing waits there.
    pub buffers: Vec<Var>,
}

impl Emitter<'_> {
    /// Lets the nodes of a statement, from `start` on, keep what they return.
    pub(super) fn keep_returned(&mut self, start: usize, spoken: &Spoken, span: Span) {
        let Some(observed) = self.told.observed.as_deref_mut() else { return };
        if !matches!(spoken.step, Step::Load(_) | Step::DmaRead(_) | Step::Read(_)) {
            return;
        }
        let text = spoken.text.clone();
        let register = self.state.var(&Key::Returned(self.own.agent, span.start, span.copy, text.clone()));
        // The rounds of a repeat are one statement.
        if observed.returning.iter().all(|(_, known)| *known != register) {
            let rows = self.scope.scenario.agents.get(self.own.agent).map_or(&[][..], |agent| &agent.rows);
            let row = row(rows, span);
            // What a `for` writes out stands in one row, and is told apart by its number.
            let is_same = |known: &Statement| (known.agent, known.row) == (self.own.agent, row);
            let copies = observed.returning.iter().filter(|(known, _)| is_same(known));
            let before = copies.filter(|(known, _)| known.text.split(" #").next() == Some(&text)).count();
            let text = if before == 0 { text } else { format!("{text} #{}", before + 1) };
            let statement = Statement { agent: self.own.agent, row, line: span.line, text };
            observed.returning.push((statement, register));
        }
        for node in &mut self.out.builder.nodes[start..] {
            let Place::Step(ways, _) = node else { continue };
            for way in ways {
                let returned = way.happens.iter().find_map(|happening| match happening {
                    Happening::Read(_, _, value) => self.state.content(*value),
                    Happening::Write(..) | Happening::Step(..) | Happening::Assign(_) => None,
                });
                way.updates.extend(returned.map(|index| Update::Set(register, index + 1)));
            }
        }
    }
}

impl Lowering<'_> {
    /// Makes what is looked at beside the registers.
    pub(super) fn observe_end(&mut self) {
        let Some(observed) = &mut self.observed else { return };
        let state = &mut self.state;
        observed.contents.clone_from(&state.domains.contents);
        for index in 0..state.domains.variables.len() {
            let (_, least, _) = state.domains.variables[index];
            observed.variables.push((state.var(&Key::User(index)), least));
        }
        let pages = (0..state.domains.pages.len()).map(|page| Key::Pte(PageId(page)));
        let uppers = (0..state.domains.pmds.len()).map(|pmd| Key::Pmd(PmdId(pmd)));
        observed.entries = pages.chain(uppers).map(|key| state.var(&key)).collect();
        let agents = 0..self.survey.habits.len();
        observed.buffers = agents.filter_map(|agent| state.buffer(agent).0.first().copied()).collect();
    }
}
