//! Groups the ways of a place into switches and fills in the cases.

use super::super::layout::{Field, Layout, Slot};
use super::super::options::Stop;
use super::super::tables::{Entry, number};
use super::super::too_large::TooLarge;
use super::super::word::Word;
use super::{Case, Cases, Choice, Kind, Outlook, PARTS, Part, Switch, Tally};
use crate::model::PropertyId;

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
        let mut cases =
            Self { places: Vec::new(), switches: Vec::new(), cases: Vec::new(), choices: Vec::new() };
        let mut budget = BUDGET;
        for &(begin, end) in places {
            TooLarge::unless_stopped(stop)?;
            let first = number(cases.switches.len());
            for group in groups(&fields, ways, begin..end) {
                cases.add(&group, live, written, &mut budget);
            }
            cases.places.push((first, number(cases.switches.len())));
        }
        Ok(cases)
    }

    fn add(&mut self, group: &Group<'_, W>, live: &[W], written: &[W], budget: &mut usize) {
        if !group.fits(budget) {
            group.ways.iter().for_each(|way| self.add_tested(way, live));
            return;
        }
        let parts = group.parts();
        self.switches.push(Switch { parts, first: number(self.cases.len()) });
        let contents: Vec<Option<W>> =
            (0..1 << group.bits()).map(|case| group.contents(&parts, case)).collect();
        let effects: Vec<Option<Vec<Effect<W>>>> =
            contents.iter().map(|&partial| Some(group.effects(partial?))).collect();
        let deciding = group.deciding(&parts, &effects, written);
        for (&partial, deciding) in contents.iter().zip(deciding) {
            let taken: Vec<_> = partial.map_or_else(Vec::new, |partial| group.taken(partial).collect());
            self.add_case(&taken, deciding, |&(way, entry)| {
                Choice::of(entry, way, live[entry.next as usize], partial.unwrap_or(W::ZERO))
            });
        }
    }

    /// A way that has a switch to itself, and is tested.
    fn add_tested(&mut self, way: &(u32, &Entry<W>), live: &[W]) {
        self.switches.push(Switch { first: number(self.cases.len()), ..Switch::default() });
        self.add_case(&[way], [W::ZERO; PARTS], |&(way, entry)| Choice {
            kind: Kind::Special,
            ..Choice::of(entry, way, live[entry.next as usize], W::ZERO)
        });
        if let Some(case) = self.cases.last_mut() {
            case.outlook.tally = Tally::TESTED;
        }
    }

    fn add_case<'e>(
        &mut self,
        taken: &[&(u32, &'e Entry<W>)],
        deciding: [W; PARTS],
        choice: impl Fn(&(u32, &'e Entry<W>)) -> Choice<W>,
    ) {
        let first = number(self.choices.len());
        self.choices.extend(taken.iter().map(|way| choice(way)));
        let choices = &self.choices[first as usize..];
        let count = number(choices.len());
        let outlook = Outlook {
            tally: taken.iter().fold(Tally::default(), |tally, (_, entry)| tally.and(entry.tally())),
            deciding,
            sets: choices.iter().fold(W::ZERO, |sets, choice| sets | choice.set),
            clears: choices.iter().fold(W::ZERO, |clears, choice| clears | !(choice.keep | choice.set)),
        };
        self.cases.push(Case { first, end: first + count, outlook });
    }
}

/// What a way does to the states of a case.
type Effect<W> = (W, W, Option<PropertyId>);

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
        let alike = fields.iter().any(|known| self.fields.contains(known)) || fields.is_empty();
        let mut joined = Group::<W> { fields: self.fields.clone(), ways: Vec::new() };
        joined.extend(fields);
        alike && joined.fields.len() <= PARTS && joined.bits() <= BITS
            || fields.len() == self.fields.len() && fields == self.fields
    }

    fn join(&mut self, fields: &[Known], way: u32, entry: &'e Entry<W>) {
        self.extend(fields);
        self.ways.push((way, entry));
    }

    fn extend(&mut self, fields: &[Known]) {
        let new: Vec<Known> = fields.iter().filter(|known| !self.fields.contains(known)).copied().collect();
        self.fields.extend(new);
        self.fields.sort_by_key(|known| known.field.shift);
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

    fn taken(&self, partial: W) -> impl Iterator<Item = &(u32, &'e Entry<W>)> {
        self.ways.iter().filter(move |(_, entry)| entry.guard.holds(partial))
    }

    fn effects(&self, partial: W) -> Vec<Effect<W>> {
        let effect = |&(way, entry): &(u32, &Entry<W>)| {
            let choice = Choice::of(entry, way, W::ZERO, partial);
            (choice.keep, choice.set, entry.violates)
        };
        self.taken(partial).map(effect).collect()
    }

    /// For each case the smallest sets of fields that decide it, those first that few agents write.
    ///
    /// A set decides a case if every case that agrees there has the same effects.
    fn deciding(
        &self,
        parts: &[Part; PARTS],
        effects: &[Option<Vec<Effect<W>>>],
        written: &[W],
    ) -> Vec<[W; PARTS]> {
        let uniform: Vec<Vec<bool>> =
            (0..1 << self.fields.len()).map(|set| uniform(agreed(parts, set), effects)).collect();
        let fields = |set: &u32| {
            let chosen = self.fields.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
            chosen.fold(W::ZERO, |mask, (_, known)| mask | known.field.mask())
        };
        let writers = |fields: &W| written.iter().filter(|writes| **writes & *fields != W::ZERO).count();
        let decided = |case: usize| {
            let decides = |set: &u32| uniform[*set as usize][case & agreed(parts, *set)];
            let sets: Vec<u32> = (0..1 << self.fields.len()).filter(decides).collect();
            let smallest = |set: &&u32| !sets.iter().any(|other| other != *set && other & *set == *other);
            let mut fields: Vec<W> = sets.iter().filter(smallest).map(fields).collect();
            fields.sort_by_key(writers);
            let mut deciding = [*fields.first().expect("all fields together decide every case"); PARTS];
            deciding.iter_mut().zip(fields).for_each(|(slot, fields)| *slot = fields);
            deciding
        };
        (0..effects.len()).map(decided).collect()
    }
}

/// The bits of a case's number that say what these parts are.
fn agreed(parts: &[Part; PARTS], set: u32) -> usize {
    let chosen = parts.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1);
    chosen.map(|(_, part)| part.mask as usize).sum()
}

/// For each number under the mask, whether the cases that have it have the same effects.
fn uniform<W: Word>(mask: usize, effects: &[Option<Vec<Effect<W>>>]) -> Vec<bool> {
    let mut first: Vec<Option<&Vec<Effect<W>>>> = vec![None; effects.len()];
    let mut uniform = vec![true; effects.len()];
    for (case, effects) in effects.iter().enumerate() {
        let Some(effects) = effects else { continue };
        let known = *first[case & mask].get_or_insert(effects);
        uniform[case & mask] &= known == effects;
    }
    uniform
}
