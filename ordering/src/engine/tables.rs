//! The model as tables over packed states: what the search interprets.
//!
//! Invariant: an alternative's entry does to a packed state what the alternative does to the state it stands for.

use std::sync::Arc;

use super::bits::Bits;
use super::cases::{Cases, Tally};
use super::condition::{Condition, Translation, code};
use super::cycles;
use super::layout::{Field, Layout, Slot};
use super::liveness;
use super::options::Stop;
use super::persistent::Dependence;
use super::properties::Properties;
use super::pruned::{Pruned, Way};
use super::reach::Reach;
use super::symmetry::{self, Alike};
use super::too_large::TooLarge;
use super::word::Word;
use crate::model::{Guard, Model, PropertyId, Symmetry, Update, Var};

/// A compiled model.
#[derive(Clone, Debug)]
pub(super) struct Tables<W> {
    pub(super) layout: Layout,
    /// The declared symmetries that hold.
    pub(super) symmetries: Vec<Symmetry>,
    pub(super) initial: W,
    pub(super) counters: Vec<Counter>,
    pub(super) ways: Vec<Entry<W>>,
    pub(super) cases: Arc<Cases<W>>,
    /// For each place, the fields that its agent may still read.
    pub(super) live: Vec<W>,
    /// The fields that are never dropped.
    pub(super) kept: W,
    pub(super) dependence: Dependence<W>,
    /// Who is interchangeable.
    pub(super) alike: Vec<Alike<W>>,
    pub(super) properties: Properties<W>,
}

/// Where an agent's place is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    field: Field,
    low_mask: u32,
    /// The number of its first place.
    first: u32,
}

/// An alternative.
#[derive(Clone, Debug)]
pub(super) struct Entry<W> {
    pub(super) guard: Condition<W>,
    clear: W,
    set: W,
    add: W,
    /// The fields that it increments or decrements.
    counted: W,
    copies: Box<[FieldCopy]>,
    /// The place it leads to.
    pub(super) next: u32,
    pub(super) violates: Option<PropertyId>,
    /// Whether it goes back in its program.
    pub(super) back: bool,
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

impl Counter {
    fn of(field: Field, first: usize) -> Self {
        Self { field, low_mask: field.low_mask::<u64>().low(), first: number(first) }
    }

    /// The bits of its field.
    pub(super) fn mask<W: Word>(&self) -> W {
        self.field.mask()
    }

    /// The agent's place in a state.
    #[inline]
    pub(super) fn place<W: Word>(&self, state: W) -> u32 {
        self.first + ((state >> self.field.shift).low() & self.low_mask)
    }
}

impl<W: Word> Entry<W> {
    /// The state after it.
    #[inline]
    pub(super) fn apply(&self, state: W) -> W {
        let mut after = (state & !self.clear | self.set).plus(self.add);
        for copy in &self.copies {
            // Contents that no state has at this place may be without a code; what they become is never looked at.
            after = after | copy.to.put(copy.from.read(state).map_or(0, |code| code));
        }
        after
    }

    /// The fields that it reads, with those that it counts in.
    pub(super) fn reads(&self) -> W {
        let reads = self.guard.fields() | self.counted;
        self.copies.iter().fold(reads, |reads, copy| reads | copy.from.mask())
    }

    /// The fields that it writes, its agent's place included.
    pub(super) fn writes(&self) -> W {
        self.clear | self.counted
    }

    /// What it counts as.
    pub(super) fn tally(&self) -> Tally {
        let (back, violating) = (Tally::BACK.when(self.back), Tally::VIOLATING.when(self.violates.is_some()));
        Tally::CHOICE.and(back).and(violating)
    }

    /// Bits that it may set, and bits that it may clear.
    pub(super) fn changes(&self) -> (W, W) {
        let unknown = self.copies.iter().fold(self.counted, |unknown, copy| unknown | copy.to.mask());
        (self.set | unknown, self.clear & !self.set | unknown)
    }
}

impl<W: Word> Tables<W> {
    pub(super) fn of(model: &Model, pruned: &Pruned<'_>, stop: Option<&Stop>) -> Result<Self, TooLarge> {
        let symmetries: Vec<&Symmetry> = symmetry::that_hold(model);
        let needed = liveness::needed(model);
        let layout = Layout::of(pruned, &needed, &symmetries, W::BITS)?;
        let fields = layout.counters.iter().zip(&pruned.first);
        let counters: Vec<Counter> = fields.map(|(&field, &first)| Counter::of(field, first)).collect();
        let (ways, places) = ways(pruned, &layout, &counters);
        let live: Vec<W> = liveness::live(pruned, &needed).iter().map(|live| layout.mask(live)).collect();
        let kept = W::occupied() | layout.mask(&liveness::observed(model));
        let dependence = Dependence::of(pruned, &layout, &ways, &places);
        let alike = symmetries.iter().zip(&layout.blocks).map(|(one, blocks)| Alike::of(one, blocks));
        Ok(Self {
            alike: alike.collect(),
            initial: W::occupied() | initial(&layout, model),
            cases: Arc::new(Cases::of(&layout, &ways, &places, &live, &dependence.written(pruned), stop)?),
            ways,
            live,
            kept: counters.iter().fold(kept, |kept, counter| kept | counter.field.mask()),
            dependence,
            properties: Properties::of(pruned, &layout),
            counters,
            layout,
            symmetries: symmetries.into_iter().cloned().collect(),
        })
    }
}

/// The ways of all places, and for each place its range.
fn ways<W: Word>(
    pruned: &Pruned<'_>,
    layout: &Layout,
    counters: &[Counter],
) -> (Vec<Entry<W>>, Vec<(u32, u32)>) {
    let (mut ways, mut places) = (Vec::new(), Vec::new());
    let backward = cycles::backward(pruned);
    for (place, backward) in pruned.places.iter().zip(&backward) {
        let first = number(ways.len());
        for (way, &back) in place.ways.iter().zip(backward) {
            let origin = Origin { agent: place.agent, pc: place.pc, alternative: way.index };
            ways.extend(Entry::of(layout, &pruned.reach, counters[origin.agent], way, back, origin));
        }
        places.push((first, number(ways.len())));
    }
    (ways, places)
}

impl<W: Word> Entry<W> {
    /// None if the way can never be taken.
    fn of(
        layout: &Layout,
        reach: &Reach,
        Counter { field, first, .. }: Counter,
        way: &Way<'_>,
        back: bool,
        origin: Origin,
    ) -> Option<Self> {
        let guards = way.alternative.guard.iter().copied();
        let bounds = way.alternative.updates.iter().filter_map(|update| layout.bound(update));
        let certain = |guard: &Guard| reach.certain(origin.agent, origin.pc, guard);
        let guards: Vec<_> = guards.chain(bounds).filter(|guard| !certain(guard)).collect();
        let next = number(way.next);
        let mut entry = Self {
            guard: Condition::of(layout, &guards)?,
            clear: field.mask(),
            set: field.put(next - first),
            add: W::ZERO,
            counted: W::ZERO,
            copies: Box::default(),
            next,
            violates: way.alternative.violates,
            back,
            origin,
        };
        let mut copies = Vec::new();
        for update in &way.alternative.updates {
            entry.update(layout, update, &mut copies);
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
            Update::Increment(_) => self.count(*field, field.put(1)),
            Update::Decrement(_) => self.count(*field, field.mask::<W>() | high(*field)),
        }
    }

    fn count(&mut self, field: Field, by: W) {
        self.add = self.add.plus(by);
        self.counted = self.counted | field.mask();
    }

    fn assign(&mut self, field: Field, codes: &[u32], value: u32) {
        self.clear = self.clear | field.mask();
        self.set =
            self.set | field.put(code(codes, value).expect("what a way writes is a value of its variable"));
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
        Slot::Coded(field, codes) => {
            state | field.put(code(codes, variable.initial).expect("a variable has its value at the start"))
        }
    })
}

/// A table's index.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a table of a model that was validated has fewer than 2^32 rows")
}
