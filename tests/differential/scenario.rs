//! A run as a scenario: what everybody did as programs, and the order in which they did it as a trace.
//!
//! Invariant: the text is read by `afterimage check`, which holds its trace against its programs.

use std::fmt::Write as _;

use super::act::Row;
use super::model::declarations;
use super::setting::Setting;

/// The scenario of these steps of the model.
pub(super) fn scenario(setting: &Setting, rows: &[Row]) -> String {
    let mut text = declarations(setting);
    let mut agents: Vec<&str> = rows.iter().map(|row| row.agent.as_str()).collect();
    agents.sort_unstable();
    agents.dedup();
    for agent in &agents {
        text += &program(agent, rows.iter().filter(|row| row.agent == *agent));
    }
    writeln!(text, "trace\n{}", agents.join(" | ")).expect("a string takes it");
    for row in rows {
        let cell = |agent: &&str| if row.agent == *agent { row.text.as_str() } else { "" };
        writeln!(text, "{}", agents.iter().map(cell).collect::<Vec<_>>().join(" | "))
            .expect("a string takes it");
    }
    text
}

/// A user's agent runs on what stands before its first `_`; one of the kernel's runs nowhere.
fn program<'r>(agent: &str, rows: impl Iterator<Item = &'r Row>) -> String {
    let on = agent
        .split_once('_')
        .filter(|(user, _)| !user.starts_with('K'))
        .map_or_else(String::new, |(user, _)| format!(" on {user}"));
    let mut text = format!("agent {agent}{on}\n");
    for (number, row) in rows.enumerate() {
        let step = statement(agent, &row.text);
        let (label, place) = match step.starts_with("check ") {
            true => (format!(" else l{number}"), format!("  l{number}:\n")),
            false => (String::new(), String::new()),
        };
        if !step.is_empty() {
            writeln!(text, "  {step}{label}").expect("a string takes it");
            text += &place;
        }
    }
    text
}

/// The statement behind a step of a trace; empty for the steps that belong to another's statement: a walk before an
/// access, all but the first of GUP-fast.
fn statement<'r>(agent: &str, step: &'r str) -> &'r str {
    if step.starts_with("walk ") && !agent.contains("_walk_") {
        return "";
    }
    if step.starts_with("gup_fast ") {
        return step.strip_suffix(": read pte").unwrap_or_default();
    }
    let step = step.split(" in freed ").next().unwrap_or(step);
    let (reads, checks) =
        (step.starts_with("load ") || step.starts_with("dma_read "), step.starts_with("check "));
    match () {
        () if checks => step.strip_suffix(": no").unwrap_or(step),
        () if reads => step.split(" = ").next().unwrap_or(step),
        () => step,
    }
}
