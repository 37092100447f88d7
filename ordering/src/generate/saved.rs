//! Orders as scenario files: for each order a file, with a scenario for all users at once and one for each alone.
//!
//! Invariant: what is written is what was judged, and expects what was found; an order that says nothing of a user, or was
//! not decided, is a remark there.

use super::found::{Generated, Order, Request};
use super::judge::Judge;
use super::program::Program;
use super::verdict::{Kind, Verdict};

/// A scenario file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saved {
    /// Its name, without a folder.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// The file of an order that was found by this request; none if no scenario says what was found of it.
#[must_use]
pub fn saved(request: &Request<'_>, found: &Generated, order: &Order) -> Option<Saved> {
    let program = Program::new(request.operation, request.users);
    let judge = Judge { operation: request.operation, program: &program, options: &request.options };
    let name = format!("{}-{}", request.operation.name, found.named(order).join("-"));
    let about = about(found, order);
    let mut text = format!("# {}: {about}. Written by `afterimage generate`.\n", request.operation.name);
    let mut scenarios = 0;
    // One user alone is all users.
    let judged = order.judged.iter().enumerate().skip(usize::from(request.users.len() == 1));
    for (at, judged) in judged {
        let alone = request.users.get(at).map(std::slice::from_ref);
        let (own, users) = match alone {
            Some([user]) => (format!("{name}-{user}"), std::slice::from_ref(user)),
            Some(_) | None => (name.clone(), request.users),
        };
        text.push('\n');
        match judge.scenario(&own, &about, &order.steps, users, judged) {
            Some(scenario) => {
                text.push_str(&scenario);
                scenarios += 1;
            }
            None => text.push_str(&format!("# {own}: {}\n", told(&judged.verdict))),
        }
    }
    (scenarios > 0).then(|| Saved { name: format!("{name}.scn"), text })
}

/// What differs from the kernel's order, in a sentence.
fn about(found: &Generated, order: &Order) -> String {
    let names = found.named(order).join(", ");
    match order.moved {
        0 => format!("{names}: the kernel's order"),
        moved => {
            let left_out: Vec<&str> = order.left_out.iter().map(|step| found.name(*step)).collect();
            let without = if left_out.is_empty() {
                String::new()
            } else {
                format!(", without {}", left_out.join(", "))
            };
            format!("{names}: {moved} moved or left out{without}")
        }
    }
}

/// Why there is no scenario.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Vacuous(why) => format!("{}: {why}", Kind::Vacuous.name()),
        Verdict::BoundHit | Verdict::Safe | Verdict::Broken { .. } => verdict.kind().name().to_owned(),
    }
}
