//! What is known of entries, and of how many.

use super::{Entries, MOST_AT_ONCE, Since};
use crate::spec::descriptor::EntryScope;

/// Entries of a table of which the last ones are not looked at at once.
const COUNT: u32 = MOST_AT_ONCE * 2;
const LAST: EntryScope = EntryScope::Index { index: 2000, log2_count: 0 };

fn same(index: u16) -> Option<[u64; 2]> {
    Some([1, u64::from(index)])
}

#[test]
fn an_entry_is_unchanged_if_it_says_the_same_as_when_software_spoke_of_it() {
    let mut entries = Entries::default();
    entries.begin(COUNT, same);
    let first = EntryScope::Index { index: 0, log2_count: 1 };
    assert_eq!(entries.spoken_of(first, COUNT, same), Since::Unchanged);
    let changed = |index| same(index).filter(|_| index != 1);
    assert_eq!(entries.spoken_of(first, COUNT, changed), Since::PerhapsChanged);
    assert_eq!(entries.spoken_of(first, COUNT, changed), Since::Unchanged);
}

#[test]
fn of_entries_that_are_too_many_nothing_is_known() {
    let mut entries = Entries::default();
    entries.begin(COUNT, same);
    for scope in [EntryScope::Global, EntryScope::Index { index: 0, log2_count: 11 }] {
        assert_eq!(entries.spoken_of(scope, COUNT, same), Since::PerhapsChanged, "{scope:?}");
    }
    assert_eq!(entries.spoken_of(LAST, COUNT, same), Since::PerhapsChanged, "nobody spoke of it");
    assert_eq!(entries.spoken_of(LAST, COUNT, same), Since::Unchanged);
}

#[test]
fn of_the_entries_of_another_table_nothing_is_known() {
    let mut entries = Entries::default();
    entries.begin(COUNT, same);
    entries.spoken_of(LAST, COUNT, same);
    entries.begin(COUNT, same);
    assert_eq!(entries.spoken_of(LAST, COUNT, same), Since::PerhapsChanged);
}
