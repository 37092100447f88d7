//! The scenario of an order that no scenario has: its steps as they were seen, and everybody who may remember the old entry.
//!
//! Invariant: a step that was seen stands where it was seen; one that the trace cannot show, and without which the
//! operation would be none, is placed where kernels have it, and says so in a remark.

mod program;
mod scene;

use std::collections::BTreeSet;

use ordering::language::render_all;
use ordering::language::syntax::Scenario;
use ordering::lowering::{Lowered, load};
use steps::table::Verb;

use crate::collect::Found;
use crate::order::Order;
use crate::vocabulary::{Operation, Shape};

/// A scenario that nobody has written yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its name.
    pub name: String,
    /// In the language.
    pub text: String,
}

impl Proposal {
    /// Reads it, as any file.
    ///
    /// # Errors
    /// What is wrong with it, rendered.
    pub fn load(&self) -> Result<(Scenario, Lowered), String> {
        let found = load(&self.text).map_err(|wrong| render_all(&wrong, &self.name, &self.text))?;
        found.into_iter().next().ok_or_else(|| "it holds no scenario".to_owned())
    }
}

/// The scenario of an order.
#[must_use]
pub fn propose(order: &Order, number: usize, operation: Option<&Operation>, found: &Found) -> Proposal {
    let shape = shape(order, operation.map(|one| one.shape), found);
    let id = operation.map_or("change", |one| one.id.as_str());
    let name = format!("observed-{id}-{number}");
    let program = program::of(order, shape, found);
    // An entry that moves has a page where it goes, seen or not.
    let pages = if shape == Shape::Move { order.pages().max(2) } else { order.pages() };
    let text = scene::text(&name, shape, pages, &program);
    Proposal { name, text }
}

/// What is done to the entries: what the operation is known to do, if the steps that were seen can be that.
fn shape(order: &Order, known: Option<Shape>, found: &Found) -> Shape {
    let has = |verb: Verb| order.operator().any(|row| row.verb == verb);
    let seen = match () {
        () if moves(order) => Shape::Move,
        () if has(Verb::SetPte) || has(Verb::ChangePte) => Shape::Replace,
        () if has(Verb::PteModify) => Shape::Protect,
        () => Shape::Zap,
    };
    // Who only leaves migration entries behind frees the frame later.
    let sets_new = order.operator().any(|row| row.verb == Verb::SetPte && !row.text.contains(" migration "));
    match known {
        Some(Shape::Replace) if has(Verb::SetPte) && !sets_new => Shape::Zap,
        Some(Shape::Zap) if has(Verb::SetPte) || has(Verb::PteModify) => seen,
        Some(Shape::Replace | Shape::Merge) if has(Verb::PteModify) => seen,
        Some(Shape::Move) if !(moves(order) || may_move(order, found)) => seen,
        Some(Shape::Protect) if has(Verb::PteClear) && !has(Verb::SetPte) => seen,
        Some(shape) => shape,
        None => seen,
    }
}

/// Whether one page's entry is emptied, and another's is set.
fn moves(order: &Order) -> bool {
    let (cleared, set) = (order.pages_of(Verb::PteClear), order.pages_of(Verb::SetPte));
    cleared.iter().eq([&0]) && set.iter().eq([&1])
}

/// Whether one page's entry is emptied and another's is set, and what was not seen of that could not be.
fn may_move(order: &Order, found: &Found) -> bool {
    let (cleared, set) = (order.pages_of(Verb::PteClear), order.pages_of(Verb::SetPte));
    let could_hide = |verb: Verb, page: usize| !found.shown.contains(&verb) && !order.watched.contains(&page);
    let is_cleared = cleared.iter().eq([&0]) || cleared.is_empty() && could_hide(Verb::PteClear, 0);
    let is_set = set.iter().eq([&1]) || set.is_empty() && order.pages() == 1 && could_hide(Verb::SetPte, 1);
    is_cleared && is_set && order.pages_of(Verb::PteModify).is_empty()
}

/// Why no scenario can be made of an order, if so: entries of more pages are written than a scenario of that shape has.
pub(crate) fn beyond(order: &Order, operation: Option<&Operation>, found: &Found) -> Option<&'static str> {
    let mut written = BTreeSet::new();
    for verb in [Verb::PteClear, Verb::SetPte, Verb::PteModify] {
        written.extend(order.pages_of(verb));
    }
    let one = match shape(order, operation.map(|one| one.shape), found) {
        Shape::Replace | Shape::Merge => written.len() > 1 || written.first().is_some_and(|page| *page > 0),
        Shape::Move | Shape::Zap | Shape::Protect => false,
    };
    one.then_some("it sets entries of several pages, or of another than the one that its steps begin with")
}

#[cfg(test)]
mod tests;
