//! Markdown, as GitHub and GitLab show it in the summary of a job and in comments: a table of scenarios, and below it what
//! is wrong.
//!
//! Invariant: whatever a file or a scenario is called, it stays in its cell, its heading or its block. Source: "GitHub
//! Flavored Markdown Spec", 2.4 (backslash escapes), 4.5 (fenced code blocks), 4.10 (tables).

use std::fmt::Write as _;

use super::report::{Error, Fault, Report};

/// The table, what is wrong with each scenario, and `last`, the line for people.
pub(super) fn page(report: &Report<'_>, last: &str) -> String {
    let mut text =
        "| scenario | verdict | as expected | where | seconds |\n|---|---|---|---|---:|\n".to_owned();
    for group in &report.groups {
        let file = escaped(group.file);
        for Error { rule, place: [(line, column), _], .. } in &group.errors {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| | error {} | **no** | {file}:{line}:{column} | |", rule.id());
        }
        for case in &group.cases {
            let (name, verdict) = (escaped(&case.scenario), escaped(&case.verdict));
            let is_expected = if case.fault.is_none() { "yes" } else { "**no**" };
            let _ = writeln!(
                text,
                "| {name} | {verdict} | {is_expected} | {file}:{} | {:.6} |",
                case.line, case.seconds
            );
        }
    }
    for group in &report.groups {
        for Error { rule, place: [(line, column), _], message, help } in &group.errors {
            let told = format!("{message}\nhelp: {help}");
            let title = format!("{}:{line}:{column}: error {}", group.file, rule.id());
            let _ = write!(text, "\n### {}\n\n{}", escaped(&title), block(&told));
        }
        for case in &group.cases {
            let Some(Fault { text: told, table, line, .. }) = &case.fault else { continue };
            let title = format!("{}: {} ({}:{line})", case.scenario, case.verdict, group.file);
            let rows = table.as_ref().map_or_else(String::new, |table| format!("\n\n{table}"));
            let _ = write!(text, "\n### {}\n\n{}", escaped(&title), block(&(told.join("\n") + &rows)));
        }
    }
    let _ = writeln!(text, "\n{}", escaped(last.trim()));
    text
}

/// Text in which nothing begins markup: one line.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => shown.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '$' | '@' => {
                shown.extend(['\\', letter]);
            }
            _ => shown.push(letter),
        }
    }
    shown
}

/// A block of code, whose fence is longer than any in it.
fn block(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}
