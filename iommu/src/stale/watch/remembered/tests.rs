//! How much is remembered.

use std::time::Duration;

use mmu::address::{PAGE_SIZE, PageSize, Pfn, PhysAddr, VirtAddr};
use mmu::cache::{Permission, Tag, Translation};
use pcie::{Requester, SourceId};

use super::{MOST_BYTES, Remembered};
use crate::spec::id::DomainId;
use crate::stale::Moment;
use crate::stale::watch::{Fill, FillKey, HeldIn, Origin};
use crate::vtd::{Path, Reading, Recorder, SpaceKey, StageKind, Table, Trail};

type Fills = Remembered<FillKey, Fill>;

fn key(number: u64) -> FillKey {
    FillKey::new(HeldIn::Iotlb(Tag(1)), VirtAddr(number * PAGE_SIZE), PageSize::Size4K)
}

fn fill() -> Fill {
    let origin = Origin {
        requester: Requester { source: SourceId(8), pasid: None },
        space: SpaceKey { domain: DomainId(1), pasid: None, stage: StageKind::Second },
        route: Trail::default(),
        path: Path::identity(),
    };
    let permission = Permission::READ_WRITE;
    let translation = Translation { pfn: Pfn(1), size: PageSize::Size4K, permission, dirty: true };
    Fill { origin, translation, filled: Moment { event: 0, elapsed: Duration::ZERO } }
}

#[test]
fn however_much_is_cached_the_bytes_are_bounded_and_what_went_is_counted() {
    let (mut fills, fill) = (Fills::default(), fill());
    let room = (MOST_BYTES / Fills::bytes_of(&fill)) as u64;
    (0..room).for_each(|number| fills.insert(key(number), fill.clone()));
    assert_eq!((fills.iter().count() as u64, fills.forgotten()), (room, 0), "they all fit");
    (room..room + 2).for_each(|number| fills.insert(key(number), fill.clone()));
    assert_eq!((fills.iter().count(), fills.forgotten()), (2, room));
    assert!(fills.get(&key(room)).is_some() && fills.get(&key(0)).is_none());
}

#[test]
fn what_replaces_another_takes_its_room() {
    let (mut fills, fill) = (Fills::default(), fill());
    let room = MOST_BYTES / Fills::bytes_of(&fill);
    (0..2 * room).for_each(|_| fills.insert(key(1), fill.clone()));
    assert_eq!((fills.iter().count(), fills.forgotten()), (1, 0));
}

#[test]
fn the_entries_that_it_rests_on_take_room_as_well() {
    let mut recorder = Recorder::on(0);
    recorder.note(Table::Context, PhysAddr(0), 1, false);
    let (none, one) = (fill(), recorder.trail());
    let mut both = none.clone();
    (both.origin.route, both.origin.path.walk) = (one.clone(), one);
    assert_eq!(Fills::bytes_of(&both), Fills::bytes_of(&none) + 2 * size_of::<Reading>());
}
