//! Masks and what they hold back.

use pcie::Msi;

use super::{Place, Table, Vector, capability};
use crate::bus::Width;
use crate::pci::config::{ConfigSpace, Identity};

const MESSAGE: Msi = Msi { address: 0xfee0_1000, data: 0x41 };

fn enabled() -> ConfigSpace {
    let place = Place { bar: 0, table: 0, pending: 0x800 };
    let mut config = ConfigSpace::new(Identity { vendor: 1, device: 2, class: [0; 3], revision: 0 })
        .with(&capability(2, place));
    let at = config.find(super::ID).unwrap();
    config.write(at + 2, Width::Word, 1 << 15);
    config
}

fn table() -> Table {
    let table = Table::new(2);
    table.write(16, Width::Qword, MESSAGE.address);
    table.write(24, Width::Dword, MESSAGE.data.into());
    table
}

#[test]
fn a_masked_vector_is_pending_and_sent_once_after_it_is_unmasked() {
    let (table, config) = (table(), enabled());
    assert_eq!(table.take(Vector(1), &config), None);
    assert_eq!(table.take(Vector(1), &config), None);
    assert_eq!((table.pending(0), table.pending(8)), (0b10, 0));
    assert!(table.unmasked(&config).is_empty());
    table.write(28, Width::Dword, 0);
    assert_eq!(table.unmasked(&config), [MESSAGE]);
    assert_eq!((table.pending(0), table.unmasked(&config).len()), (0, 0));
    assert_eq!(table.take(Vector(1), &config), Some(MESSAGE));
}

#[test]
fn the_function_mask_holds_all_vectors_back() {
    let (table, mut config) = (table(), enabled());
    table.write(28, Width::Dword, 0);
    let at = config.find(super::ID).unwrap();
    config.write(at + 2, Width::Word, 0b11 << 14);
    assert_eq!(table.take(Vector(1), &config), None);
    config.write(at + 2, Width::Word, 1 << 15);
    assert_eq!(table.unmasked(&config), [MESSAGE]);
}

#[test]
fn what_lies_outside_the_table_is_nothing() {
    let (table, config) = (table(), enabled());
    assert_eq!(table.take(Vector(2), &config), None);
    for offset in [2, 30, 32, u64::MAX - 3] {
        table.write(offset, Width::Dword, 1);
        assert_eq!(table.read(offset, Width::Dword), 0);
    }
    assert_eq!(table.read(16, Width::Qword), MESSAGE.address);
}

#[test]
fn a_function_that_does_not_use_it_sends_nothing_that_it_held_back() {
    let (table, mut config) = (table(), enabled());
    assert_eq!(table.take(Vector(1), &config), None);
    let at = config.find(super::ID).unwrap();
    config.write(at + 2, Width::Word, 0);
    table.write(28, Width::Dword, 0);
    assert!(table.unmasked(&config).is_empty());
    config.write(at + 2, Width::Word, 1 << 15);
    assert_eq!(table.unmasked(&config), [MESSAGE]);
}
