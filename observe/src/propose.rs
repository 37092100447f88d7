//! The scenario of an order that no scenario has: its steps as they were seen, and everybody who may remember the old entry.
//!
//! Invariant: a step that was seen stands where it was seen; one that the trace cannot show, and without which the
//! operation would be none, is placed where kernels have it, and says so in a remark.

mod program;
mod scene;

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
    let shape = shape(order, operation.map(|one| one.shape));
    let id = operation.map_or("change", |one| one.id.as_str());
    let name = format!("observed-{id}-{number}");
    let program = program::of(order, shape, found);
    let text = scene::text(&name, shape, order.pages(), &program);
    Proposal { name, text }
}

/// What is done to the entries: what the operation is known to do, if the steps that were seen can be that.
fn shape(order: &Order, known: Option<Shape>) -> Shape {
    let has = |verb: Verb| order.operator().any(|row| row.verb == verb);
    let moves = order.pages() > 1 && has(Verb::SetPte);
    let seen = match () {
        () if moves => Shape::Move,
        () if has(Verb::SetPte) || has(Verb::ChangePte) => Shape::Replace,
        () if has(Verb::PteModify) => Shape::Protect,
        () => Shape::Zap,
    };
    match known {
        Some(Shape::Zap) if has(Verb::SetPte) || has(Verb::PteModify) => seen,
        Some(Shape::Replace | Shape::Merge) if order.pages() > 1 => seen,
        Some(Shape::Move) if !moves => seen,
        Some(Shape::Protect) if has(Verb::PteClear) && !has(Verb::SetPte) => seen,
        Some(shape) => shape,
        None => seen,
    }
}

#[cfg(test)]
mod tests;
