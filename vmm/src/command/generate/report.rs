//! What was found of the orders, as JSON.
//!
//! Invariant: names of steps and users, and the words of the table; nothing is left out but the orders that were not asked
//! for.

use ordering::generate::{Generated, Kind, Needs, Order, Request, Verdict};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    operation: &'a str,
    about: &'a str,
    source: &'a str,
    users: Vec<&'a str>,
    steps: Vec<Step<'a>>,
    /// Kept by every order.
    before: Vec<[&'a str; 2]>,
    /// Steps that are moved or left out at most.
    moved: usize,
    /// Orders if all may be moved.
    #[serde(rename = "orders_in_all")]
    all: u128,
    /// Orders that were looked at.
    looked_at: usize,
    classes: usize,
    orders: Vec<Row<'a>>,
    needs: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    name: &'a str,
    row: &'a str,
    optional: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    steps: Vec<&'a str>,
    left_out: Vec<&'a str>,
    moved: usize,
    class: usize,
    verdicts: Vec<Of<'a>>,
}

#[derive(Serialize)]
struct Of<'a> {
    user: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    property: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    minimal: bool,
    states: usize,
}

#[derive(Serialize)]
struct Group<'a> {
    left_out: Vec<&'a str>,
    users: Vec<Needed<'a>>,
}

#[derive(Serialize)]
struct Needed<'a> {
    user: &'a str,
    orders: usize,
    safe: usize,
    vacuous: usize,
    undecided: usize,
    /// Kept by every safe order.
    needs: Vec<[&'a str; 2]>,
    /// Orders that keep them.
    keeping: usize,
    /// Whether those are the safe ones.
    exact: bool,
}

/// The users, and all at once.
fn users<'a>(request: &Request<'a>) -> Vec<&'a str> {
    request.users.iter().map(|user| user.name()).chain(["all"]).collect()
}

impl<'a> Report<'a> {
    pub(super) fn new(request: &Request<'a>, found: &'a Generated, listed: &[&'a Order]) -> Self {
        let operation = request.operation;
        let users = users(request);
        Self {
            operation: operation.name,
            about: operation.about,
            source: operation.source,
            steps: found.steps.iter().map(step).collect(),
            before: named(found, &found.before),
            moved: found.moved,
            all: found.all,
            looked_at: found.orders.len(),
            classes: found.classes,
            orders: listed.iter().map(|order| row(found, order, &users)).collect(),
            needs: found
                .needs
                .iter()
                .map(|(left_out, needs)| group(found, left_out, needs, &users))
                .collect(),
            users,
        }
    }
}

fn step(step: &ordering::generate::Step) -> Step<'_> {
    Step { name: &step.name, row: &step.row, optional: step.optional }
}

fn named<'a>(found: &'a Generated, pairs: &[(usize, usize)]) -> Vec<[&'a str; 2]> {
    pairs.iter().map(|(first, then)| [found.name(*first), found.name(*then)]).collect()
}

fn row<'a>(found: &'a Generated, order: &'a Order, users: &[&'a str]) -> Row<'a> {
    let judged = users.iter().zip(order.judged.iter().zip(&order.minimal));
    let verdicts = judged.map(|(user, (judged, minimal))| {
        let (property, rows, why) = match &judged.verdict {
            Verdict::Broken { property, rows } => (Some(property.as_str()), Some(*rows), None),
            Verdict::Vacuous(why) => (None, None, Some(why.as_str())),
            Verdict::Safe | Verdict::BoundHit => (None, None, None),
        };
        let (verdict, states): (Kind, usize) = (judged.verdict.kind(), judged.states);
        Of { user, verdict: verdict.name(), property, rows, why, minimal: *minimal, states }
    });
    Row {
        steps: found.named(order),
        left_out: order.left_out.iter().map(|step| found.name(*step)).collect(),
        moved: order.moved,
        class: order.class,
        verdicts: verdicts.collect(),
    }
}

fn group<'a>(found: &'a Generated, left_out: &[usize], needs: &[Needs], users: &[&'a str]) -> Group<'a> {
    let of = |(user, needs): (&&'a str, &Needs)| Needed {
        user,
        orders: needs.orders,
        safe: needs.safe,
        vacuous: needs.vacuous,
        undecided: needs.undecided,
        needs: named(found, &needs.pairs),
        keeping: needs.keeping,
        exact: needs.are_exact(),
    };
    Group {
        left_out: left_out.iter().map(|step| found.name(*step)).collect(),
        users: users.iter().zip(needs).map(of).collect(),
    }
}
