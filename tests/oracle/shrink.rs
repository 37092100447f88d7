//! The shortest part of a scenario on which both sides still disagree.

use super::agreement::{Outcome, outcome};
use super::program::Statement;
use super::promela::Mistake;
use super::setting::Scenario;

/// Leaves out rows, properties and options, one at a time, while the sides disagree.
pub(super) fn shrunk(scenario: &Scenario, compiler: &str) -> Scenario {
    let mut least = scenario.clone();
    let fails = |part: &Scenario| matches!(outcome(part, Mistake::None, compiler), Outcome::Disagreed { .. });
    while let Some(part) = parts(&least).into_iter().find(|part| fails(part)) {
        least = part;
    }
    least
}

fn parts(scenario: &Scenario) -> Vec<Scenario> {
    let mut parts = Vec::new();
    for (number, agent) in scenario.agents.iter().enumerate() {
        for body in bodies(&agent.body) {
            let mut part = scenario.clone();
            part.agents[number].body = body;
            parts.push(part);
        }
    }
    for number in 0..scenario.properties.len() {
        let mut part = scenario.clone();
        part.properties.remove(number);
        parts.push(part);
    }
    for number in (0..scenario.options.len()).filter(|number| scenario.options[*number].0 != "livelock") {
        let mut part = scenario.clone();
        part.options.remove(number);
        parts.push(part);
    }
    parts
}

/// The body without one of its rows, or with what stands in a block instead of the block. Labels stay, as jumps want them.
fn bodies(body: &[Statement]) -> Vec<Vec<Statement>> {
    let mut bodies = Vec::new();
    for (number, statement) in body.iter().enumerate() {
        let inside = match statement {
            Statement::Label(_) => continue,
            Statement::Repeat(_, _, inside) | Statement::Atomic(inside) => inside.clone(),
            Statement::If(_, then, other) => [&then[..], other].concat(),
            Statement::Choice(branches) => branches.concat(),
            Statement::Step(_)
            | Statement::Trylock(..)
            | Statement::Assign(..)
            | Statement::When(_)
            | Statement::Check(..)
            | Statement::Goto(_)
            | Statement::End => Vec::new(),
        };
        let with = |middle: &[Statement]| [&body[..number], middle, &body[number + 1..]].concat();
        bodies.push(with(&[]));
        if !inside.is_empty() {
            bodies.push(with(&inside));
        }
    }
    bodies
}
