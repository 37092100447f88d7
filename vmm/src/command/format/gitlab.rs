//! GitLab's code quality report: what it shows beside the lines of a merge request.
//!
//! Invariant: each issue has a fingerprint that no other of the report has, and that is the same next time, also where
//! lines were moved: GitLab shows what one report has and the other has not. Source: GitLab's documentation, "Code
//! Quality", "Code Quality report format".

use std::collections::HashMap;

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3Default;

use super::super::files::STANDARD_INPUT;
use super::report::{Error, Report, UNFINISHED};
use super::root::Root;

/// An issue, as far as it does not stand beside others.
struct Issue {
    rule: String,
    text: String,
    path: String,
    line: u32,
    severity: &'static str,
    /// What makes it the same next time, beside its file and its rule.
    same: String,
}

/// The whole report.
pub(super) fn issues(report: &Report<'_>) -> String {
    let root = Root::of("CI_PROJECT_DIR");
    let mut issues = Vec::new();
    for group in &report.groups {
        let path = path(group.file, &root);
        for Error { rule, place: [(line, _), _], message, help } in &group.errors {
            issues.push(Issue {
                rule: rule.id(),
                text: format!("{message}; {help}"),
                path: path.clone(),
                line: *line,
                severity: "critical",
                same: message.clone(),
            });
        }
        for case in &group.cases {
            let Some(fault) = &case.fault else { continue };
            issues.push(Issue {
                rule: fault.rule.id(),
                text: format!("{}: {}: {}", case.scenario, case.verdict, fault.text.join("; ")),
                path: path.clone(),
                line: fault.line,
                severity: "major",
                same: case.scenario.clone(),
            });
        }
    }
    if let Some(lack) = report.lack() {
        // An issue has a place; this one has none of its own.
        let file = report.groups.last().map_or(STANDARD_INPUT, |group| group.file);
        let (rule, path, same) = (UNFINISHED.to_owned(), path(file, &root), report.command.to_owned());
        issues.push(Issue { rule, text: lack, path, line: 1, severity: "blocker", same });
    }
    match serde_json::to_string_pretty(&described(&issues)) {
        Ok(text) => text,
        Err(error) => unreachable!("numbers and texts are always JSON: {error}"),
    }
}

fn described(issues: &[Issue]) -> Vec<Value> {
    let mut alike: HashMap<[&str; 3], usize> = HashMap::new();
    let mut all = Vec::new();
    for Issue { rule, text, path, line, severity, same } in issues {
        let parts = [path.as_str(), rule.as_str(), same.as_str()];
        let before = alike.entry(parts).or_default();
        all.push(json!({
            "description": text,
            "check_name": rule,
            "fingerprint": fingerprint(parts, *before),
            "severity": severity,
            "location": {"path": path, "lines": {"begin": line}},
        }));
        *before += 1;
    }
    all
}

fn fingerprint(parts: [&str; 3], before: usize) -> String {
    let mut hash = Xxh3Default::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(&(before as u64).to_le_bytes());
    format!("{:032x}", hash.digest128())
}

/// From the root of the repository, without the `./` that GitLab does not take.
fn path(file: &str, root: &Root) -> String {
    if file == STANDARD_INPUT {
        return "stdin".to_owned();
    }
    let below = root.below(file);
    below.strip_prefix("./").map_or(below.clone(), str::to_owned)
}
