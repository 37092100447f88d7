//! A conjunction of guards over a packed state: one comparison under a mask, and the few that do not fit into it.
//!
//! Invariant: it holds in a packed state exactly when the guards hold in the state that it stands for.

use super::layout::{Field, Layout, Slot};
use super::word::Word;
use crate::model::{Guard, Var};

/// A conjunction.
#[derive(Clone, Debug)]
pub(super) struct Condition<W> {
    mask: W,
    value: W,
    /// One inequality, because most guards have at most one; without one it always holds.
    not_mask: W,
    not_value: W,
    others: Box<[Comparison]>,
    /// Every field that it reads.
    fields: W,
}

/// What is not an equation with a constant.
#[derive(Clone, Debug)]
enum Comparison {
    Not(Field, u32),
    Below(Field, u32),
    Same(Translation, Field),
    Differ(Translation, Field),
}

/// A field in the code of another variable.
#[derive(Clone, Debug)]
pub(super) struct Translation {
    from: Field,
    /// By the field's code, the other variable's code; none if that never holds the value. Empty: the codes are equal.
    codes: Box<[Option<u32>]>,
}

impl Translation {
    pub(super) fn of(from: Field, codes: &[u32], other: &[u32]) -> Self {
        let translated = codes.iter().map(|&value| code(other, value));
        Self { from, codes: if codes == other { Box::default() } else { translated.collect() } }
    }

    pub(super) fn mask<W: Word>(&self) -> W {
        self.from.mask()
    }

    #[inline]
    pub(super) fn read<W: Word>(&self, state: W) -> Option<u32> {
        let code = self.from.read(state);
        if self.codes.is_empty() { Some(code) } else { self.codes.get(code as usize).copied().flatten() }
    }
}

impl Field {
    #[inline]
    pub(super) fn mask<W: Word>(self) -> W {
        self.low_mask::<W>() << self.shift
    }

    #[inline]
    pub(super) fn low_mask<W: Word>(self) -> W {
        (W::ONE << self.bits).plus(!W::ZERO)
    }

    /// Its content.
    #[inline]
    pub(super) fn read<W: Word>(self, state: W) -> u32 {
        (state >> self.shift & self.low_mask()).low()
    }

    pub(super) fn put<W: Word>(self, code: u32) -> W {
        W::of(code) << self.shift
    }
}

impl<W: Word> Condition<W> {
    /// The conjunction of `guards`; none if it can never hold.
    pub(super) fn of<'g>(layout: &Layout, guards: impl IntoIterator<Item = &'g Guard>) -> Option<Self> {
        let mut condition = Self::all([]);
        let mut others = Vec::new();
        for guard in guards {
            condition.add(layout, guard, &mut others)?;
        }
        condition.others = others.into();
        Some(condition)
    }

    /// That the fields have these codes; the fields must not overlap.
    pub(super) fn all(fields: impl IntoIterator<Item = (Field, u32)>) -> Self {
        let mut all = Self {
            mask: W::ZERO,
            value: W::ZERO,
            not_mask: W::ZERO,
            not_value: W::ONE,
            others: Box::default(),
            fields: W::ZERO,
        };
        for (field, code) in fields {
            all.mask = all.mask | field.mask();
            all.value = all.value | field.put(code);
        }
        all.fields = all.mask;
        all
    }

    /// Whether it holds.
    #[inline(always)]
    pub(super) fn holds(&self, state: W) -> bool {
        state & self.mask == self.value
            && state & self.not_mask != self.not_value
            && (self.others.is_empty() || self.others_hold(state))
    }

    /// Every field that it reads.
    pub(super) fn fields(&self) -> W {
        self.fields
    }

    /// Where it does not hold: bits of fields without whose change it will not hold.
    #[inline]
    pub(super) fn hindrance(&self, state: W) -> W {
        let wrong = (state ^ self.value) & self.mask;
        if wrong != W::ZERO {
            wrong & (!wrong).plus(W::ONE)
        } else if state & self.not_mask == self.not_value {
            self.not_mask
        } else {
            self.fields
        }
    }

    #[cold]
    fn others_hold(&self, state: W) -> bool {
        self.others.iter().all(|comparison| comparison.holds(state))
    }
}

impl Comparison {
    fn holds<W: Word>(&self, state: W) -> bool {
        match self {
            Self::Not(field, code) => field.read(state) != *code,
            Self::Below(field, bound) => field.read(state) < *bound,
            Self::Same(one, other) => one.read(state) == Some(other.read(state)),
            Self::Differ(one, other) => one.read(state) != Some(other.read(state)),
        }
    }
}

/// `Some` if the conjunction can still hold.
type Possible = Option<()>;

fn when(holds: bool) -> Possible {
    holds.then_some(())
}

impl<W: Word> Condition<W> {
    fn add(&mut self, layout: &Layout, guard: &Guard, others: &mut Vec<Comparison>) -> Possible {
        let slot = |var: Var| &layout.slots[usize::from(var.0)];
        for var in guard.reads().into_iter().flatten() {
            self.fields = self.fields | slot(var).mask();
        }
        match *guard {
            Guard::Is(var, value) => self.is(slot(var), value),
            Guard::IsNot(var, value) => self.is_not(slot(var), value, others),
            Guard::Below(var, bound) => self.below(slot(var), bound, others),
            Guard::Same(one, other) => match (slot(one), slot(other)) {
                (Slot::Coded(one, codes), Slot::Coded(field, known)) => {
                    push(others, Comparison::Same(Translation::of(*one, codes, known), *field))
                }
                (Slot::Constant(value), slot) | (slot, Slot::Constant(value)) => self.is(slot, *value),
            },
            Guard::Differ(one, other) => match (slot(one), slot(other)) {
                (Slot::Coded(one, codes), Slot::Coded(field, known)) => {
                    push(others, Comparison::Differ(Translation::of(*one, codes, known), *field))
                }
                (Slot::Constant(value), slot) | (slot, Slot::Constant(value)) => {
                    self.is_not(slot, *value, others)
                }
            },
        }
    }

    fn is(&mut self, slot: &Slot, value: u32) -> Possible {
        match slot {
            Slot::Constant(held) => when(*held == value),
            Slot::Coded(field, codes) => self.is_code(*field, code(codes, value)?),
        }
    }

    fn is_code(&mut self, field: Field, code: u32) -> Possible {
        let agreed = self.mask & field.mask() == W::ZERO || self.value & field.mask() == field.put(code);
        self.mask = self.mask | field.mask();
        self.value = self.value | field.put(code);
        when(agreed)
    }

    fn is_not(&mut self, slot: &Slot, value: u32, others: &mut Vec<Comparison>) -> Possible {
        match slot {
            Slot::Constant(held) => when(*held != value),
            Slot::Coded(field, codes) => match code(codes, value) {
                Some(code) if codes.len() == 2 => self.is_code(*field, 1 - code),
                Some(code) => self.is_not_code(*field, code, others),
                None => Some(()),
            },
        }
    }

    fn is_not_code(&mut self, field: Field, code: u32, others: &mut Vec<Comparison>) -> Possible {
        if self.not_mask != W::ZERO {
            return push(others, Comparison::Not(field, code));
        }
        (self.not_mask, self.not_value) = (field.mask(), field.put(code));
        Some(())
    }

    fn below(&mut self, slot: &Slot, bound: u32, others: &mut Vec<Comparison>) -> Possible {
        match slot {
            Slot::Constant(held) => when(*held < bound),
            Slot::Coded(field, codes) => {
                let below = codes.partition_point(|&value| value < bound);
                match super::tables::number(below) {
                    0 => None,
                    1 => self.is_code(*field, 0),
                    _ if below == codes.len() => Some(()),
                    below => push(others, Comparison::Below(*field, below)),
                }
            }
        }
    }
}

fn push(others: &mut Vec<Comparison>, comparison: Comparison) -> Possible {
    others.push(comparison);
    Some(())
}

/// The code of a value, if the variable ever holds it.
pub(super) fn code(codes: &[u32], value: u32) -> Option<u32> {
    let index = codes.binary_search(&value).ok()?;
    u32::try_from(index).ok()
}
