//! Variants: a scenario that is like another, with rows replaced, dropped or moved.
//!
//! Invariant: rows are counted from 1, as they stand in the agent's own column; `4 to 7` means both and those between.
//! Edits are made in the order in which they are written, each on the result of the one before.

use super::diagnostic::Diagnostic;
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
    under(&mut variant.pages, &base.pages, |one, other| one.node == other.node);
    under(&mut variant.mms, &base.mms, |one, other| one.node == other.node);
    under(&mut variant.homes, &base.homes, |one, other| one.0.node == other.0.node);
    under(&mut variant.pmds, &base.pmds, |one, other| one.0.node == other.0.node);
    under(&mut variant.above, &base.above, |one, other| one.0.node == other.0.node);
    under(&mut variant.pasids, &base.pasids, |one, other| one.0.node == other.0.node);
    under(&mut variant.frames, &base.frames, |one, other| one.name.node == other.name.node);
    under(&mut variant.maps, &base.maps, |one, other| one.page.node == other.page.node);
    under(&mut variant.refs, &base.refs, |one, other| one.0.node == other.0.node);
    under(&mut variant.users, &base.users, |one, other| one.name.node == other.name.node);
    under(&mut variant.variables, &base.variables, |one, other| one.name.node == other.name.node);
    under(&mut variant.options, &base.options, |one, other| one.0.node == other.0.node);
    under(&mut variant.agents, &base.agents, |one, other| one.name.node == other.name.node);
    under(&mut variant.properties, &base.properties, |one, other| one.text == other.text);
    variant.about = variant.about.take().or_else(|| base.about.clone());
    variant.source = variant.source.take().or_else(|| base.source.clone());
}

/// What the base declares comes first; what the variant declares again takes its place.
fn under<T: Clone>(variant: &mut Vec<T>, base: &[T], same: impl Fn(&T, &T) -> bool) {
    let mut merged = base.to_vec();
    for own in variant.drain(..) {
        match merged.iter_mut().find(|inherited| same(&own, inherited)) {
            Some(place) => *place = own,
            None => merged.push(own),
        }
    }
    *variant = merged;
}

/// Makes one edit.
///
/// # Errors
/// If the scenario has no such agent or rows.
pub(crate) fn edit(scenario: &mut Scenario, edit: &Edit) -> Result<(), Diagnostic> {
    let (Edit::Replace(place, _) | Edit::Drop(place) | Edit::Move(place, _)) = edit;
    let names: Vec<_> = scenario.agents.iter().map(|agent| agent.name.node.clone()).collect();
    let Some(agent) = scenario.agents.iter_mut().find(|agent| agent.name.node == place.agent.node) else {
        let known: Vec<_> = names.iter().map(String::as_str).collect();
        let help = did_you_mean(&place.agent.node, &known, &format!("its agents are {}", names.join(", ")));
        let message = format!("`{}` is no agent of the scenario that this one is like", place.agent.node);
        return Err(Diagnostic::new(place.agent.span, message, help));
    };
    let rows = &mut agent.rows;
    let (first, last) = (place.first as usize, place.last as usize);
    if first == 0 || last > rows.len() {
        let message = format!("{} has no {place}, it has {} rows", place.agent.node, rows.len());
        return Err(Diagnostic::new(place.span, message, "rows are counted from 1"));
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
    let least = new.iter().map(|row| row.indent).min().unwrap_or(0);
    let base = old.first().map_or(0, |row| row.indent);
    new.iter().map(|row| Row { indent: row.indent - least + base, ..row.clone() }).collect()
}
