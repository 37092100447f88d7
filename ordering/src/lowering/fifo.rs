//! A queue in the model: slots that fill up from the front.
//!
//! Invariant: behind an empty slot all slots are empty; 0 is the value of an empty slot. A full queue makes the next one
//! wait.

use crate::model::{Guard, Update, Var};

/// Its slots, the oldest first.
pub(super) struct Fifo(pub(super) Vec<Var>);

impl Fifo {
    /// That nothing is in it.
    pub(super) fn is_empty(&self) -> Option<Guard> {
        self.0.first().map(|first| Guard::Is(*first, 0))
    }

    /// The ways to put `value` behind everything that is in it.
    pub(super) fn append(&self, value: u32) -> impl Iterator<Item = (Vec<Guard>, Update)> {
        self.0.iter().enumerate().map(move |(index, slot)| {
            let before = index.checked_sub(1).map(|before| Guard::IsNot(self.0[before], 0));
            (before.into_iter().chain([Guard::Is(*slot, 0)]).collect(), Update::Set(*slot, value))
        })
    }

    /// Takes out what is in the slot `index`; the ones behind it move up.
    pub(super) fn take(&self, index: usize) -> Vec<Update> {
        let slots = &self.0[index..];
        let moved = slots.windows(2).map(|pair| Update::Copy { to: pair[0], from: pair[1] });
        moved.chain(slots.last().map(|last| Update::Set(*last, 0))).collect()
    }
}
