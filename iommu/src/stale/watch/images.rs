//! Entries of several words, as the unit read them last: how changes in place are seen.
//!
//! Invariant: an image is compared only with what lies at its place while the entries above still lead there; an entry
//! that is found absent is forgotten, for from there on software may write it as it likes. What is kept is bounded.

use std::collections::{HashMap, VecDeque};

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;
use pcie::Requester;

use crate::spec::descriptor::{ContextScope, Descriptor, PasidScope};
use crate::spec::id::DomainId;
use crate::spec::pasid_entry::PasidEntry;
use crate::stale::in_place::{Changed, ChangedInPlace, differing};
use crate::stale::{Change, Moment};
use crate::vtd::witness::Origin;
use crate::vtd::{Reading, Table, Trail};

/// P, in the first word of each of these entries.
const PRESENT: u64 = 1;
/// Images at most.
const MOST_IMAGES: usize = 1 << 12;
/// Changes that are remembered for reports of what was read in between.
const MOST_CHANGES: usize = 64;
/// Changes that wait to be taken at most.
const MOST_REPORTS: usize = 256;

/// An entry as it was read.
#[derive(Clone, Debug)]
struct Image {
    entry: Changed,
    requester: Requester,
    words: Vec<u64>,
    /// The words on the way to it.
    above: Vec<(PhysAddr, u64)>,
    read: Moment,
    /// What stood there before, when one word was changed and nothing invalidated since.
    before: Option<(Vec<u64>, Moment)>,
}

/// The last reading of each entry of several words.
#[derive(Debug, Default)]
pub(super) struct Images {
    known: HashMap<PhysAddr, Image>,
    changes: VecDeque<ChangedInPlace>,
    reports: Vec<ChangedInPlace>,
    count: u64,
}

impl Images {
    /// The entries on a way were read, of which those count that were read at `now`.
    pub(super) fn read(&mut self, requester: Requester, trail: &Trail, now: Moment) {
        let readings = trail.readings();
        let mut start = 0;
        for group in readings.chunk_by(|one, other| one.table == other.table) {
            let [first, ..] = group else { continue };
            let above = || readings[..start].iter().map(|reading| (reading.place, reading.value)).collect();
            match first.table {
                Table::Context | Table::Pasid if first.read_at == now.event => self.compare(
                    first.place,
                    Image {
                        entry: Changed::Table(first.table),
                        requester,
                        words: group.iter().map(|reading| reading.value).collect(),
                        above: above(),
                        read: now,
                        before: None,
                    },
                ),
                Table::Context
                | Table::Pasid
                | Table::Root
                | Table::PasidDirectory
                | Table::FirstStage { .. }
                | Table::SecondStage { .. } => {}
            }
            start += group.len();
        }
    }

    /// The interrupt entry of `index` was read.
    pub(super) fn read_interrupt(
        &mut self,
        (requester, index, place): (Requester, u16, PhysAddr),
        words: [u64; 2],
        now: Moment,
    ) {
        let entry = Changed::Interrupt(index);
        let image =
            Image { entry, requester, words: words.to_vec(), above: Vec::new(), read: now, before: None };
        self.compare(place, image);
    }

    /// An invalidation is received: the entries that it is for are looked at, and those that are clear forgotten.
    pub(super) fn look(&mut self, invalidation: &Descriptor, memory: &PhysicalMemory, now: Moment) {
        self.known.retain(|place, _| memory.try_load(*place).is_some_and(|word| word & PRESENT != 0));
        let concerned = self.known.iter().filter(|(_, image)| image.is_concerned(invalidation));
        let places: Vec<PhysAddr> = concerned.map(|(place, _)| *place).collect();
        for place in places {
            self.look_at(place, memory, now);
            // What was changed by one store until here is invalidated now.
            if let Some(image) = self.known.get_mut(&place) {
                image.before = None;
            }
        }
    }

    /// Software moved the tables that everything hangs on.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The change in the midst of which the entry was read that `change` is about, if `origin` rests on that.
    pub(super) fn torn(
        &mut self,
        origin: &Origin,
        change: &Change,
        memory: &PhysicalMemory,
        now: Moment,
    ) -> Option<ChangedInPlace> {
        let readings = origin.route.readings();
        let group = readings.chunk_by(|one, other| one.table == other.table);
        let group =
            group.into_iter().find(|group| group.iter().any(|reading| reading.place == change.place))?;
        let place = group.first()?.place;
        self.look_at(place, memory, now);
        let is_it = |seen: &&ChangedInPlace| {
            seen.place == place && seen.between.as_deref().is_some_and(|it| says(it, group))
        };
        self.changes.iter().rev().find(is_it).cloned()
    }

    /// The changes since this was asked last.
    pub(super) fn take(&mut self) -> Vec<ChangedInPlace> {
        std::mem::take(&mut self.reports)
    }

    /// Changes so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn look_at(&mut self, place: PhysAddr, memory: &PhysicalMemory, now: Moment) {
        let Some(image) = self.known.get(&place) else { return };
        let is_led_to = image.above.iter().all(|(place, value)| memory.try_load(*place) == Some(*value));
        let words = (0..image.words.len() as u64).map(|word| memory.try_load(place.offset(word * 8)));
        match words.collect::<Option<Vec<_>>>().filter(|_| is_led_to) {
            Some(words) => self.compare(place, Image { words, read: now, before: None, ..image.clone() }),
            None => {
                self.known.remove(&place);
            }
        }
    }

    fn compare(&mut self, place: PhysAddr, mut image: Image) {
        let known =
            self.known.get(&place).filter(|known| known.above == image.above && image.entry == known.entry);
        let is_present = image.words.first().is_some_and(|word| word & PRESENT != 0);
        if !is_present {
            self.known.remove(&place);
            return;
        }
        if let Some(known) = known {
            if known.words == image.words {
                return;
            }
            match known.changed_to(place, &image) {
                Some(change) => self.note(change),
                None => image.before = Some((known.words.clone(), known.read)),
            }
        }
        if self.known.len() >= MOST_IMAGES {
            self.known.clear();
        }
        self.known.insert(place, image);
    }

    fn note(&mut self, change: ChangedInPlace) {
        self.count += 1;
        if self.reports.len() < MOST_REPORTS {
            self.reports.push(change.clone());
        }
        if self.changes.len() == MOST_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }
}

impl Image {
    /// The change in place from this to `new`, if it is one.
    fn changed_to(&self, place: PhysAddr, new: &Self) -> Option<ChangedInPlace> {
        let by_now: Vec<usize> = differing(&self.words, &new.words).collect();
        let torn = self.before.as_ref().filter(|(before, _)| {
            let until_then: Vec<usize> = differing(before, &self.words).collect();
            by_now.iter().any(|word| !until_then.contains(word))
        });
        let is_by_parts = match self.entry {
            Changed::Table(_) => by_now.len() > 1,
            Changed::Interrupt(_) => false,
        };
        let (old, read, between) = match torn {
            Some((before, read)) => (before.clone(), *read, Some(self.words.clone())),
            None if is_by_parts => (self.words.clone(), self.read, None),
            None => return None,
        };
        Some(ChangedInPlace {
            entry: self.entry,
            requester: self.requester,
            place,
            old,
            between,
            new: new.words.clone(),
            read,
            seen: new.read,
        })
    }

    /// Whether an invalidation is for it, as it was or as it became.
    fn is_concerned(&self, invalidation: &Descriptor) -> bool {
        let source = self.requester.source;
        match (self.entry, invalidation) {
            (Changed::Table(_), Descriptor::ContextCache(scope)) => match scope {
                ContextScope::Global | ContextScope::Domain(_) => true,
                ContextScope::Device { source: named, ignored_bits } => {
                    ContextScope::concerns(*named, *ignored_bits, source)
                }
            },
            (Changed::Table(Table::Pasid), Descriptor::PasidCache(scope)) => match scope {
                PasidScope::Global => true,
                PasidScope::Domain(domain) => self.has_domain(*domain),
                PasidScope::Pasid(domain, pasid) => {
                    self.has_domain(*domain) && self.requester.pasid.is_none_or(|own| own == *pasid)
                }
            },
            (Changed::Interrupt(index), Descriptor::InterruptEntries(scope)) => scope.covers(index),
            (
                Changed::Table(_) | Changed::Interrupt(_),
                Descriptor::ContextCache(_)
                | Descriptor::PasidCache(_)
                | Descriptor::InterruptEntries(_)
                | Descriptor::Iotlb { .. }
                | Descriptor::DeviceTlb(_)
                | Descriptor::Wait(_)
                | Descriptor::PageGroupResponse(_),
            ) => false,
        }
    }

    fn has_domain(&self, domain: DomainId) -> bool {
        let words = self.before.iter().map(|(words, _)| words).chain([&self.words]);
        words.into_iter().any(|words| matches!(words[..], [low, middle, high] if PasidEntry([low, middle, high]).domain() == domain))
    }
}

/// Whether `words` are what `group` read.
fn says(words: &[u64], group: &[Reading]) -> bool {
    words.iter().copied().eq(group.iter().map(|reading| reading.value))
}

#[cfg(test)]
mod tests;
