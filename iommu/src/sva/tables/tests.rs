//! What entries leave behind.

use mmu::address::Pfn;
use mmu::frame::Frames;
use mmu::table::{Levels, Root};
use pcie::Pasid;

use super::Tables;
use crate::spec::id::DomainId;
use crate::spec::pasid_entry::PasidEntry;

fn words(tables: &Tables, pasid: Pasid) -> [u64; 3] {
    let place = tables.place(pasid).unwrap();
    [0, 8, 16].map(|offset| tables.frames.memory().load(place.offset(offset)))
}

#[test]
fn an_entry_that_goes_loses_p_and_keeps_what_a_reader_may_be_at() {
    let mut tables = Tables::new(&Frames::new(1 << 20).unwrap()).unwrap();
    let pasid = Pasid::new(70).unwrap();
    tables.prepare(pasid).unwrap();
    let entry =
        |table| PasidEntry::of_first_stage(DomainId(3), Root { table: Pfn(table), levels: Levels::Four });
    tables.set(pasid, entry(0x12));
    assert_eq!(words(&tables, pasid), entry(0x12).0);
    let [_, domain, table] = entry(0x12).0;
    tables.set(pasid, PasidEntry::ABSENT_AND_SILENT);
    assert_eq!(words(&tables, pasid), [PasidEntry::ABSENT_AND_SILENT.0[0], domain, table]);
    tables.set(pasid, PasidEntry::ABSENT);
    assert_eq!(words(&tables, pasid), [0, domain, table]);
    tables.set(pasid, entry(0x34));
    assert_eq!(words(&tables, pasid), entry(0x34).0);
}
