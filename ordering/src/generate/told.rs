//! What was found of all orders, in sentences.
//!
//! Invariant: needs are called exact only if they are; of steps without which nobody is safe there is one sentence.

use super::found::{Generated, Request};
use super::needs::Needs;

/// What was looked at.
#[must_use]
pub fn summary(request: &Request<'_>, found: &Generated) -> String {
    let operation = request.operation;
    let steps: Vec<String> = found.steps.iter().map(|step| format!("{} ({})", step.name, step.row)).collect();
    let orders = match found.orders.len() as u128 == found.all {
        true => format!("all {} orders", found.all),
        false => format!(
            "the {} of {} orders of which at most {} are moved or left out",
            found.orders.len(),
            found.all,
            found.moved
        ),
    };
    let kept = listed(found, &found.before);
    format!(
        "{}: {}\n{} steps: {}\n{orders} that keep {kept}; {} classes, within which exchanges of neighbours change no verdict",
        operation.name,
        operation.about,
        found.steps.len(),
        steps.join(", "),
        found.classes,
    )
}

/// What each user needs, by what is left out; a line each.
#[must_use]
pub fn needs_of(request: &Request<'_>, found: &Generated) -> Vec<String> {
    let users: Vec<&str> = request.users.iter().map(|user| user.name()).chain(["all"]).collect();
    let mut lines = Vec::new();
    let mut lost = Vec::new();
    for (left_out, needs) in &found.needs {
        let names: Vec<&str> = left_out.iter().map(|step| found.name(*step)).collect();
        let what = if names.is_empty() {
            "with all steps".to_owned()
        } else {
            format!("without {}", names.join(", "))
        };
        if needs.iter().all(|needs| needs.safe == 0 && needs.undecided == 0) {
            lost.push(names.join("+"));
            continue;
        }
        // All users have the same orders.
        lines.extend(needs.first().map(|needs| format!("{what}, {}:", counted(needs.orders))));
        lines.extend(
            users.iter().zip(needs).map(|(user, needs)| format!("  {user:6}  {}", told(found, needs))),
        );
    }
    if !lost.is_empty() {
        lines.push(format!("safe for nobody, in whatever order, without: {}", lost.join("; ")));
    }
    lines
}

fn told(found: &Generated, needs: &Needs) -> String {
    let mut rest = String::new();
    if needs.vacuous > 0 {
        rest.push_str(&format!("; {} vacuous", needs.vacuous));
    }
    if needs.undecided > 0 {
        rest.push_str(&format!("; {} BOUND HIT: of others nothing is said", needs.undecided));
    }
    let pairs = listed(found, &needs.pairs);
    let said = match (needs.safe, needs.are_exact(), needs.pairs.is_empty()) {
        (0, ..) => "none is safe".to_owned(),
        (safe, true, true) => format!("{safe} safe: all of them"),
        (safe, true, false) => format!("{safe} safe: those with {pairs}, and no other"),
        (safe, false, true) => format!("{safe} safe; they keep nothing that the others do not"),
        (safe, false, false) => format!(
            "{safe} safe; all keep {pairs}, as do {} orders: no set of such needs says which are safe",
            needs.keeping
        ),
    };
    said + &rest
}

/// A number of orders.
fn counted(orders: usize) -> String {
    if orders == 1 { "1 order".to_owned() } else { format!("{orders} orders") }
}

fn listed(found: &Generated, pairs: &[(usize, usize)]) -> String {
    let pair =
        |(first, then): &(usize, usize)| format!("{} before {}", found.name(*first), found.name(*then));
    pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
}
