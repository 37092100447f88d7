//! Where each variable and each program counter lies in the word.
//!
//! Invariant: fields do not overlap and leave the top bit free; a variable's codes are the values that it can take, in
//! their order; one that never changes takes no bit, and neither does one on which nothing depends. The fields of
//! interchangeable agents form blocks of the same shape.

use super::bits::Bits;
use super::pruned::Pruned;
use super::too_large::{Biggest, TooLarge};
use super::word::Word;
use crate::model::{Guard, Member, Symmetry, Update, Var, Variable};

/// Some adjacent bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Field {
    pub(super) shift: u32,
    pub(super) bits: u32,
}

/// How a variable is stored.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// It never changes, or nothing depends on it: then this is what it is at the start.
    Constant(u32),
    /// The code is the index of the value among these.
    Coded(Field, Vec<u32>),
}

/// The layout of a state.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// By variable.
    pub(super) slots: Vec<Slot>,
    /// The program counter of each agent: the number of its place, counted from its first one.
    pub(super) counters: Vec<Field>,
    /// For each symmetry, the block of each member.
    pub(super) blocks: Vec<Vec<Field>>,
    /// Bits in use, the top bit not counted.
    pub(super) bits: u32,
    /// By variable, the last value of its domain.
    last: Vec<u32>,
}

impl Layout {
    /// Lays out the fields for a word of at most `limit` bits, the top bit included.
    pub(super) fn of(
        pruned: &Pruned<'_>,
        needed: &Bits,
        symmetries: &[&Symmetry],
        limit: u32,
    ) -> Result<Self, TooLarge> {
        let none = Field::default();
        let agents = pruned.model.agents.len();
        let domains = pruned.model.variables.iter().map(|variable| variable.values.len());
        let mut layout = Self {
            slots: slots(pruned, needed),
            counters: vec![none; agents],
            blocks: Vec::new(),
            bits: 0,
            last: domains.map(|size| super::tables::number(size.saturating_sub(1))).collect(),
        };
        let mut placed = vec![false; agents];
        for symmetry in symmetries {
            let blocks = symmetry.members.iter().map(|member| {
                member.agents.iter().for_each(|&agent| placed[agent] = true);
                layout.place_block(pruned, member)
            });
            let blocks = blocks.collect();
            layout.blocks.push(blocks);
        }
        let owned: Vec<Var> =
            symmetries.iter().flat_map(|one| &one.members).flat_map(|member| &member.vars).copied().collect();
        (0..agents).filter(|&agent| !placed[agent]).for_each(|agent| layout.place_counter(pruned, agent));
        for index in 0..layout.slots.len() {
            if !owned.iter().any(|var| usize::from(var.0) == index) {
                layout.place_variable(index);
            }
        }
        if layout.bits < limit { Ok(layout) } else { Err(layout.too_large(pruned, limit)) }
    }

    /// The guard that an increment or a decrement has without saying so.
    pub(super) fn bound(&self, update: &Update) -> Option<Guard> {
        match *update {
            Update::Increment(var) => Some(Guard::IsNot(var, self.last[usize::from(var.0)])),
            Update::Decrement(var) => Some(Guard::IsNot(var, 0)),
            Update::Set(..) | Update::Copy { .. } => None,
        }
    }

    fn place_block(&mut self, pruned: &Pruned<'_>, member: &Member) -> Field {
        let shift = self.bits;
        member.agents.iter().for_each(|&agent| self.place_counter(pruned, agent));
        member.vars.iter().for_each(|var| self.place_variable(usize::from(var.0)));
        Field { shift, bits: self.bits - shift }
    }

    fn place_counter(&mut self, pruned: &Pruned<'_>, agent: usize) {
        self.counters[agent] = Field { shift: self.bits, bits: width(pruned.of_agent(agent).len()) };
        self.bits += self.counters[agent].bits;
    }

    fn place_variable(&mut self, index: usize) {
        if let Slot::Coded(field, _) = &mut self.slots[index] {
            field.shift = self.bits;
            self.bits += field.bits;
        }
    }

    fn too_large(&self, pruned: &Pruned<'_>, limit: u32) -> TooLarge {
        let variable = |(slot, variable): (&Slot, &Variable)| (variable.name.clone(), slot.bits());
        let counter =
            |(field, agent): (&Field, &crate::model::Agent)| (format!("{}'s place", agent.name), field.bits);
        let variables = self.slots.iter().zip(&pruned.model.variables).map(variable);
        let counters = self.counters.iter().zip(&pruned.model.agents).map(counter);
        let mut biggest: Vec<(String, u32)> = variables.chain(counters).collect();
        biggest.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        biggest.truncate(5);
        TooLarge::Bits { bits: self.bits, limit: limit - 1, biggest: Biggest(biggest) }
    }
}

impl Slot {
    /// The bits it takes.
    pub(super) fn mask<W: Word>(&self) -> W {
        match self {
            Self::Constant(_) => W::ZERO,
            Self::Coded(field, _) => field.mask(),
        }
    }

    pub(super) fn bits(&self) -> u32 {
        match self {
            Self::Constant(_) => 0,
            Self::Coded(field, _) => field.bits,
        }
    }
}

/// Bits that tell `count` things apart.
fn width(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// The encoding of each variable, not yet placed.
fn slots(pruned: &Pruned<'_>, needed: &Bits) -> Vec<Slot> {
    let number = |value: usize| super::tables::number(value);
    let slot = |(var, (own, variable)): (usize, (&Bits, &Variable))| match own.len() {
        0 => unreachable!("a variable can have at least the value that it has at the start"),
        count if count > 1 && needed.contains(var) => {
            Slot::Coded(Field { shift: 0, bits: width(count) }, own.iter().map(number).collect())
        }
        _ => Slot::Constant(variable.initial),
    };
    pruned.reach.values.iter().zip(&pruned.model.variables).enumerate().map(slot).collect()
}
