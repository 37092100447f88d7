//! The ways at a place, decided: the few fields that they read number the cases, and each case lists the choices.
//!
//! Ways that read the same few fields share a switch, so a state is not compared with every guard. A way that reads too
//! much for a table has a switch of its own, and is tested when its turn comes.
//!
//! Invariant: the choices of a case are exactly the ways that can be taken in the states of the case (those marked
//! tested: may be taken), and taking one does to a state what the way's entry does.

use super::tables::Entry;
use super::word::Word;

mod build;

/// Fields that a switch looks at, at most.
const PARTS: usize = 3;

/// The decided ways of all places.
#[derive(Clone, Debug)]
pub(super) struct Cases<W> {
    /// For each place, its switches.
    places: Box<[Box<[Switch<W>]>]>,
}

/// Fields that number the cases of some ways.
#[derive(Clone, Debug)]
pub(super) struct Switch<W> {
    parts: [Part; PARTS],
    /// By case, what can be done.
    choices: Box<[Box<[Choice<W>]>]>,
    /// By case, what that comes to: apart, for who takes choices does not look at it.
    outlooks: Box<[Outlook<W>]>,
}

/// A field as a part of the number of a case: the state is shifted so that the field lies where the part is.
#[derive(Clone, Copy, Default, Debug)]
struct Part {
    shift: u32,
    mask: u32,
}

/// What the choices of a case come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook<W> {
    pub(super) tally: Tally,
    /// The smallest sets of fields that decide them: while those of one set stay, the choices have the same effect.
    pub(super) deciding: [W; PARTS],
    /// Bits that some choice sets, and bits that some choice clears.
    pub(super) sets: W,
    pub(super) clears: W,
}

/// How many choices there are, and how many of each kind: 16 bits for each number, so that tallies are added by one
/// addition.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Tally(u64);

impl Tally {
    /// A choice.
    pub(super) const CHOICE: Self = Self(1);
    /// One that goes back in its program.
    pub(super) const BACK: Self = Self(1 << 16);
    /// One that breaks a property.
    pub(super) const VIOLATING: Self = Self(1 << 32);
    /// One that has to be tested.
    pub(super) const TESTED: Self = Self(1 << 48);

    /// Both together; a number that is too large only looks like one of the next kind.
    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// How many of this kind.
    #[inline]
    pub(super) fn of(self, kind: Self) -> u32 {
        (self.0 / kind.0).low() & 0xffff
    }

    /// It, or nothing.
    #[inline]
    pub(super) fn when(self, counts: bool) -> Self {
        if counts { self } else { Self::default() }
    }
}

/// A way with what it reads filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<W> {
    keep: W,
    set: W,
    /// What its agent may still read after it.
    pub(super) live: W,
    /// Its index among the ways.
    pub(super) way: u32,
    pub(super) kind: Kind,
}

/// How a choice is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// As it says.
    Plain,
    /// By its entry: it breaks a property, or its guard has to be looked at.
    Special,
}

impl<W: Word> Cases<W> {
    /// The switches of a place.
    #[inline]
    pub(super) fn at(&self, place: u32) -> &[Switch<W>] {
        &self.places[place as usize]
    }

    /// Hands out every choice at a place in a state.
    #[inline(always)]
    pub(super) fn for_each(&self, place: u32, state: W, mut made: impl FnMut(&Choice<W>)) {
        for switch in self.at(place) {
            switch.choices(state).iter().for_each(&mut made);
        }
    }
}

impl<W: Word> Switch<W> {
    /// What can be done in a state.
    #[inline]
    pub(super) fn choices(&self, state: W) -> &[Choice<W>] {
        &self.choices[self.case(state)]
    }

    /// What that comes to.
    #[inline]
    pub(super) fn outlook(&self, state: W) -> &Outlook<W> {
        &self.outlooks[self.case(state)]
    }

    /// The number of a state's case.
    #[inline]
    fn case(&self, state: W) -> usize {
        let part = |part: &Part| (state >> part.shift).low() & part.mask;
        let [one, two, three] = &self.parts;
        (part(one) | part(two) | part(three)) as usize
    }
}

impl<W: Word> Outlook<W> {
    /// No choices.
    pub(super) const NONE: Self =
        Self { tally: Tally(0), deciding: [W::ZERO; PARTS], sets: W::ZERO, clears: W::ZERO };

    /// The fields that decide it, as far as it depends on others that are `changing`: if one of the sets is steady,
    /// on none.
    #[inline]
    pub(super) fn reads(&self, changing: W) -> W {
        let unsteady = |fields: W| fields & changing != W::ZERO;
        let [one, two, three] = self.deciding;
        if unsteady(one) & unsteady(two) & unsteady(three) { one } else { W::ZERO }
    }
}

impl<W: Word> Choice<W> {
    /// The state after it, if it is plain.
    #[inline]
    pub(super) fn apply(&self, state: W) -> W {
        state & self.keep | self.set
    }

    fn of(entry: &Entry<W>, way: u32, live: W, partial: W) -> Self {
        let written = entry.writes();
        let kind = if entry.violates.is_some() { Kind::Special } else { Kind::Plain };
        Self { keep: !written, set: entry.apply(partial) & written, live, way, kind }
    }
}
