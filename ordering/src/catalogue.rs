//! The catalogue: the scenario files of `tests/scenarios`, as they were when this was built.
//!
//! Invariant: every file of that folder is here, in the order of the names, and a scenario's name names one scenario.

use crate::language::syntax::Scenario;
use crate::language::{parse, render_all};
use crate::lowering::{self, Lowered};

/// A scenario file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    /// Its path below `tests/scenarios`, such as `cow/two-pages.scn`.
    pub path: &'static str,
    /// What it says.
    pub text: &'static str,
}

/// All files.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// One scenario of a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands.
    pub file: File,
    /// What it says, with what `like` takes over.
    pub scenario: Scenario,
    /// What is explored.
    pub lowered: Lowered,
}

/// The text of the file with that path.
#[must_use]
pub fn text_of(path: &str) -> Option<&'static str> {
    FILES.iter().find(|file| file.path == path).map(|file| file.text)
}

/// The file in which the scenario with that name stands, or the sweep that makes it.
#[must_use]
pub fn file_of(name: &str) -> Option<File> {
    let of = |is_meant: &dyn Fn(&str) -> bool| {
        let begins = |line: &str| line.strip_prefix("scenario ").is_some_and(|rest| is_meant(rest.trim()));
        FILES.iter().filter(|file| file.text.lines().any(begins)).copied().collect::<Vec<_>>()
    };
    let written = of(&|known| known == name);
    written.first().copied().or_else(|| {
        let begun = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.starts_with('-'));
        let makes = |file: &File| parse(file.text).scenarios.iter().any(|one| one.name.node == name);
        of(&begun).into_iter().find(makes)
    })
}

/// Every scenario.
///
/// # Panics
/// If a file of the catalogue has errors; a test sees to it that there is none.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let of_file = |file: &File| {
        let loaded = lowering::load(file.text).unwrap_or_else(|wrong| {
            panic!("the catalogue is part of the program:\n{}", render_all(&wrong, file.path, file.text))
        });
        let entry = |(scenario, lowered)| Entry { file: *file, scenario, lowered };
        loaded.into_iter().map(entry).collect::<Vec<_>>()
    };
    FILES.iter().flat_map(of_file).collect()
}

impl Entry {
    /// The lines of the file from its `scenario` line to the next one, without the remarks that belong to that.
    #[must_use]
    pub fn written(&self) -> String {
        let first = self.scenario.name.span.line as usize - 1;
        let lines = self.file.text.lines().skip(first);
        let own = lines.enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with("scenario "));
        let own: Vec<&str> = own.map(|(_, line)| line).collect();
        let says = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
        let end = own.iter().rposition(says).map_or(0, |last| last + 1);
        own[..end].join("\n")
    }

    /// Its programs, as `agent` blocks: what a variant has made of those it took over.
    #[must_use]
    pub fn programs(&self) -> String {
        let agent = |agent: &crate::language::syntax::Agent| {
            let on = agent.on.as_ref().map_or(String::new(), |on| format!(" on {}", on.node));
            let spontaneous = if agent.spontaneous { " spontaneous" } else { "" };
            let margin = agent.read().iter().map(|row| row.indent).min();
            let row = |row: &crate::language::syntax::Row| {
                let indent = row.indent - margin.expect("a program with a row has a margin") + 2;
                format!("{:indent$}{}\n", "", row.said())
            };
            let rows: String = agent.read().iter().map(row).collect();
            format!("agent {}{on}{spontaneous}\n{rows}", agent.name.node)
        };
        self.scenario.agents.iter().map(agent).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests;
