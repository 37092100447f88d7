//! Variants: a scenario that is like another, with rows replaced, dropped or moved.
//!
//! Invariant: rows are counted from 1, as they stand in the agent's own column; `4 to 7` means both and those between.
//! Edits are made in the order in which they are written, each on the result of the one before.

use std::collections::{HashMap, HashSet};

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::span::Span;
use super::suggest::did_you_mean;
use super::syntax::{Row, Rows, Scenario};

/// One edit.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Put these rows in their place.
    Replace(Rows, Vec<Row>),
    /// Leave them out.
    Drop(Rows),
    /// Move them to before that row, counted before the move.
    Move(Rows, u32),
}

/// Puts what `base` says under what `variant` says.
pub(crate) fn inherit(variant: &mut Scenario, base: &Scenario) {
    under(&mut variant.pages, &base.pages, |one| &one.node);
    under(&mut variant.mms, &base.mms, |one| &one.node);
    under(&mut variant.homes, &base.homes, |one| &one.0.node);
    under(&mut variant.places, &base.places, |one| &one.0.node);
    under(&mut variant.tags, &base.tags, |one| &one.node);
    under(&mut variant.pmds, &base.pmds, |one| &one.0.node);
    under(&mut variant.shadows, &base.shadows, |one| &one.0.node);
    under(&mut variant.above, &base.above, |one| &one.0.node);
    under(&mut variant.pasids, &base.pasids, |one| &one.0.node);
    under(&mut variant.contexts, &base.contexts, |one| &one.node);
    under(&mut variant.frames, &base.frames, |one| &one.name.node);
    under(&mut variant.maps, &base.maps, |one| &one.page.node);
    under(&mut variant.refs, &base.refs, |one| &one.0.node);
    under(&mut variant.users, &base.users, |one| &one.name.node);
    under(&mut variant.variables, &base.variables, |one| &one.name.node);
    under(&mut variant.options, &base.options, |one| &one.0.node);
    under(&mut variant.agents, &base.agents, |one| &one.name.node);
    under(&mut variant.properties, &base.properties, |one| &one.text);
    variant.about = variant.about.take().or_else(|| base.about.clone());
    variant.source = variant.source.take().or_else(|| base.source.clone());
}

/// What the base declares comes first; what the variant declares again takes its place.
fn under<T: Clone>(variant: &mut Vec<T>, base: &[T], name: impl Fn(&T) -> &String) {
    let places: HashMap<&String, usize> = base.iter().map(&name).zip(0..).collect();
    let mut merged = base.to_vec();
    for own in variant.drain(..) {
        match places.get(name(&own)) {
            Some(place) => merged[*place] = own,
            None => merged.push(own),
        }
    }
    *variant = merged;
}

/// How much a variant of `base` takes over.
pub(crate) fn size(base: &Scenario) -> usize {
    let names = base.pages.len() + base.frames.len() + base.users.len() + base.variables.len();
    let spaces = base.mms.len() + base.homes.len() + base.places.len() + base.tags.len() + base.pasids.len();
    let uppers = base.pmds.len() + base.shadows.len() + base.above.len();
    let said = base.maps.len() + base.refs.len() + base.options.len() + base.properties.len();
    let rows: usize = base.agents.iter().map(|agent| agent.rows.len() + 1).sum();
    1 + names + spaces + uppers + said + rows
}

/// Which errors are a scenario's own: a variant has those of its base, too, and is not blamed for them.
#[derive(Default)]
pub(crate) struct Blamed {
    /// By scenario: the places and messages of all its errors.
    known: HashMap<String, HashSet<(Span, String)>>,
}

impl Blamed {
    /// Of what is wrong with `scenario`, what is not wrong with its base. What stands in a line that it takes over is wrong
    /// because of the variant: it is named.
    pub(crate) fn own(&mut self, scenario: &Scenario, wrong: Vec<Diagnostic>) -> Vec<Diagnostic> {
        if wrong.is_empty() {
            return wrong;
        }
        let place = |one: &Diagnostic| (one.span, one.message.clone());
        let all: HashSet<_> = wrong.iter().map(place).collect();
        let base = scenario.like.as_ref().and_then(|like| self.known.get(&like.node));
        let mut seen = HashSet::new();
        let own = wrong.into_iter().filter(|one| {
            let inherited = base.is_some_and(|base| base.contains(&place(one)));
            !inherited && seen.insert(place(one))
        });
        let name = &scenario.name;
        let taken_over = format!("`{}` takes that line over", name.node);
        let blamed = own.map(|one| match one.span.start < name.span.start {
            true => one.with_second(name.span, taken_over.as_str()),
            false => one,
        });
        let found = blamed.collect();
        self.known.insert(name.node.clone(), all);
        found
    }
}

/// Makes one edit.
///
/// # Errors
/// If the scenario has no such agent or rows.
pub(crate) fn edit(scenario: &mut Scenario, edit: &Edit) -> Result<(), Diagnostic> {
    let (Edit::Replace(place, _) | Edit::Drop(place) | Edit::Move(place, _)) = edit;
    let named = scenario.agents.iter().position(|agent| agent.name.node == place.agent.node);
    let Some(agent) = named.map(|index| &mut scenario.agents[index]) else {
        let names: Vec<_> = scenario.agents.iter().map(|agent| agent.name.node.clone()).collect();
        let known: Vec<_> = names.iter().map(String::as_str).collect();
        let help = did_you_mean(&place.agent.node, &known, &format!("its agents are {}", names.join(", ")));
        let message = format!("`{}` is no agent of the scenario that this one is like", place.agent.node);
        return Err(Diagnostic::new(Code::UnknownAgent, place.agent.span, message, help));
    };
    let rows = &mut agent.rows;
    let (first, last) = (place.first as usize, place.last as usize);
    if first == 0 || last > rows.len() {
        let message = format!("{} has no {place}, it has {} rows", place.agent.node, rows.len());
        return Err(Diagnostic::new(Code::UnknownRow, place.span, message, "rows are counted from 1"));
    }
    let taken: Vec<Row> = rows.drain(first - 1..last).collect();
    match edit {
        Edit::Drop(_) => {}
        Edit::Replace(_, new) => drop(rows.splice(first - 1..first - 1, shifted(new, &taken))),
        Edit::Move(_, before) => {
            let before = *before as usize;
            let target = if before > last { before - taken.len() } else { before };
            if before == 0 || (first < before && before <= last) || target > rows.len() + 1 {
                let message = format!("{place} cannot be moved before row {before}");
                return Err(Diagnostic::new(
                    Code::BadMove,
                    place.span,
                    message,
                    "name a row outside of those that are moved",
                ));
            }
            drop(rows.splice(target - 1..target - 1, taken));
        }
    }
    Ok(())
}

/// New rows, as far to the right as those they replace.
fn shifted(new: &[Row], old: &[Row]) -> Vec<Row> {
    let Some(least) = new.iter().map(|row| row.indent).min() else { return Vec::new() };
    let base = old.first().expect("rows that are replaced are one at least").indent;
    new.iter().map(|row| Row { indent: row.indent - least + base, ..row.clone() }).collect()
}
