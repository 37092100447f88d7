//! Workflow commands: what GitHub shows as annotations beside the lines of a change.
//!
//! Invariant: whatever a scenario says, it stays within its property or its message. Source: GitHub's "Workflow commands
//! for GitHub Actions", and `actions/toolkit`, packages/core/src/command.ts, for what is escaped.

use std::fmt::Write as _;

use super::super::files::STANDARD_INPUT;
use super::report::{Error, Report};
use super::root::Root;

/// One command a line.
pub(super) fn commands(report: &Report<'_>) -> String {
    let root = Root::of("GITHUB_WORKSPACE");
    let mut text = String::new();
    if let Some(lack) = report.lack() {
        // First of all: only some annotations are shown. Writing to a string cannot fail.
        let title = format!("afterimage {} was not finished", report.command);
        let _ = writeln!(text, "::error title={}::{}", property(&title), data(&lack));
    }
    for group in &report.groups {
        let file = place(group.file, &root);
        for Error { rule, place: [(line, column), (end, behind)], message, help } in &group.errors {
            let title = format!("error[{}]", rule.id());
            let columns =
                if line == end { format!(",col={column},endColumn={behind}") } else { String::new() };
            let line = format!("{file}line={line}{columns}");
            command(&mut text, &line, &title, &format!("{message}\nhelp: {help}"));
        }
        for case in &group.cases {
            let Some(fault) = &case.fault else { continue };
            let title = format!("{}: {}", case.scenario, case.verdict);
            let told = fault.text.join("\n");
            let table = fault.table.as_ref().map_or_else(String::new, |table| format!("\n\n{table}"));
            command(&mut text, &format!("{file}line={}", fault.line), &title, &format!("{told}{table}"));
        }
    }
    text
}

fn command(text: &mut String, place: &str, title: &str, message: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "::error {place},title={}::{}", property(title), data(message.trim_end()));
}

/// `file=…,`, below the root of the repository if it is there; nothing for what is no file.
fn place(file: &str, root: &Root) -> String {
    if file == STANDARD_INPUT { String::new() } else { format!("file={},", property(&root.below(file))) }
}

/// A message: one line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What stands between `=` and the next `,` or `::`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
