//! `sweep`: the parameters of a scenario, and the combinations of their values.
//!
//! Invariant: combinations come in the order of the values, the last parameter first; a name tells each from the others
//! of its scenario. How many there are is known before the first is made.

use std::ops::RangeInclusive;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span};
use super::super::syntax::{Scenario, Sweep};
use super::bind::{Bound, backward};
use super::cursor::{Cursor, Parsed};
use super::said::declared_twice;

/// Combinations of one scenario at most.
const MOST_COMBINATIONS: u64 = 1024;
/// Parameters of one scenario at most.
const MOST_PARAMETERS: usize = 16;
const FORM: &str = "sweep pages = 1..6, devices = 1..4";

/// A word with the values that it takes.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) word: Name,
    values: RangeInclusive<u32>,
}

/// What stands behind `sweep`.
pub(super) fn parameters(cursor: &mut Cursor<'_>) -> Parsed<Vec<Parameter>> {
    let mut found: Vec<Parameter> = Vec::new();
    loop {
        let word = cursor.name("the name of a parameter", FORM)?;
        cursor.sign("=", FORM)?;
        let start = cursor.here();
        let least = cursor.number(FORM)?.node;
        let most = if cursor.eat("..") { cursor.number(FORM)?.node } else { least };
        if most < least {
            return Err(backward(i64::from(least), i64::from(most), cursor.since(start)));
        }
        if let Some(first) = found.iter().find(|known| known.word.node == word.node) {
            return Err(declared_twice(&word, first.word.span));
        }
        if found.len() == MOST_PARAMETERS {
            let message = format!("this scenario has more than {MOST_PARAMETERS} parameters");
            let help = "write numbers in the place of those with one value";
            return Err(Diagnostic::new(Code::TooManyCombinations, word.span, message, help));
        }
        found.push(Parameter { word, values: least..=most });
        if !cursor.eat(",") {
            cursor.done(FORM)?;
            return Ok(found);
        }
    }
}

/// The parameters of a base, with the values that its variant says; what only the variant has comes behind them.
pub(super) fn varied(base: &[Parameter], own: Vec<Parameter>) -> Vec<Parameter> {
    let mut all = base.to_vec();
    for one in own {
        match all.iter_mut().find(|known| known.word.node == one.word.node) {
            Some(known) => *known = one,
            None => all.push(one),
        }
    }
    all
}

/// Every combination.
///
/// # Errors
/// If there are too many; `place` is where the scenario says so.
pub(super) fn combinations(name: &str, parameters: &[Parameter], place: Span) -> Parsed<Vec<Sweep>> {
    let values = |one: &Parameter| u64::from(one.values.end() - one.values.start()) + 1;
    let count = parameters.iter().map(values).fold(1, u64::saturating_mul);
    if count > MOST_COMBINATIONS {
        let message = format!("`{name}` would be checked for {count} combinations");
        let help = format!("a scenario has at most {MOST_COMBINATIONS}: make ranges smaller");
        return Err(Diagnostic::new(Code::TooManyCombinations, place, message, help));
    }
    let mut all = vec![Vec::new()];
    for Parameter { word, values } in parameters {
        let longer = |before: &Vec<(String, u32)>| {
            let before = before.clone();
            let word = word.node.clone();
            values.clone().map(move |value| {
                let mut one = before.clone();
                one.push((word.clone(), value));
                one
            })
        };
        all = all.iter().flat_map(longer).collect();
    }
    Ok(all.into_iter().map(|values| Sweep { of: name.to_owned(), values }).collect())
}

/// The combination that `parameters`, of the scenario `name`, have in `bound`.
pub(super) fn within(name: &str, parameters: &[Parameter], bound: &Bound) -> Sweep {
    let value = |one: &Parameter| Some((one.word.node.clone(), bound.value(&one.word.node)?));
    Sweep { of: name.to_owned(), values: parameters.iter().filter_map(value).collect() }
}

impl Scenario {
    /// An error of it, with the values of its parameters if it has any and the error has no second place.
    pub(crate) fn with_values(&self, error: Diagnostic) -> Diagnostic {
        match &self.sweep {
            Some(sweep) if error.second.is_none() => {
                error.with_second(self.name.span, format!("with {}", sweep.told()))
            }
            Some(_) | None => error,
        }
    }

    /// Whether it is called so, or is one of those that the sweep with this name makes.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name.node == name || self.sweep.as_ref().is_some_and(|sweep| sweep.of == name)
    }
}

impl Sweep {
    /// What the scenario of this combination is called: `cow-n-pages4-devices2`.
    #[must_use]
    pub fn name(&self) -> String {
        let part = |(word, value): &(String, u32)| format!("-{word}{value}");
        self.of.clone() + &self.values.iter().map(part).collect::<String>()
    }

    /// As it is told: `pages = 4, devices = 2`.
    #[must_use]
    pub fn told(&self) -> String {
        let part = |(word, value): &(String, u32)| format!("{word} = {value}");
        self.values.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// The values of its parameters, for the words of its lines.
    pub(super) fn bound(&self) -> Bound {
        Bound::to(self.values.clone())
    }
}
