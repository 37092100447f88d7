//! SARIF 2.1.0: a rule for each kind of fault, a result for each fault, the counterexample as its code flow.
//!
//! Invariant: a flow is one list with all agents in the order in which they take turns, for viewers show the first list
//! alone; who takes a row is said in it. Lines and columns count from 1, columns in letters. Source: OASIS, "Static
//! Analysis Results Interchange Format (SARIF) Version 2.1.0", sections named below.

use serde_json::{Value, json};

use super::super::files::STANDARD_INPUT;
use super::report::{Case, Error, Fault, Group, Report, Rule, Step, UNFINISHED};
use super::root::Root;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log.
pub(super) fn log(report: &Report<'_>) -> String {
    let rules = rules(report);
    // Who uploads a log to GitHub means the repository's root by %SRCROOT%, wherever a step works.
    let root = Root::of("GITHUB_WORKSPACE");
    let results: Vec<Value> =
        report.groups.iter().flat_map(|group| results(group, &named(group.file, &root), &rules)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "afterimage",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(described).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": format!("afterimage-{}/", report.command)},
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation(report)],
            "results": results,
        }],
    });
    match serde_json::to_string_pretty(&log) {
        Ok(text) => text,
        Err(error) => unreachable!("numbers and texts are always JSON: {error}"),
    }
}

/// Whether all was run, and if not why (3.20.14, 3.20.21).
fn invocation(report: &Report<'_>) -> Value {
    let clean = report.groups.iter().all(|group| group.errors.is_empty());
    let lack = report.lack();
    let mut told = json!({"executionSuccessful": clean && lack.is_none()});
    if let Some(unfinished) = report.unfinished {
        told["exitCode"] = json!(unfinished.status);
    }
    if let Some(lack) = lack {
        told["toolExecutionNotifications"] =
            json!([{"level": "error", "descriptor": {"id": UNFINISHED}, "message": {"text": lack}}]);
    }
    told
}

/// Each kind of fault that occurs, once (3.19.23).
fn rules(report: &Report<'_>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let errors = report.groups.iter().flat_map(|group| &group.errors).map(|error| &error.rule);
    let faults = report.groups.iter().flat_map(|group| &group.cases).filter_map(|case| case.fault.as_ref());
    for rule in errors.chain(faults.map(|fault| &fault.rule)) {
        if !rules.iter().any(|known| known.id() == rule.id()) {
            rules.push(rule.clone());
        }
    }
    rules
}

fn described(rule: &Rule) -> Value {
    let mut told = json!({
        "id": rule.id(),
        "shortDescription": {"text": rule.about()},
        "defaultConfiguration": {"level": "error"},
    });
    if let Rule::Language(code) = rule {
        told["help"] = json!({"text": ordering::language::explain::explain(*code).to_string()});
    }
    told
}

fn named(file: &str, root: &Root) -> String {
    if file == STANDARD_INPUT { file.to_owned() } else { root.below(file) }
}

/// What is wrong in a group, whose file has that name from the root of the repository on.
fn results(group: &Group<'_>, file: &str, rules: &[Rule]) -> Vec<Value> {
    let errors = group.errors.iter().map(|Error { rule, place: [start, end], message, help }| {
        let region = json!({
            "startLine": start.0, "startColumn": start.1, "endLine": end.0, "endColumn": end.1,
        });
        let text = format!("{message}\nhelp: {help}");
        result(rule, rules, &text, &location(file, &region, None))
    });
    let faults = group.cases.iter().filter_map(|case| Some(fault(file, case, case.fault.as_ref()?, rules)));
    errors.chain(faults).collect()
}

fn result(rule: &Rule, rules: &[Rule], text: &str, place: &Value) -> Value {
    json!({
        "ruleId": rule.id(),
        "ruleIndex": rules.iter().position(|known| known.id() == rule.id()),
        "level": "error",
        "message": {"text": text},
        "locations": [place],
    })
}

fn fault(file: &str, case: &Case, fault: &Fault, rules: &[Rule]) -> Value {
    let text = format!("{}: {}\n{}", case.scenario, case.verdict, fault.text.join("\n"));
    let place = location(file, &json!({"startLine": fault.line}), None);
    let mut told = result(&fault.rule, rules, &text, &place);
    told["partialFingerprints"] = json!({"scenario/v1": format!("{}/{}", case.scenario, fault.rule.id())});
    if !fault.flow.is_empty() {
        let rows: Vec<Value> =
            (1..).zip(&fault.flow).map(|(order, step)| row(file, case, order, step)).collect();
        told["codeFlows"] =
            json!([{"message": {"text": "The counterexample"}, "threadFlows": [{"locations": rows}]}]);
    }
    told
}

/// A row of a counterexample (3.38).
fn row(file: &str, case: &Case, order: usize, step: &Step) -> Value {
    let changes = if step.changes.is_empty() { String::new() } else { format!("   # {}", step.changes) };
    let text = format!("{}: {}{changes}", step.agent, step.text);
    // Hardware that acts by itself is written nowhere.
    let line = step.line.unwrap_or(case.line);
    json!({"executionOrder": order, "location": location(file, &json!({"startLine": line}), Some(&text))})
}

fn location(file: &str, region: &Value, message: Option<&str>) -> Value {
    let artifact = match file {
        STANDARD_INPUT => json!({"uri": "stdin"}),
        // An absolute path has a root of its own (3.4.3).
        absolute if absolute.starts_with('/') => json!({"uri": format!("file://{}", uri(absolute))}),
        relative => json!({"uri": uri(relative), "uriBaseId": "%SRCROOT%"}),
    };
    let mut place = json!({"physicalLocation": {"artifactLocation": artifact, "region": region}});
    if let Some(text) = message {
        place["message"] = json!({"text": text});
    }
    place
}

/// A path as a part of a URI: RFC 3986, 2.3 and 3.3.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
