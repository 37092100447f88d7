//! Entries and messages, bit by bit.

use super::{Admits, Destination, Message, entry, line_naming, silent};
use crate::id::{Index, Source, Vector};

#[test]
fn an_entry_says_where_and_for_whom() {
    let words = entry(Vector(0x41), Destination(0x0200), Admits::Function(Source(0x10)));
    assert_eq!(words, [0x0200_0041_0001, 0x4_0010]);
    assert_eq!(silent(words)[0], 0x0200_0041_0003);
    assert_eq!(entry(Vector(0x41), Destination::PROCESSOR, Admits::Buses { first: 1, last: 3 })[1], 0x8_0103);
    assert_eq!(entry(Vector(0x41), Destination::PROCESSOR, Admits::Device(Source(0x18)))[1], 0x7_0018);
}

#[test]
fn an_index_has_its_highest_bit_apart() {
    assert_eq!(Message::naming(Index(1)).address, 0xfee0_0030);
    assert_eq!(Message::naming(Index(0x8000)).address, 0xfee0_0014);
    assert_eq!(Message::naming_behind(Index(1), 2), Message { address: 0xfee0_0038, data: 2 });
    assert_eq!(line_naming(Index(0x8003)), 0x0007_0000_0000_0800);
}
