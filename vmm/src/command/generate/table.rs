//! What was found of the orders, as a table.
//!
//! Invariant: a verdict stands there as it was found; a property that breaks has a number, which is explained below.

use std::fmt::Write;

use ordering::generate::{Generated, Judged, Order, Request, Verdict, needs_of, summary};

use crate::command::columns::{Place, laid_out};

/// The table, and below it what the safe orders have in common.
pub(super) fn table(request: &Request<'_>, found: &Generated, listed: &[&Order]) -> String {
    let mut properties: Vec<&str> = Vec::new();
    let mut rows = vec![head(request)];
    for order in listed {
        let verdicts = order.judged.iter().map(|judged| verdict(judged, &mut properties));
        let mut row = vec![found.named(order).join(" "), order.moved.to_string()];
        row.extend(verdicts.collect::<Vec<_>>());
        row.push(order.judged.last().map_or(0, |judged| judged.states).to_string());
        row.push(minimal_for(request, order));
        rows.push(row);
    }
    let mut out = format!("{}\n\n{}\n", summary(request, found), laid_out(&rows, Place::here()));
    for (property, number) in properties.iter().zip(1..) {
        out.push_str(&format!("[{number}] {property}\n"));
    }
    out.push('\n');
    for line in needs_of(request, found) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{line}");
    }
    out.trim_end().to_owned()
}

fn head(request: &Request<'_>) -> Vec<String> {
    let users = request.users.iter().map(|user| user.name());
    let all = ["order", "moved"].into_iter().chain(users).chain(["all", "states", "minimal for"]);
    all.map(str::to_owned).collect()
}

fn verdict<'a>(judged: &'a Judged, properties: &mut Vec<&'a str>) -> String {
    let word = judged.verdict.kind().name();
    let Verdict::Broken { property, .. } = &judged.verdict else { return word.to_owned() };
    let known = properties.iter().position(|known| known == property);
    let at = known.unwrap_or_else(|| {
        properties.push(property);
        properties.len() - 1
    });
    format!("{word} [{}]", at + 1)
}

/// The users for whom it is broken, and safe with one exchange of neighbours or one step put back.
fn minimal_for(request: &Request<'_>, order: &Order) -> String {
    let users = request.users.iter().map(|user| user.name()).chain(["all"]);
    let minimal = users.zip(&order.minimal).filter(|(_, minimal)| **minimal).map(|(user, _)| user);
    minimal.collect::<Vec<_>>().join(" ")
}
