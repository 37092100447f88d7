//! What is remembered of entries of several words, and how much.

use std::time::Duration;

use mmu::address::PhysAddr;
use pcie::{Pasid, Requester, SourceId};

use super::{Changed, Image, Images, MOST_CHANGES, MOST_IMAGES, MOST_REPORTS, PRESENT};
use crate::spec::descriptor::{ContextScope, Descriptor, EntryScope, IotlbScope, PasidScope};
use crate::spec::id::DomainId;
use crate::stale::Moment;
use crate::vtd::{Recorder, Table};

const PLACE: PhysAddr = PhysAddr(0x1000);
const OLD: [u64; 2] = [PRESENT | 0x40 << 16, 0];
const BETWEEN: [u64; 2] = [PRESENT | 0x50 << 16, 0];
const NEW: [u64; 2] = [PRESENT | 0x50 << 16, 8];
const START: Moment = Moment { event: 0, elapsed: Duration::ZERO };

/// The interrupt entry of `index`, which lies at `place`, is read.
fn read(images: &mut Images, index: usize, place: PhysAddr, words: [u64; 2]) {
    let index = u16::try_from(index).unwrap();
    let requester = Requester { source: SourceId::new(0, 3, 0), pasid: None };
    images.read_interrupt((requester, index, place), words, START);
}

#[test]
fn what_is_read_again_and_again_between_two_stores_is_one_reading() {
    let mut images = Images::default();
    for words in [OLD, OLD, BETWEEN, BETWEEN, BETWEEN, NEW] {
        read(&mut images, 3, PLACE, words);
    }
    let changes = images.take();
    let [change] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((change.entry, &change.old[..]), (Changed::Interrupt(3), &OLD[..]));
    assert_eq!((change.between.as_deref(), &change.new[..]), (Some(&BETWEEN[..]), &NEW[..]));
}

#[test]
fn a_word_that_is_stored_twice_is_no_change_by_parts() {
    let mut images = Images::default();
    for words in [OLD, BETWEEN, [PRESENT | 0x60 << 16, 0]] {
        read(&mut images, 3, PLACE, words);
    }
    assert_eq!(images.take(), []);
}

#[test]
fn an_entry_is_compared_with_no_other_that_lay_in_its_place() {
    let mut images = Images::default();
    read(&mut images, 3, PLACE, OLD);
    read(&mut images, 4, PLACE, BETWEEN);
    read(&mut images, 4, PLACE, NEW);
    assert_eq!(images.take(), []);
}

/// A context entry is read `now`, at [`PLACE`], to which this root entry leads; it was read at `event` really. Returns how
/// many changes that shows.
fn changes(images: &mut Images, root: u64, words: [u64; 2], event: u64, now: u64) -> usize {
    let requester = Requester { source: SourceId::new(0, 3, 0), pasid: None };
    let mut recorder = Recorder::on(event);
    recorder.note(Table::Root, PhysAddr(0), root, false);
    for (word, place) in words.into_iter().zip([PLACE, PLACE.offset(8)]) {
        recorder.note(Table::Context, place, word, false);
    }
    images.read(requester, &recorder.trail(), Moment { event: now, ..START });
    images.take().len()
}

#[test]
fn an_entry_that_came_out_of_a_cache_says_nothing_of_what_lies_there_now() {
    let mut images = Images::default();
    assert_eq!(changes(&mut images, 1, OLD, 1, 1), 0);
    assert_eq!(changes(&mut images, 1, NEW, 2, 5), 0, "it was read before");
    assert_eq!(changes(&mut images, 1, NEW, 5, 5), 1);
}

#[test]
fn an_entry_to_which_another_way_leads_is_another_one() {
    let mut images = Images::default();
    assert_eq!(changes(&mut images, 1, OLD, 1, 1), 0);
    assert_eq!(changes(&mut images, 3, NEW, 2, 2), 0);
    assert_eq!(changes(&mut images, 3, OLD, 3, 3), 1);
}

#[test]
fn an_entry_that_is_found_clear_is_forgotten() {
    let mut images = Images::default();
    for words in [OLD, [0; 2], BETWEEN, NEW] {
        read(&mut images, 3, PLACE, words);
    }
    assert_eq!(images.take(), []);
}

#[test]
fn however_many_entries_are_read_and_changed_what_is_kept_is_bounded() {
    let mut images = Images::default();
    for index in 0..=MOST_IMAGES {
        read(&mut images, index, PhysAddr(index as u64 * 16), OLD);
    }
    assert!(images.known.len() <= MOST_IMAGES);
    let changes = MOST_REPORTS + 5;
    for index in 0..changes {
        [OLD, BETWEEN, NEW].iter().for_each(|words| read(&mut images, index, PLACE, *words));
    }
    assert_eq!((images.count(), images.changes.len()), (changes as u64, MOST_CHANGES));
    assert_eq!((images.take().len(), images.take().len()), (MOST_REPORTS, 0));
}

#[test]
fn an_invalidation_is_for_an_entry_as_it_was_and_as_it_became() {
    let (source, domains) = (SourceId::new(0, 3, 0), [DomainId(7), DomainId(8), DomainId(9)]);
    let words = |domain: DomainId| vec![PRESENT, u64::from(domain.0), 0];
    let pasid = |number| Pasid::new(number).unwrap();
    let image = Image {
        entry: Changed::Table(Table::Pasid),
        requester: Requester { source, pasid: Some(pasid(5)) },
        words: words(domains[1]),
        above: Vec::new(),
        read: START,
        before: Some((words(domains[0]), START)),
    };
    let contexts = |source| ContextScope::Device { source, ignored_bits: 0 };
    for (invalidation, is_for_it) in [
        (Descriptor::PasidCache(PasidScope::Global), true),
        (Descriptor::PasidCache(PasidScope::Domain(domains[0])), true),
        (Descriptor::PasidCache(PasidScope::Domain(domains[1])), true),
        (Descriptor::PasidCache(PasidScope::Domain(domains[2])), false),
        (Descriptor::PasidCache(PasidScope::Pasid(domains[0], pasid(5))), true),
        (Descriptor::PasidCache(PasidScope::Pasid(domains[0], pasid(6))), false),
        (Descriptor::PasidCache(PasidScope::Pasid(domains[2], pasid(5))), false),
        (Descriptor::ContextCache(ContextScope::Domain(domains[2])), true),
        (Descriptor::ContextCache(contexts(source)), true),
        (Descriptor::ContextCache(contexts(SourceId(source.0 ^ 1))), false),
        (Descriptor::InterruptEntries(EntryScope::Global), false),
        (Descriptor::Iotlb { scope: IotlbScope::Global, drains: true }, false),
    ] {
        assert_eq!(image.is_concerned(&invalidation), is_for_it, "{invalidation:?}");
    }
}
