//! What an invalidation was to a translation, and what would have helped.

use std::time::Duration;

use mmu::address::{PAGE_SIZE, PageSize, PhysAddr, VirtAddr, VirtRange};
use pcie::{Pasid, Requester, SourceId};

use super::{StaleEntry, is_served, least, missed, remedy, weight};
use crate::spec::descriptor::{
    ContextScope, Descriptor, DevicePasid, DeviceScope, DeviceSpan, Hint, IotlbScope, PageSpan, PasidScope,
    Wait,
};
use crate::spec::id::DomainId;
use crate::stale::watch::{Received, Since};
use crate::stale::{Change, Holder, Moment, Why};
use crate::vtd::tests::driver::{DOMAIN, OTHER_DOMAIN, PAGE, SOURCE, pasid};
use crate::vtd::{SpaceKey, StageKind, Table};

/// Event of the fill.
const FILLED: u64 = 10;

/// A page of PASID 5 whose entry of that level changed.
fn entry(holder: Holder, level: u32) -> StaleEntry {
    let table = Table::FirstStage { level };
    StaleEntry {
        requester: Requester { source: SOURCE, pasid: Some(pasid(5)) },
        space: SpaceKey { domain: DOMAIN, pasid: Some(pasid(5)), stage: StageKind::First },
        page: PAGE,
        size: PageSize::Size4K,
        holder,
        filled: FILLED,
        change: Change { table, place: PhysAddr(0), leaf: level == 1, was: 1, is: Some(0), read_at: 1 },
        is_absence: false,
        is_no_route: false,
        has_pasid_table: true,
    }
}

fn received(invalidation: Descriptor, event: u64, carried_out: bool) -> Received {
    let at = Moment { event, elapsed: Duration::ZERO };
    Received { at, invalidation, carried_out, since: Since::PerhapsChanged }
}

fn why(entry: &StaleEntry, received: &Received) -> Why {
    missed(entry, received, |_| false).why
}

fn page(address: VirtAddr, hint: Hint) -> Descriptor {
    let span = PageSpan { address, log2_pages: 0, hint };
    Descriptor::Iotlb { scope: IotlbScope::PasidPages(DOMAIN, pasid(5), span), drains: false }
}

fn device() -> Descriptor {
    let span = DeviceSpan::Range(VirtRange::pages(PAGE, 1));
    Descriptor::DeviceTlb(DeviceScope { source: SOURCE, pasid: Some(pasid(5)).into(), span })
}

#[test]
fn the_last_page_of_all_is_a_page_like_others() {
    let last = VirtAddr(!(PAGE_SIZE - 1));
    let of_last = StaleEntry { page: last, ..entry(Holder::Iotlb, 1) };
    let told = |address| received(page(address, Hint::LeavesOnly), FILLED + 2, true);
    assert_ne!(why(&of_last, &told(last)), Why::OtherPages);
    assert_eq!(why(&of_last, &told(PAGE)), Why::OtherPages);
    assert_eq!(why(&entry(Holder::Iotlb, 1), &told(last)), Why::OtherPages);
    assert_eq!(VirtRange::page(last).page_count(), 1);
}

#[test]
fn a_wait_is_all_that_is_missing_if_everything_is_queued_and_not_before() {
    let entry = entry(Holder::DeviceTlb, 1);
    let iotlb = page(PAGE, Hint::LeavesOnly);
    assert_eq!(remedy(&entry, &[iotlb]), least(&entry));
    assert_eq!(remedy(&entry, &[device()]), least(&entry));
    assert_eq!(remedy(&entry, &[device(), iotlb]), [Descriptor::Wait(Wait::default())]);
    let pasids = Descriptor::PasidCache(PasidScope::Global);
    assert!(is_served(&entry, &iotlb, &iotlb) && !is_served(&entry, &iotlb, &pasids), "another cache");
}

#[test]
fn a_hint_is_wrong_over_a_table_and_right_over_what_was_not_there() {
    let hinted = received(page(PAGE, Hint::LeavesOnly), FILLED - 1, true);
    let table = entry(Holder::Iotlb, 2);
    assert_eq!(why(&table, &hinted), Why::HintSet);
    assert_eq!(why(&StaleEntry { is_absence: true, ..table }, &hinted), Why::NotCarriedOut);
}

#[test]
fn what_a_device_keeps_is_taken_from_the_iotlb_first() {
    let entry = entry(Holder::DeviceTlb, 1);
    for (invalidation, event, carried_out, expected) in [
        (page(PAGE, Hint::EveryLevel), FILLED - 1, true, Why::NotCarriedOut),
        (page(PAGE, Hint::EveryLevel), FILLED + 1, true, Why::IotlbOnly),
        (page(PAGE, Hint::EveryLevel), FILLED + 1, false, Why::NotCarriedOut),
        (device(), FILLED - 1, true, Why::BeforeIotlb),
        (device(), FILLED - 1, false, Why::NotCarriedOut),
        (device(), FILLED + 1, true, Why::NotCarriedOut),
    ] {
        let received = received(invalidation, event, carried_out);
        assert_eq!(why(&entry, &received), expected, "{received:?}");
    }
}

#[test]
fn an_invalidation_of_table_entries_names_domain_process_and_device() {
    let entry = entry(Holder::Iotlb, 1);
    let device = |source| ContextScope::Device { source, ignored_bits: 0 };
    let pasids = |domain: DomainId, number: u32| PasidScope::Pasid(domain, Pasid::new(number).unwrap());
    for (invalidation, expected) in [
        (Descriptor::PasidCache(pasids(DOMAIN, 5)), Why::TableEntriesOnly),
        (Descriptor::PasidCache(pasids(DOMAIN, 6)), Why::OtherPasid),
        (Descriptor::PasidCache(pasids(OTHER_DOMAIN, 5)), Why::OtherDomain),
        (Descriptor::PasidCache(PasidScope::Domain(OTHER_DOMAIN)), Why::OtherDomain),
        (Descriptor::ContextCache(device(SOURCE)), Why::TableEntriesOnly),
        (Descriptor::ContextCache(device(SourceId(SOURCE.0 ^ 8))), Why::OtherDevice),
        (Descriptor::ContextCache(ContextScope::Domain(DOMAIN)), Why::TableEntriesOnly),
        (Descriptor::ContextCache(ContextScope::Domain(OTHER_DOMAIN)), Why::TableEntriesOnly),
    ] {
        assert_eq!(why(&entry, &received(invalidation, 1, true)), expected, "{invalidation:?}");
    }
    // In legacy mode a context entry has a domain.
    let space = SpaceKey { domain: DOMAIN, pasid: None, stage: StageKind::Second };
    let legacy = StaleEntry { space, has_pasid_table: false, ..entry };
    for (domain, expected) in [(DOMAIN, Why::TableEntriesOnly), (OTHER_DOMAIN, Why::OtherDomain)] {
        let invalidation = Descriptor::ContextCache(ContextScope::Domain(domain));
        assert_eq!(why(&legacy, &received(invalidation, 1, true)), expected, "{domain}");
    }
}

#[test]
fn of_other_pages_the_nearest_weigh_most() {
    let entry = entry(Holder::Iotlb, 1);
    let weight_of = |address: u64| {
        let other = received(page(VirtAddr(address), Hint::LeavesOnly), 1, true);
        weight(&entry, &missed(&entry, &other, |_| false))
    };
    let (near, far) = (PAGE_SIZE, 7 * PAGE_SIZE);
    assert!(weight_of(PAGE.0 + near) > weight_of(PAGE.0 + far));
    assert!(weight_of(PAGE.0 - near) > weight_of(PAGE.0 - far));
    let whole = DeviceScope { source: SOURCE, pasid: DevicePasid::Without, span: DeviceSpan::All };
    let meant = missed(&entry, &received(Descriptor::DeviceTlb(whole), 1, true), |_| false);
    assert!(weight(&entry, &meant) > weight_of(PAGE.0 + near), "what was meant for it, before all");
}
