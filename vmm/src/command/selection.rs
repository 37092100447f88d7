//! Which scenarios of the files that were named are meant: `--scenario`, as often as it is given.
//!
//! Invariant: a name that no scenario has is an error before anything runs, and never a run of nothing.

use clap::Args;
use glob::Pattern;
use ordering::language::syntax::Scenario;
use ordering::language::{did_you_mean, parse};

use super::files::Source;

/// Which scenarios.
#[derive(Debug, Default, Args)]
pub(super) struct Selection {
    /// Only the scenarios with this name, in which `*` and `?` stand for others; may be given several times
    #[arg(long = "scenario", value_name = "NAME", value_parser = pattern)]
    names: Vec<Pattern>,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| format!("{error}; put quotes around a pattern such as 'cow-*'"))
}

impl Selection {
    /// As they were given.
    pub(super) fn names(&self) -> Vec<&str> {
        self.names.iter().map(Pattern::as_str).collect()
    }

    /// Whether a scenario of `source` is meant, by its own name or by that of its sweep.
    pub(super) fn has(&self, source: &Source, scenario: &Scenario) -> bool {
        let sweep = scenario.sweep.as_ref().map(|sweep| sweep.of.as_str());
        let is_named = |pattern: &Pattern| {
            [Some(scenario.name.node.as_str()), sweep].into_iter().flatten().any(|name| pattern.matches(name))
        };
        (self.names.is_empty() || self.names.iter().any(is_named))
            && source.only.as_ref().is_none_or(|only| scenario.is_called(only))
    }

    /// Sees that each name is one of a scenario of `sources`.
    ///
    /// # Errors
    /// The first that is none.
    pub(super) fn check(&self, sources: &[Source]) -> Result<(), String> {
        if self.names.is_empty() {
            return Ok(());
        }
        let named = |source: &Source| {
            let all = parse(&source.text).scenarios.into_iter();
            let meant = all.filter(|one| source.only.as_ref().is_none_or(|only| one.is_called(only)));
            meant
                .flat_map(|one| [Some(one.name.node), one.sweep.map(|sweep| sweep.of)])
                .flatten()
                .collect::<Vec<_>>()
        };
        let names: Vec<String> = sources.iter().flat_map(named).collect();
        let missing = self.names.iter().find(|pattern| !names.iter().any(|name| pattern.matches(name)));
        let Some(missing) = missing else { return Ok(()) };
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = did_you_mean(missing.as_str(), &known, "leave --scenario out to see the names");
        Err(format!("there is no scenario `{missing}` in what was named: {help}"))
    }
}
