//! Groups the ways of a place into switches and fills in the cases.

use super::super::layout::{Field, Layout, Slot};
use super::super::options::Stop;
use super::super::tables::{Entry, number};
use super::super::too_large::TooLarge;
use super::super::word::Word;
use super::{Cases, Choice, Kind, Outlook, PARTS, Part, Switch, Tally};

/// Bits of a switch's fields together, at most, where different ways read different ones of them.
const BITS: u32 = 6;
/// The same where the ways all read the same fields, and are many.
const MOST_BITS: u32 = 10;
/// Cases for each way, at most, where they are many.
const CASES_FOR_A_WAY: usize = 16;
/// Guards that are looked at to fill in the large switches, at most: ways that are left over are tested.
const BUDGET: usize = 1 << 24;

/// Some ways of a place, and the fields that they read.
struct Group<'e, W> {
    fields: Vec<Known>,
    ways: Vec<(u32, &'e Entry<W>)>,
}

/// A field and how many codes it has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    field: Field,
    codes: u32,
}

impl<W: Word> Cases<W> {
    /// The cases of all places; `live` is, for each place, what its agent may still read, and `written`, for each agent,
    /// what it ever writes: a case had better depend on fields that few write.
    pub(in super::super) fn of(
        layout: &Layout,
        ways: &[Entry<W>],
        places: &[(u32, u32)],
        live: &[W],
        written: &[W],
        stop: Option<&Stop>,
    ) -> Result<Self, TooLarge> {
        let mut fields: Vec<Known> = layout.slots.iter().filter_map(Known::of).collect();
        fields.sort_by_key(|known| known.field.shift);
        let mut budget = BUDGET;
        let mut decided = Vec::with_capacity(places.len());
        for &(begin, end) in places {
            TooLarge::unless_stopped(stop)?;
            let mut switches = Vec::new();
            for group in groups(&fields, ways, begin..end) {
                if group.fits(&mut budget) {
                    switches.push(group.switch(ways, live, written));
                } else {
                    switches.extend(group.ways.iter().map(|way| tested(way, live)));
                }
            }
            decided.push(switches.into());
        }
        Ok(Self { places: decided.into() })
    }
}

/// The switch of a way that has it to itself, and is tested.
fn tested<W: Word>(&(way, entry): &(u32, &Entry<W>), live: &[W]) -> Switch<W> {
    let choice = Choice { kind: Kind::Special, ..Choice::of(entry, way, live[entry.next as usize], W::ZERO) };
    let outlook = Outlook { tally: Tally::TESTED, ..Outlook::of(&[choice], [W::ZERO; PARTS], |_| Tally(0)) };
    Switch {
        parts: [Part::default(); PARTS],
        choices: [Box::from([choice])].into(),
        outlooks: [outlook].into(),
    }
}

impl<W: Word> Outlook<W> {
    fn of(choices: &[Choice<W>], deciding: [W; PARTS], tally: impl Fn(&Choice<W>) -> Tally) -> Self {
        Self {
            tally: choices.iter().fold(Tally::default(), |sum, choice| sum.and(tally(choice))),
            deciding,
            sets: choices.iter().fold(W::ZERO, |sets, choice| sets | choice.set),
            clears: choices.iter().fold(W::ZERO, |clears, choice| clears | !(choice.keep | choice.set)),
        }
    }
}

/// Each way joins the first group that reads some of its fields and has room for the others.
fn groups<'e, W: Word>(
    fields: &[Known],
    ways: &'e [Entry<W>],
    range: std::ops::Range<u32>,
) -> Vec<Group<'e, W>> {
    let mut groups: Vec<Group<'e, W>> = Vec::new();
    for way in range {
        let entry = &ways[way as usize];
        let reads = |known: &&Known| entry.reads() & known.field.mask() != W::ZERO;
        let fields: Vec<Known> = fields.iter().filter(reads).copied().collect();
        match groups.iter_mut().find(|group| group.has_room_for(&fields)) {
            Some(group) => group.join(&fields, way, entry),
            None => groups.push(Group { fields, ways: vec![(way, entry)] }),
        }
    }
    groups
}

impl Known {
    fn of(slot: &Slot) -> Option<Self> {
        match slot {
            Slot::Constant(_) => None,
            Slot::Coded(field, codes) => Some(Self { field: *field, codes: number(codes.len()) }),
        }
    }
}

impl<'e, W: Word> Group<'e, W> {
    fn bits(&self) -> u32 {
        self.fields.iter().map(|known| known.field.bits).sum()
    }

    fn fits(&self, budget: &mut usize) -> bool {
        if self.fields.len() > PARTS || self.bits() > MOST_BITS {
            return false;
        }
        let cases = 1_usize << self.bits();
        if self.bits() <= BITS {
            return true;
        }
        let work = cases * self.ways.len();
        let pays = cases <= CASES_FOR_A_WAY * self.ways.len() && work <= *budget;
        *budget -= if pays { work } else { 0 };
        pays
    }

    fn has_room_for(&self, fields: &[Known]) -> bool {
        let new = || fields.iter().filter(|known| !self.fields.contains(known));
        let count = new().count();
        let is_alike = count < fields.len() || fields.is_empty();
        let fits = || self.bits() + new().map(|known| known.field.bits).sum::<u32>() <= BITS;
        is_alike && self.fields.len() + count <= PARTS && fits() || fields == self.fields
    }

    fn join(&mut self, fields: &[Known], way: u32, entry: &'e Entry<W>) {
        for known in fields {
            if !self.fields.contains(known) {
                self.fields.push(*known);
            }
        }
        self.fields.sort_by_key(|known| known.field.shift);
        self.ways.push((way, entry));
    }

    /// The fields lie in a number in the order of the word, so each moves down.
    fn parts(&self) -> [Part; PARTS] {
        let mut parts = [Part::default(); PARTS];
        let mut to = 0;
        for (part, Known { field, .. }) in parts.iter_mut().zip(&self.fields) {
            *part = Part { shift: field.shift - to, mask: ((1 << field.bits) - 1) << to };
            to += field.bits;
        }
        parts
    }

    /// The fields as they are in a case; none if no state is like that.
    fn contents(&self, parts: &[Part; PARTS], case: u32) -> Option<W> {
        self.fields.iter().zip(parts).try_fold(W::ZERO, |contents, (known, part)| {
            let code = (case & part.mask) >> part.mask.trailing_zeros();
            (code < known.codes).then(|| contents | known.field.put(code))
        })
    }

    /// Each case with its choices.
    fn switch(&self, all: &[Entry<W>], live: &[W], written: &[W]) -> Switch<W> {
        let parts = self.parts();
        let choices = |case| {
            let partial = self.contents(&parts, case)?;
            let taken = self.ways.iter().filter(|(_, entry)| entry.guard.holds(partial));
            let choice =
                |&(way, entry): &(u32, &Entry<W>)| Choice::of(entry, way, live[entry.next as usize], partial);
            Some(taken.map(choice).collect())
        };
        let choices: Vec<Option<Box<[Choice<W>]>>> = (0..1 << self.bits()).map(choices).collect();
        let deciding = self.deciding(&parts, &choices, all, written);
        let choices: Box<[Box<[Choice<W>]>]> =
            choices.into_iter().map(|choices| choices.unwrap_or_else(Box::default)).collect();
        let tally = |choice: &Choice<W>| all[choice.way as usize].tally();
        let outlooks = choices.iter().zip(deciding);
        let outlooks = outlooks.map(|(choices, deciding)| Outlook::of(choices, deciding, tally)).collect();
        Switch { parts, choices, outlooks }
    }

    /// For each case the smallest sets of fields that decide it, those first that few agents write.
    ///
    /// A set decides a case if every case that agrees there has the same effects.
    fn deciding(
        &self,
        parts: &[Part; PARTS],
        choices: &[Option<Box<[Choice<W>]>>],
        all: &[Entry<W>],
        written: &[W],
    ) -> Vec<[W; PARTS]> {
        let effect = |choice: &Choice<W>| (choice.keep, choice.set, all[choice.way as usize].violates);
        let alike =
            |one: &[Choice<W>], other: &[Choice<W>]| one.iter().map(effect).eq(other.iter().map(effect));
        let mut deciders = vec![Deciders(0); choices.len()];
        for set in 0..1 << self.fields.len() {
            let mask = agreed(parts, set);
            let uniform = uniform(mask, choices, alike);
            for (case, deciders) in deciders.iter_mut().enumerate() {
                *deciders = Deciders(deciders.0 | u8::from(uniform[case & mask]) << set);
            }
        }
        // Few of the sets of sets occur.
        let mut known: Vec<(Deciders, [W; PARTS])> = Vec::new();
        let mut decided = |deciders: Deciders| match known.iter().find(|(known, _)| *known == deciders) {
            Some((_, deciding)) => *deciding,
            None => {
                let deciding = self.smallest(deciders, written);
                known.push((deciders, deciding));
                deciding
            }
        };
        deciders.into_iter().map(&mut decided).collect()
    }

    /// The smallest of the sets, in the order of how many agents write their fields.
    fn smallest(&self, deciders: Deciders, written: &[W]) -> [W; PARTS] {
        let fields = |set: u32| {
            let chosen = self.fields.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
            chosen.fold(W::ZERO, |mask, (_, known)| mask | known.field.mask())
        };
        let writers = |fields: &W| written.iter().filter(|writes| **writes & *fields != W::ZERO).count();
        let sets = || (0..u8::BITS).filter(|set| deciders.0 >> set & 1 == 1);
        let smallest = |set: &u32| !sets().any(|other| other != *set && other & *set == other);
        let mut fields: Vec<W> = sets().filter(smallest).map(fields).collect();
        fields.sort_by_key(writers);
        let mut deciding = [*fields.first().expect("all fields together decide every case"); PARTS];
        deciding.iter_mut().zip(fields).for_each(|(slot, fields)| *slot = fields);
        deciding
    }
}

/// Sets of a group's fields, one bit each: there are 2^[`PARTS`] sets.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Deciders(u8);

/// The bits of a case's number that say what these parts are.
fn agreed(parts: &[Part; PARTS], set: u32) -> usize {
    let chosen = parts.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
    chosen.map(|(_, part)| part.mask as usize).sum()
}

/// For each number under the mask, whether the cases that have it have the same effects.
fn uniform<W: Word>(
    mask: usize,
    choices: &[Option<Box<[Choice<W>]>>],
    alike: impl Fn(&[Choice<W>], &[Choice<W>]) -> bool,
) -> Vec<bool> {
    let mut first: Vec<Option<&[Choice<W>]>> = vec![None; choices.len()];
    let mut uniform = vec![true; choices.len()];
    for (case, choices) in choices.iter().enumerate() {
        let Some(choices) = choices else { continue };
        let known = *first[case & mask].get_or_insert(choices);
        uniform[case & mask] &= alike(known, choices);
    }
    uniform
}
