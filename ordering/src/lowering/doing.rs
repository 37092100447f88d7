//! What the nodes of a statement do, said once they are there.
//!
//! Invariant: who has lowered a step has reported what is not declared, so every place of it has a number.

use crate::language::syntax::Step;

use super::deed::{Act, Numbering};
use super::emitter::Emitter;
use super::program::Place;
use super::state::number;

impl Emitter<'_> {
    /// The nodes from `start` on do this, as far as nothing else is said.
    pub(super) fn does(&mut self, start: usize, act: Act) {
        let id = number(self.out.acts.len());
        self.out.acts.push((act, self.manner.indivisible));
        for node in &mut self.out.builder.nodes[start..] {
            let Place::Step(ways, _) = node else { continue };
            for way in ways.iter_mut().filter(|way| way.deeds.is_empty()) {
                way.deeds.push((id, way.part));
            }
        }
    }

    /// The nodes from `start` on are this step.
    ///
    /// # Panics
    /// If a name of the step is not declared: who has lowered a step has reported that.
    pub(super) fn does_step(&mut self, start: usize, step: &Step) {
        let act = Act::Step(Box::new(step.renamed(&Numbering(self.scope.names))));
        self.does(start, act);
    }
}
