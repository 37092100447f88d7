//! The model as tables over packed states: what the search interprets.
//!
//! Invariant: an alternative's entry does to a packed state what the alternative does to the state it stands for.

use super::TooLarge;
use super::bits::Bits;
use super::condition::{Condition, Translation, code};
use super::layout::{Field, Layout, Slot};
use super::liveness;
use super::persistent::{self, Access, Dependence};
use super::properties::Properties;
use super::pruned::{Pruned, Way};
use super::symmetry;
use super::word::Word;
use crate::model::{Model, PropertyId, Symmetry, Update, Var};

/// A compiled model.
#[derive(Clone, Debug)]
pub(super) struct Tables<W> {
    pub(super) layout: Layout,
    pub(super) initial: W,
    /// For each agent, where its place is read, and the number of its first place.
    pub(super) counters: Vec<(Field, u32)>,
    /// For each place, its ways: a range of `ways`.
    pub(super) places: Vec<(u32, u32)>,
    pub(super) ways: Vec<Entry<W>>,
    /// For each place, the fields that its agent may still read.
    pub(super) live: Vec<W>,
    /// The fields that are never dropped.
    pub(super) kept: W,
    pub(super) dependence: Dependence<W>,
    pub(super) properties: Properties<W>,
}

/// An alternative.
#[derive(Clone, Debug)]
pub(super) struct Entry<W> {
    pub(super) guard: Condition<W>,
    clear: W,
    set: W,
    add: W,
    copies: Box<[FieldCopy]>,
    /// The place it leads to.
    pub(super) next: u32,
    pub(super) violates: Option<PropertyId>,
    /// Whether it goes back in its program.
    pub(super) back: bool,
    /// The fields that it reads and writes.
    pub(super) access: Access<W>,
    pub(super) origin: Origin,
}

/// Where an alternative stands in the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Origin {
    pub(super) agent: usize,
    pub(super) pc: usize,
    pub(super) alternative: usize,
}

#[derive(Clone, Debug)]
struct FieldCopy {
    from: Translation,
    to: Field,
}

impl<W: Word> Entry<W> {
    /// The state after it.
    #[inline]
    pub(super) fn apply(&self, state: W) -> W {
        let mut after = (state & !self.clear | self.set).plus(self.add);
        for copy in &self.copies {
            after = after | copy.to.put(copy.from.read(state).unwrap_or(0));
        }
        after
    }
}

impl<W: Word> Tables<W> {
    pub(super) fn of(model: &Model) -> Result<Self, TooLarge> {
        let pruned = Pruned::of(model);
        let symmetries: Vec<&Symmetry> = symmetry::that_hold(model);
        let layout = Layout::of(&pruned, &symmetries, W::BITS)?;
        let counters =
            layout.counters.iter().zip(&pruned.first).map(|(&field, &first)| (field, number(first)));
        let mut tables = Self {
            initial: W::occupied() | initial(&layout, model),
            counters: counters.collect(),
            places: Vec::new(),
            ways: Vec::new(),
            live: liveness::live(&pruned).iter().map(|live| layout.mask(live)).collect(),
            kept: W::occupied() | layout.mask(&liveness::observed(model)),
            dependence: Dependence::of(&pruned, &layout),
            properties: Properties::of(&pruned, &layout),
            layout,
        };
        tables.kept = tables.counters.iter().fold(tables.kept, |kept, (field, _)| kept | field.mask());
        tables.add_ways(&pruned);
        Ok(tables)
    }

    /// The ways at a place.
    #[inline]
    pub(super) fn ways_at(&self, place: u32) -> &[Entry<W>] {
        let (first, end) = self.places[place as usize];
        &self.ways[first as usize..end as usize]
    }

    fn add_ways(&mut self, pruned: &Pruned<'_>) {
        let backward = persistent::backward(pruned);
        for (place, backward) in pruned.places.iter().zip(&backward) {
            let first = number(self.ways.len());
            for (way, &back) in place.ways.iter().zip(backward) {
                let origin = Origin { agent: place.agent, pc: place.pc, alternative: way.index };
                self.ways.extend(self.entry(way, back, origin));
            }
            self.places.push((first, number(self.ways.len())));
        }
    }

    /// None if the way can never be taken.
    fn entry(&self, way: &Way<'_>, back: bool, origin: Origin) -> Option<Entry<W>> {
        let guards = way.alternative.guard.iter().copied();
        let bounds = way.alternative.updates.iter().filter_map(|update| self.layout.bound(update));
        let guards: Vec<_> = guards.chain(bounds).collect();
        let (field, first) = self.counters[origin.agent];
        let next = number(way.next);
        let mut entry = Entry {
            guard: Condition::of(&self.layout, &guards)?,
            clear: field.mask(),
            set: field.put(next - first),
            add: W::ZERO,
            copies: Box::default(),
            next,
            violates: way.alternative.violates,
            back,
            access: Access::of_way(way, &self.layout),
            origin,
        };
        let mut copies = Vec::new();
        for update in &way.alternative.updates {
            entry.update(&self.layout, update, &mut copies);
        }
        entry.copies = copies.into();
        Some(entry)
    }
}

impl<W: Word> Entry<W> {
    fn update(&mut self, layout: &Layout, update: &Update, copies: &mut Vec<FieldCopy>) {
        let Slot::Coded(field, codes) = layout.slot(update.written()) else { return };
        match *update {
            Update::Set(_, value) => self.assign(*field, codes, value),
            Update::Copy { from, .. } => match layout.slot(from) {
                Slot::Constant(value) => self.assign(*field, codes, *value),
                Slot::Coded(from, others) => {
                    self.clear = self.clear | field.mask();
                    copies.push(FieldCopy { from: Translation::of(*from, others, codes), to: *field });
                }
            },
            Update::Increment(_) => self.add = self.add.plus(field.put(1)),
            Update::Decrement(_) => self.add = self.add.plus(field.mask::<W>() | high(*field)),
        }
    }

    fn assign(&mut self, field: Field, codes: &[u32], value: u32) {
        self.clear = self.clear | field.mask();
        self.set = self.set | field.put(code(codes, value).unwrap_or(0));
    }
}

/// All bits above the field: with the field's own mask, minus one in the field.
fn high<W: Word>(field: Field) -> W {
    !(field.mask::<W>() | (W::ONE << field.shift).plus(!W::ZERO))
}

impl Layout {
    fn slot(&self, var: Var) -> &Slot {
        &self.slots[usize::from(var.0)]
    }

    /// The fields of the variables.
    pub(super) fn mask<W: Word>(&self, vars: &Bits) -> W {
        vars.iter().fold(W::ZERO, |mask, var| mask | self.slots[var].mask())
    }
}

fn initial<W: Word>(layout: &Layout, model: &Model) -> W {
    let fields = layout.slots.iter().zip(&model.variables);
    fields.fold(W::ZERO, |state, (slot, variable)| match slot {
        Slot::Constant(_) => state,
        Slot::Coded(field, codes) => state | field.put(code(codes, variable.initial).unwrap_or(0)),
    })
}

/// A table's index: validated models are far smaller than 2^32.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
