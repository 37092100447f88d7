//! A run as a graph, for `dot`: a box for each row, in the column of its agent, and what leads from a change to whoever was
//! told of it, or was not.
//!
//! Invariant: names of nodes are numbers; whatever a scenario says stands in quotes. A file may have several graphs.

use std::fmt::Write;

use crate::escape::quoted;
use crate::report::Report;
use crate::timeline::{Arrow, End, Timeline};

/// The graphs of all reports that have a run.
#[must_use]
pub fn dot(reports: &[Report]) -> String {
    let mut out = String::new();
    for report in reports {
        // Writing to a string cannot fail.
        let _ = match &report.run {
            Some(run) => graph(&mut out, report, run),
            None => writeln!(out, "// {}: {}, no run to show", comment(&report.name), report.verdict),
        };
    }
    out
}

/// What stands behind `//` ends with the line.
fn comment(text: &str) -> String {
    crate::escape::visible(text).replace('\n', " ")
}

fn graph(out: &mut String, report: &Report, run: &Timeline) -> std::fmt::Result {
    let title = [format!("{}: {} {}", report.name, report.verdict, report.detail)];
    let label = title.iter().chain(&run.why).map(String::as_str).collect::<Vec<_>>().join("\n");
    writeln!(out, "digraph {} {{", quoted(&report.name))?;
    writeln!(out, "  label={}; labelloc=t; rankdir=TB;", quoted(&label))?;
    writeln!(out, "  node [shape=box, fontname=monospace]; edge [fontname=monospace];")?;
    for (index, agent) in run.agents.iter().enumerate() {
        let on = agent.on.as_ref().map_or_else(String::new, |on| format!(" on {on}"));
        writeln!(out, "  subgraph cluster_{index} {{")?;
        writeln!(out, "    label={};", quoted(&format!("{}{on}", agent.name)))?;
        for (row, number) in run.rows.iter().zip(1..).filter(|(row, _)| row.agent == index) {
            let changes: String = row.changes.iter().map(|change| format!("\n{change}")).collect();
            let broken = if run.breaks() == Some(number) { ", color=red, penwidth=2" } else { "" };
            let text = format!("{number}  {}{changes}", row.text);
            writeln!(out, "    r{number} [label={}{broken}];", quoted(&text))?;
        }
        writeln!(out, "  }}")?;
    }
    for number in 1..run.rows.len() {
        writeln!(out, "  r{number} -> r{} [style=dotted, color=gray];", number + 1)?;
    }
    run.arrows.iter().try_for_each(|arrow| edge(out, run, arrow))?;
    writeln!(out, "}}")
}

fn edge(out: &mut String, run: &Timeline, arrow: &Arrow) -> std::fmt::Result {
    let Arrow { from, to, end, lanes } = arrow;
    let names: Vec<&str> = lanes.iter().map(|lane| run.lanes[*lane].name.as_str()).collect();
    let (how, says) = match end {
        End::Told => ("color=blue", "empties"),
        End::Used => ("color=red, penwidth=2", "relies on"),
    };
    let label = quoted(&format!("{says} {}", names.join(", ")));
    writeln!(out, "  r{from} -> r{to} [{how}, constraint=false, label={label}];")
}
