//! What is remembered of entries of several words, and how much.

use std::time::Duration;

use mmu::address::PhysAddr;

use super::{Changed, Images, MOST_CHANGES, MOST_IMAGES, MOST_REPORTS, PRESENT};
use crate::spec::id::SourceId;
use crate::stale::Moment;
use crate::vtd::Requester;

const PLACE: PhysAddr = PhysAddr(0x1000);
const OLD: [u64; 2] = [PRESENT | 0x40 << 16, 0];
const BETWEEN: [u64; 2] = [PRESENT | 0x50 << 16, 0];
const NEW: [u64; 2] = [PRESENT | 0x50 << 16, 8];

/// The interrupt entry of `index`, which lies at `place`, is read.
fn read(images: &mut Images, index: usize, place: PhysAddr, words: [u64; 2]) {
    let index = u16::try_from(index).unwrap();
    let requester = Requester { source: SourceId::new(0, 3, 0), pasid: None };
    images.read_interrupt((requester, index, place), words, Moment { event: 0, elapsed: Duration::ZERO });
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
fn an_entry_is_compared_with_no_other_that_lay_in_its_place() {
    let mut images = Images::default();
    read(&mut images, 3, PLACE, OLD);
    read(&mut images, 4, PLACE, BETWEEN);
    read(&mut images, 4, PLACE, NEW);
    assert_eq!(images.take(), []);
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
