//! Layouts that are easy to get wrong, as a driver writes them.

use mmu::address::{Access, Pfn, PhysAddr, VirtAddr, VirtRange};
use mmu::table::{Levels, Root};
use pcie::{Msi, PageGroupResponse, PageRequest, Pasid, ResponseCode, SourceId, Wants};

use super::context::LegacyContext;
use super::descriptor::{
    ContextScope, Descriptor, DevicePasid, DeviceScope, DeviceSpan, EntryScope, Hint, IotlbScope, PageSpan,
    PasidScope, Wait,
};
use super::fault::{AddressType, FaultReason, FaultRecord};
use super::id::DomainId;
use super::interrupt::{Format, InterruptEntry, SourceCheck};
use super::page_request;
use super::paging::SecondStageEntry;
use super::pasid_entry::{PasidEntry, PasidTranslation};
use super::status::QueueError;

fn wide(low: u64, high: u64) -> Result<Descriptor, QueueError> {
    Descriptor::decode([low, high, 0, 0], 32)
}

fn pasid(number: u32) -> Pasid {
    Pasid::new(number).unwrap()
}

#[test]
fn descriptors_of_every_type_are_understood() {
    let source = SourceId::new(1, 2, 3);
    let sid = u64::from(source.0);
    let span = PageSpan { address: VirtAddr(0x5000), log2_pages: 2, hint: Hint::LeavesOnly };
    let page = VirtRange::page(VirtAddr(0x5000));
    let cases = [
        (0x11 | 7 << 16, 0, Descriptor::ContextCache(ContextScope::Global)),
        (0x21 | 7 << 16, 0, Descriptor::ContextCache(ContextScope::Domain(DomainId(7)))),
        (
            0x31 | sid << 32 | 2 << 48,
            0,
            Descriptor::ContextCache(ContextScope::Device { source, ignored_bits: 2 }),
        ),
        (0x12, 0, Descriptor::Iotlb { scope: IotlbScope::Global, drains: false }),
        (0xe2 | 7 << 16, 0, Descriptor::Iotlb { scope: IotlbScope::Domain(DomainId(7)), drains: true }),
        (
            0xf2 | 7 << 16,
            0x5042,
            Descriptor::Iotlb { scope: IotlbScope::Pages(DomainId(7), span), drains: true },
        ),
        (
            3 | sid << 32 | 31 << 16,
            0x5000,
            Descriptor::DeviceTlb(DeviceScope {
                source,
                pasid: DevicePasid::Without,
                span: DeviceSpan::Range(page),
            }),
        ),
        (
            0x14 | 3 << 27 | 9 << 32,
            0,
            Descriptor::InterruptEntries(EntryScope::Index { index: 9, log2_count: 3 }),
        ),
        (
            0x26 | 7 << 16 | 5 << 32,
            0,
            Descriptor::Iotlb { scope: IotlbScope::Pasid(DomainId(7), pasid(5)), drains: true },
        ),
        (0x17 | 7 << 16 | 5 << 32, 0, Descriptor::PasidCache(PasidScope::Pasid(DomainId(7), pasid(5)))),
        (
            8 | 31 << 4 | sid << 16 | 5 << 32,
            0x5000,
            Descriptor::DeviceTlb(DeviceScope {
                source,
                pasid: DevicePasid::One(pasid(5)),
                span: DeviceSpan::Range(page),
            }),
        ),
    ];
    for (low, high, expected) in cases {
        assert_eq!(wide(low, high), Ok(expected), "{low:#x} {high:#x}");
        assert_eq!(Descriptor::decode(expected.encode(), 32), Ok(expected), "and back");
    }
}

#[test]
fn g_stands_for_every_pasid() {
    let Ok(Descriptor::DeviceTlb(scope)) = wide(8 | 5 << 32, 0x5001) else { panic!("not understood") };
    assert_eq!(scope.pasid, DevicePasid::Every);
    assert!(scope.pasid.covers(Some(pasid(6))) && !scope.pasid.covers(None));
}

#[test]
fn spans_cover_a_range_and_nothing_else() {
    for (first, count) in [(0, 1), (5, 1), (5, 3), (6, 2), (511, 2), (3, 509), (1, 1 << 19)] {
        let range = VirtRange::pages(VirtAddr(first << 12), count);
        let mut next = range.start;
        for span in PageSpan::cover(range, Hint::EveryLevel) {
            assert_eq!(span.range().start, next, "they join, and each is aligned");
            next = span.range().end;
            let scope = DeviceScope {
                source: SourceId(9),
                pasid: DevicePasid::One(pasid(5)),
                span: DeviceSpan::from(span),
            };
            let descriptor = Descriptor::DeviceTlb(scope);
            assert_eq!(Descriptor::decode(descriptor.encode(), 32), Ok(descriptor));
        }
        assert_eq!(next, range.end);
    }
}

#[test]
fn what_a_driver_writes_is_what_the_unit_reads() {
    let source = SourceId::new(1, 2, 3);
    let wait =
        Wait { status: Some((PhysAddr(0x4004), 7)), interrupt: true, fence: true, drains_requests: true };
    let response =
        PageGroupResponse { source, pasid: Some(pasid(5)), group: 300, code: ResponseCode::Invalid };
    let everything = DeviceScope { source, pasid: DevicePasid::Every, span: DeviceSpan::All };
    for descriptor in [
        Descriptor::Wait(wait),
        Descriptor::PageGroupResponse(response),
        Descriptor::DeviceTlb(everything),
        Descriptor::PasidCache(PasidScope::Global),
        Descriptor::InterruptEntries(EntryScope::Global),
    ] {
        assert_eq!(Descriptor::decode(descriptor.encode(), 32), Ok(descriptor));
    }
    let request = PageRequest {
        source,
        pasid: Some(pasid(5)),
        address: VirtAddr(0x7000),
        wants: Wants { write: true, ..Wants::default() },
        group: 300,
        last: true,
        private_data: Some([3, 4]),
    };
    assert_eq!(page_request::decode(page_request::encode(&request)), request);
    let root = Root { table: Pfn(9), levels: Levels::Five };
    let entry = PasidEntry::of_first_stage(DomainId(1), root);
    assert!(entry.is_present() && !entry.hides_faults());
    assert_eq!(entry.translation(), Ok(PasidTranslation::First));
    assert_eq!((entry.domain(), entry.first_stage()), (DomainId(1), Ok(root)));
    let gone = PasidEntry::ABSENT_AND_SILENT;
    assert!(!gone.is_present() && gone.hides_faults());
}

#[test]
fn a_wait_says_what_it_does() {
    let wait = wide(5 | 1 << 5 | 1 << 7 | 0xabcd << 32, 0x4004);
    let expected = Wait {
        status: Some((PhysAddr(0x4004), 0xabcd)),
        interrupt: false,
        fence: false,
        drains_requests: true,
    };
    assert_eq!(wait, Ok(Descriptor::Wait(expected)));
}

#[test]
fn a_descriptor_with_something_unknown_is_refused() {
    assert_eq!(wide(0, 0), Err(QueueError::Type));
    assert_eq!(wide(0xa, 0), Err(QueueError::Type));
    assert_eq!(Descriptor::decode([0x26, 0, 0, 0], 16), Err(QueueError::Type), "PASIDs need 256 bits");
    assert_eq!(wide(0x11 | 1 << 8, 0), Err(QueueError::Reserved));
    assert_eq!(Descriptor::decode([0x11, 0, 1, 0], 32), Err(QueueError::Reserved));
    assert_eq!(wide(0x01, 0), Err(QueueError::Reserved), "granularity 0");
    assert_eq!(wide(0x32, 19), Err(QueueError::Reserved), "AM beyond MAMV");
    assert_eq!(wide(0x26 | 0xfffff << 32, 0), Err(QueueError::Reserved), "a PASID beyond PSS");
}

#[test]
fn with_a_pasid_any_address_mask_is_legal() {
    for (mask, end) in [(19, 2 << 30), (35, 1 << 47), (51, 1 << 63), (52, u64::MAX), (63, u64::MAX)] {
        let Ok(Descriptor::Iotlb { scope: IotlbScope::PasidPages(_, _, span), .. }) = wide(0x36, mask) else {
            panic!("AM {mask} is not understood")
        };
        assert_eq!(span.range(), VirtRange { start: VirtAddr(0), end: VirtAddr(end) }, "AM {mask}");
    }
}

#[test]
fn the_lowest_zero_bit_of_a_device_span_is_its_size() {
    let two_pages = DeviceSpan::Range(VirtRange::pages(VirtAddr(0x4000), 2));
    assert_eq!(DeviceSpan::decode(0x4000, true), two_pages);
    let large = DeviceSpan::Range(VirtRange::pages(VirtAddr(0x20_0000), 512));
    assert_eq!(DeviceSpan::decode(0x20_0000 | 0xf_f000, true), large);
    assert_eq!(DeviceSpan::decode(0x7fff_ffff_ffff_f000, true), DeviceSpan::All);
    assert_eq!(DeviceSpan::decode(u64::MAX << 12, true), DeviceSpan::All);
    let last = DeviceSpan::decode(u64::MAX << 12, false);
    assert!(matches!(last, DeviceSpan::Range(range) if range.contains(VirtAddr(u64::MAX << 12))));
}

#[test]
fn a_span_starts_at_a_multiple_of_its_size() {
    let span = PageSpan { address: VirtAddr(0x7000), log2_pages: 2, hint: Hint::EveryLevel };
    assert_eq!(span.range(), VirtRange::pages(VirtAddr(0x4000), 4));
}

#[test]
fn a_fault_record_reads_as_the_driver_reads_it() {
    let record = FaultRecord {
        reason: FaultReason::FirstStageNotPresent,
        source: SourceId(0x0108),
        pasid: Some(pasid(5)),
        address: VirtAddr(0x1234_5678),
        access: Access::Read,
        address_type: AddressType::Untranslated,
    };
    let [low, high] = record.encode();
    assert_eq!(low, 0x1234_5000);
    assert_eq!(high & 0xffff, 0x0108);
    assert_eq!(high >> 32 & 0xff, 0x71);
    assert_eq!(high >> 40 & 0xf_ffff, 5);
    assert_eq!(high >> 31 & 1, 1, "PASID present");
    assert_eq!(high >> 62, 0b11, "F, and a read");
    assert_eq!(high >> 28 & 1, 0);
    let [_, page_request] = FaultRecord { address_type: AddressType::PageRequest, ..record }.encode();
    assert_eq!((page_request >> 60, page_request >> 28 & 1), (0b1000, 1), "T1 is 0, T2 is 1");
}

#[test]
fn a_page_request_reads_as_the_driver_reads_it() {
    let request = PageRequest {
        source: SourceId(0x0108),
        pasid: Some(pasid(5)),
        address: VirtAddr(0x1234_5678),
        wants: Wants { read: true, write: true, ..Wants::default() },
        group: 0x155,
        last: true,
        private_data: Some([1, 2]),
    };
    let words = page_request::encode(&request);
    assert_eq!(words[0], 1 | 1 << 8 | 1 << 9 | 0x0108 << 16 | 5 << 32);
    assert_eq!(words[1], 0x1234_5000 | 0x155 << 3 | 0b111);
    assert_eq!(words[2..], [1, 2]);
}

#[test]
fn a_large_page_may_not_start_inside_itself() {
    let leaf = SecondStageEntry::READ | SecondStageEntry::WRITE | SecondStageEntry::LARGE | 1 << 11 | 1 << 62;
    assert!(!SecondStageEntry(leaf | 0x20_0000).has_reserved(2));
    assert!(SecondStageEntry(leaf | 0x1000).has_reserved(2));
    assert!(SecondStageEntry(leaf).has_reserved(4), "no page is that large");
    assert!(!SecondStageEntry(leaf | 0x1000).has_reserved(1), "and at the lowest level it is one of 4 KiB");
}

#[test]
fn only_a_leaf_may_ask_for_snooping() {
    let table = SecondStageEntry(SecondStageEntry::READ | 0x1000);
    let snooping = SecondStageEntry(table.0 | 1 << 11);
    for level in 2..=4 {
        assert!(!table.has_reserved(level) && snooping.has_reserved(level), "level {level}");
    }
    assert!(!snooping.has_reserved(1));
}

#[test]
fn a_context_entry_of_linux_is_without_reserved_bits() {
    let entry = LegacyContext([0x1234_5000 | 1, 0x0000_0000_00ff_ff02]);
    assert!(!entry.has_reserved());
    assert_eq!(entry.domain(), DomainId(0xffff));
}

#[test]
fn an_interrupt_names_its_entry_by_handle_and_subhandle() {
    let address = 0xfee0_0000 | 0x1234 << 5 | 1 << 4 | 1 << 3 | 1 << 2;
    assert_eq!(Format::of(Msi { address, data: 2 }), Format::Remappable { index: 0x8000 + 0x1234 + 2 });
    assert_eq!(Format::of(Msi { address: 0xfee0_1000, data: 0x41 }), Format::Compatibility);
}

#[test]
fn an_interrupt_entry_makes_messages_for_both_kinds_of_apic() {
    let entry = InterruptEntry([1 | 0x41 << 16 | 0x0305 << 40, 1 << 18 | 0x0108]);
    assert_eq!(entry.message(false), Msi { address: 0xfee0_5000, data: 0x4041 });
    let wide = InterruptEntry([1 | 0x41 << 16 | 0x0001_0203 << 32, 0]);
    assert_eq!(wide.message(true), Msi { address: 0x0001_0200_fee0_3000, data: 0x4041 });
    assert_eq!(entry.source_check(), Some(SourceCheck::Function { source: SourceId(0x0108), mask: 0xffff }));
}
