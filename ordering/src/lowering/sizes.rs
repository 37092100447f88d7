//! What a scenario must have, and how much of it, before its names are looked at.
//!
//! Invariant: whatever passes can be numbered.

use crate::language::syntax::Scenario;
use crate::language::{Code, Diagnostic};

use super::entry::Entries;
use super::{MOST_ENTRIES, MOST_THINGS, MOST_VALUES};

/// Reports what there is too much or too little of.
pub(super) fn sizes(scenario: &Scenario, diagnostics: &mut Vec<Diagnostic>) {
    let counts = [
        ("pages", scenario.pages.len()),
        ("frames", scenario.frames.len()),
        ("CPUs and devices", scenario.users.len()),
        ("agents", scenario.agents.len()),
        ("address spaces", scenario.mms.len()),
        ("tags", scenario.tags.len()),
        ("PASIDs and context entries", scenario.pasids.len()),
        ("properties", scenario.properties.len()),
    ];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > MOST_THINGS) {
        let message = format!("the scenario has {count} {what}: too many to explore");
        diagnostics.push(Diagnostic::new(
            Code::TooManyThings,
            scenario.name.span,
            message,
            format!("use at most {MOST_THINGS}"),
        ));
    }
    for variable in &scenario.variables {
        if variable.most - variable.least >= MOST_VALUES {
            let message = format!("`{}` has more than {MOST_VALUES} values", variable.name.node);
            diagnostics.push(Diagnostic::new(
                Code::TooManyValues,
                variable.name.span,
                message,
                "a proof needs a small range",
            ));
        }
    }
    if scenario.expect.is_some() && scenario.properties.is_empty() {
        let span = scenario.expect.as_ref().map_or(scenario.name.span, |expect| expect.span);
        let help =
            "add `never …`, `always …` or `finally …`; `never use of a freed frame` names a built-in one";
        diagnostics.push(Diagnostic::new(
            Code::NothingAsked,
            span,
            "a verdict is expected, and no property is asked for",
            help,
        ));
    }
    // A base that is not there is an error already.
    if scenario.agents.is_empty() && scenario.like.is_none() {
        let message = format!("scenario `{}` has no program", scenario.name.node);
        diagnostics.push(Diagnostic::new(
            Code::NoProgram,
            scenario.name.span,
            message,
            "add a `race` table or an `agent`, or say what it is `like`",
        ));
    }
}

/// The error for more entries than can be explored: each bit that is mentioned doubles their number.
pub(super) fn too_many_entries(scenario: &Scenario, entries: &Entries) -> Option<Diagnostic> {
    let message = format!("`{}` has {} different page-table entries", scenario.name.node, entries.len());
    let help = format!("use fewer frames or mention fewer bits: at most {MOST_ENTRIES} can be explored");
    (entries.len() > MOST_ENTRIES)
        .then(|| Diagnostic::new(Code::TooManyEntries, scenario.name.span, message, help))
}
