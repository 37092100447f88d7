//! Between the reading of an entry and its use: no test can hit these moments from outside.

use super::words;
use crate::spec::command::InterruptTable;
use crate::spec::descriptor::EntryScope;
use crate::spec::interrupt::InterruptEntry;
use crate::vtd::Vtd;
use crate::vtd::tests::driver::{Driver, SOURCE};

const INDEX: u16 = 3;
const ENTRY: InterruptEntry = InterruptEntry([1, 0]);

#[test]
fn an_entry_that_is_invalidated_while_it_is_read_is_not_kept() {
    let driver = Driver::legacy();
    let table = InterruptTable::decode(7);
    let kept_after = |happens: fn(&Vtd)| {
        let read = || {
            happens(&driver.unit);
            Some(ENTRY)
        };
        let used = driver.unit.read_and_keep(table, INDEX, SOURCE, read).unwrap();
        assert_eq!(used, ENTRY, "it is used once");
        driver.unit.interrupt_entries.get(&INDEX).is_some()
    };
    assert!(!kept_after(|unit| unit.invalidate_interrupts(EntryScope::Global)));
    assert!(kept_after(|_| ()));
}

/// What is read if the words change from load to load: the lower one at each, and then no more.
fn read_of(lows: &[u64]) -> [u64; 2] {
    let (mut at, mut low) = (0, 0);
    let load = |offset| {
        if offset == 0 {
            low = lows[at.min(lows.len() - 1)];
            at += 1;
        }
        // The upper word says which lower one it belongs to: the one that stands there by now.
        Some(if offset == 0 { low } else { lows[at.min(lows.len() - 1)] })
    };
    words(load).unwrap()
}

#[test]
fn words_that_change_while_they_are_read_are_read_again() {
    assert_eq!(read_of(&[1]), [1, 1]);
    assert_eq!(read_of(&[1, 2]), [2, 2], "1 was gone when the upper word was read");
    assert_eq!(read_of(&[1, 2, 3, 4, 5]), [5, 5]);
}

#[test]
fn words_that_never_rest_are_read_a_bounded_number_of_times() {
    let mut loads = 0;
    let load = |_| {
        loads += 1;
        Some(loads)
    };
    assert!(words(load).is_some());
    assert!(loads < 20, "{loads}");
}
