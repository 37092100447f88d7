//! The Test Anything Protocol, version 14: one test point a scenario.
//!
//! Invariant: the plan has as many points as there are, and behind them a run that was not finished bails out; a file
//! that cannot be read is a point that failed. What stands in a block is YAML by being JSON. Source: testanything.org,
//! "TAP 14 specification".

use std::fmt::Write as _;

use serde_json::json;

use super::report::{Error, Report};

/// The whole stream.
pub(super) fn stream(report: &Report<'_>) -> String {
    let mut points = Vec::new();
    for group in &report.groups {
        for Error { rule, place: [(line, column), _], message, help } in &group.errors {
            let name = format!("{}:{line}:{column}: {}", group.file, rule.id());
            let told = [
                ("message", json!(message)),
                ("severity", json!("fail")),
                ("at", json!({"file": group.file, "line": line, "column": column})),
                ("help", json!(help)),
            ];
            points.push((name, Some(block(&told))));
        }
        for case in &group.cases {
            let fault = case.fault.as_ref().map(|fault| {
                let trace: Vec<String> =
                    fault.table.iter().flat_map(|table| table.lines()).map(str::to_owned).collect();
                block(&[
                    ("message", json!(fault.text.join("\n"))),
                    ("severity", json!("fail")),
                    ("rule", json!(fault.rule.id())),
                    ("at", json!({"file": group.file, "line": fault.line})),
                    ("trace", json!(trace)),
                ])
            });
            points.push((format!("{}: {}: {}", group.file, case.scenario, case.verdict), fault));
        }
    }
    let mut text = format!("TAP version 14\n1..{}\n", points.len());
    for (number, (name, block)) in (1..).zip(&points) {
        let said = if block.is_some() { "not ok" } else { "ok" };
        // Writing to a string cannot fail.
        let _ =
            write!(text, "{said} {number} - {}\n{}", description(name), block.as_deref().unwrap_or_default());
    }
    if let Some(lack) = report.lack() {
        let _ = writeln!(text, "Bail out! {}", lack.replace(['\n', '\r'], " "));
    }
    text
}

/// A description: `#` would begin a directive.
fn description(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#").replace(['\n', '\r'], " ")
}

fn block(told: &[(&str, serde_json::Value)]) -> String {
    let lines: String = told.iter().map(|(key, value)| format!("  {key}: {value}\n")).collect();
    format!("  ---\n{lines}  ...\n")
}
