//! Every kind of entry survives memory.

use super::{Entry, Kept, Leaf, MigrationAccess};
use crate::address::{PageSize, Pfn};
use crate::pte::Pte;

fn every_kind() -> Vec<Entry> {
    let kept = Kept { bits: Pte::SWAP_UFFD_WP | Pte::SWAP_EXCLUSIVE };
    let leaf = Leaf {
        pfn: Pfn(0x1234),
        size: PageSize::Size4K,
        flags: Pte::WRITE | Pte::USER | Pte::DIRTY | Pte::UFFD_WP | Pte::NO_EXECUTE,
    };
    let mut entries = vec![
        Entry::Absent,
        Entry::Leaf(leaf),
        Entry::ProtNone(Leaf { flags: Pte::USER, ..leaf }),
        Entry::Swap { slot: 77, kept },
        Entry::Marker,
    ];
    for before in [MigrationAccess::Readable, MigrationAccess::ReadableExclusive, MigrationAccess::Writable] {
        entries.push(Entry::Migration { pfn: Pfn(9), before, kept });
    }
    entries
}

#[test]
fn an_entry_is_what_was_encoded() {
    for entry in every_kind() {
        assert_eq!(Entry::decode(entry.encode(), 1), entry);
    }
}

#[test]
fn only_a_leaf_is_present_to_hardware() {
    for entry in every_kind() {
        let present = entry.encode().is_present();
        assert_eq!(present, matches!(entry, Entry::Leaf(_)), "{entry:?}");
    }
}

#[test]
fn a_large_leaf_and_a_table_differ_by_the_size_bit() {
    let large = Entry::Leaf(Leaf { pfn: Pfn(0x200), size: PageSize::Size2M, flags: Pte::USER });
    assert_eq!(Entry::decode(large.encode(), 2), large);
    assert_eq!(Entry::decode(Pte::table(Pfn(0x200)), 2), Entry::Table(Pfn(0x200)));
}
