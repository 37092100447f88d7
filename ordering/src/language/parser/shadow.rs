//! Parameters and indices that are called like something of the scenario: where they stand, the thing would be a number.
//!
//! Invariant: what a variant takes over counts as well; so this is asked of a scenario that is finished.

use std::collections::HashMap;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span};
use super::super::syntax::{Row, Scenario};
use super::super::token::tokens;
use super::draft::Item;
use super::keyword::Keyword;
use super::sweep::Parameter;
use super::unfold::is_for;

/// The first word of `parameters`, of a `for` around `items` or of one in a program that something declared is called.
pub(super) fn shadow(
    scenario: &Scenario,
    parameters: &[Parameter],
    items: &[Item<'_>],
) -> Option<Diagnostic> {
    let declared: HashMap<&str, Span> =
        declared(scenario).map(|name| (name.node.as_str(), name.span)).collect();
    let swept = parameters.iter().map(|one| (one.word.node.clone(), one.word.span));
    let mut words: Vec<(String, Span)> = swept.collect();
    around(items, &mut words);
    let rows = scenario.agents.iter().flat_map(|agent| &agent.rows);
    words.extend(rows.filter_map(index));
    let (word, span, first) = words
        .into_iter()
        .find_map(|(word, span)| declared.get(word.as_str()).map(|first| (word, span, *first)))?;
    let message = format!("`{word}` is something of this scenario, and would be a number here");
    let help = "give the parameter or the index another name";
    Some(Diagnostic::new(Code::ParameterAsName, span, message, help).with_second(first, "declared here"))
}

/// All that a scenario has names for.
fn declared(scenario: &Scenario) -> impl Iterator<Item = &Name> {
    let Scenario { pages, mms, tags, pmds, pasids, contexts, frames, users, variables, agents, .. } =
        scenario;
    let plain = [pages, mms, tags, contexts].into_iter().flatten();
    let rest = pmds.iter().map(|(name, _)| name).chain(pasids.iter().map(|(name, _)| name));
    let rest = rest.chain(frames.iter().map(|frame| &frame.name)).chain(users.iter().map(|user| &user.name));
    plain.chain(rest).chain(variables.iter().map(|one| &one.name)).chain(agents.iter().map(|one| &one.name))
}

/// The words of each `for` around items.
fn around(items: &[Item<'_>], words: &mut Vec<(String, Span)>) {
    for item in items.iter().filter(|item| item.keyword == Keyword::For) {
        // A line that cannot be read has been said to be wrong.
        if let Ok(read) = tokens(item.line.rest()) {
            words.extend(read.first().and_then(|token| Some((token.word()?.to_owned(), token.span))));
        }
        around(&item.inner, words);
    }
}

/// The word of a `for` in a program.
fn index(row: &Row) -> Option<(String, Span)> {
    let word = row.tokens.get(1).filter(|_| is_for(&row.tokens))?;
    Some((word.word()?.to_owned(), word.span))
}
