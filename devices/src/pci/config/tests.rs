//! What software can and cannot change.

use super::{ConfigSpace, Identity, command, header};
use crate::bus::Width;
use crate::pci::bar::{Bar, BarWidth};
use crate::pci::capability::{CapabilityId, address_translation, express, msi};

const IDENTITY: Identity = Identity { vendor: 0x1234, device: 0x5678, class: [1, 2, 3], revision: 4 };

fn space() -> ConfigSpace {
    ConfigSpace::new(IDENTITY)
        .with_bar(Bar::new(0, 0x1000, BarWidth::Bits32))
        .with_bar(Bar::new(2, 0x10_0000, BarWidth::Bits64))
        .with(&msi::capability())
        .with(&express::integrated_endpoint())
        .with(&address_translation::ats())
        .with(&address_translation::pri(32))
        .with(&address_translation::pasid())
}

#[test]
fn software_changes_only_what_may_change() {
    let mut space = space();
    for offset in 0..4096 {
        space.write(offset, Width::Byte, 0xff);
    }
    assert_eq!(space.read(0, Width::Dword), 0x5678_1234);
    assert_eq!(space.read(8, Width::Dword), 0x0102_0304);
    assert_eq!(space.command(), command::WRITABLE);
    assert_eq!(space.read(header::BARS, Width::Dword), 0xffff_f000);
    assert_eq!(space.read(header::BARS + 8, Width::Qword), 0xffff_ffff_fff0_0004);
}

#[test]
fn a_bar_is_sized_and_moved_as_software_does_it() {
    let mut space = space();
    space.write(header::BARS + 8, Width::Dword, 0xc123_4567);
    space.write(header::BARS + 12, Width::Dword, 1);
    assert!(space.decoded().next().is_none(), "decoding is off");
    space.write(header::COMMAND, Width::Word, command::MEMORY.into());
    let ranges: Vec<_> = space.decoded().map(|bar| (bar.number, bar.start, bar.len_bytes)).collect();
    assert_eq!(ranges, [(0, 0, 0x1000), (2, 0x1_c120_0000, 0x10_0000)]);
}

#[test]
fn both_lists_of_capabilities_can_be_followed() {
    let space = space();
    let mut found = Vec::new();
    let mut at = space.read(header::CAPABILITIES, Width::Byte);
    while at != 0 {
        let header = space.get16(u16::try_from(at).unwrap());
        found.push(CapabilityId::Standard(header.to_le_bytes()[0]));
        at = u64::from(header >> 8);
    }
    let mut at = 0x100;
    while at != 0 {
        let header = space.get32(at);
        assert_eq!(header >> 16 & 0xf, 1, "its version");
        found.push(CapabilityId::Extended(u16::try_from(header & 0xffff).unwrap()));
        at = u16::try_from(header >> 20).unwrap();
    }
    let expected = [
        msi::ID,
        express::ID,
        address_translation::ATS,
        address_translation::PRI,
        address_translation::PASID,
    ];
    assert_eq!(found, expected);
    assert!(expected.iter().all(|id| space.find(*id).is_some()));
}

#[test]
fn page_requests_are_stopped_until_they_are_enabled_and_their_errors_clear_by_ones() {
    let mut space = space();
    let at = space.find(address_translation::PRI).unwrap();
    assert_eq!(space.get16(at + 6), 1 << 15 | 1 << 8);
    address_translation::note_pri_failure(&mut space);
    assert_eq!(space.get16(at + 6), 1 << 15 | 1 << 8 | 1);
    space.write(at + 6, Width::Word, 1);
    assert_eq!(space.get16(at + 6), 1 << 15 | 1 << 8);
    assert!(!address_translation::pri_is_enabled(&space));
    space.write(at + 4, Width::Word, 1);
    assert!(address_translation::pri_is_enabled(&space));
}

#[test]
fn beyond_the_end_everything_reads_as_ones_and_takes_nothing() {
    let mut space = space();
    assert_eq!(space.read(4094, Width::Dword), 0xffff_0000);
    space.write(u16::MAX, Width::Qword, 0);
    assert_eq!(space.read(u16::MAX, Width::Byte), 0xff);
}
