//! Binding, translation, page requests, and the drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mmu::address::{Access, PAGE_SIZE, VirtAddr, VirtRange};
use mmu::address_space::{AddressSpace, SpaceId, SpaceOptions};
use mmu::area::{Backing, Merging};
use mmu::cpu::Cpu;
use mmu::frame::Frames;
use mmu::operation::cow;
use mmu::port::Reached;
use mmu::program::Program;
use mmu::pte::Pte;
use mmu::trace::Unobserved;

use super::{AlreadyBound, Iommu, IommuOptions, PageRequest, PageRequestError};
use crate::dma::{DmaFault, DmaPort};
use crate::pasid::{PASID_COUNT, Pasid};

const PAGE: VirtAddr = VirtAddr(0x4000_0000);

struct Fixture {
    unit: Arc<Iommu>,
    space: Arc<AddressSpace>,
    cpu: Cpu,
    port: DmaPort,
}

fn pasid() -> Pasid {
    Pasid::new(5).unwrap()
}

fn fixture_with(break_cow: Program, iotlb_entries: usize) -> Fixture {
    let frames = Frames::new(4 << 20).unwrap();
    let options = SpaceOptions { break_cow, ..SpaceOptions::default() };
    let space = AddressSpace::new(Arc::clone(&frames), SpaceId(1), options).unwrap();
    space.map(VirtRange::pages(PAGE, 8), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let unit = Iommu::new(frames, IommuOptions { iotlb_entries });
    unit.bind(pasid(), &space).unwrap();
    let port = DmaPort::new(Arc::clone(&unit), 0, pasid(), Arc::new(Unobserved));
    Fixture { cpu: Cpu::new(0, Arc::clone(&space)), unit, space, port }
}

fn fixture() -> Fixture {
    fixture_with(cow::wp_page_copy(), 64)
}

impl Fixture {
    fn is_cached(&self, page: VirtAddr) -> bool {
        self.unit.iotlb().contains(pasid().tag(), page).is_some()
    }

    fn invalidate(&self, page: VirtAddr) {
        self.space.notifiers().invalidate_secondary(VirtRange::page(page));
    }
}

#[test]
fn a_device_reads_what_a_cpu_wrote_and_the_other_way_round() {
    let mut fixture = fixture();
    fixture.cpu.store(PAGE, 3).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 3);
    fixture.port.write(PAGE.offset(8), 4).unwrap();
    assert_eq!(fixture.cpu.load(PAGE.offset(8)).unwrap().value, 4);
}

#[test]
fn a_fault_becomes_a_page_request_that_the_address_space_answers() {
    let mut fixture = fixture();
    assert!(fixture.port.translate(PAGE, Access::Read).is_err());
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 0);
    assert_eq!(fixture.unit.page_requests(), 1);
    let outside = PAGE.offset(8 * PAGE_SIZE);
    assert!(matches!(fixture.port.read(outside), Err(PageRequestError::Refused(_))));
}

#[test]
fn a_device_walk_sets_a_and_its_write_sets_d() {
    let mut fixture = fixture();
    fixture.cpu.load(PAGE).unwrap();
    let entry = fixture.space.entry(PAGE);
    assert!(!entry.is_dirty(), "only read so far");
    fixture.port.read(PAGE).unwrap();
    assert!(!fixture.space.entry(PAGE).is_dirty());
    fixture.port.write(PAGE, 1).unwrap();
    assert!(fixture.space.entry(PAGE).is_dirty(), "an entry cached clean is walked again for a store");
}

#[test]
fn the_iotlb_goes_on_showing_what_nobody_invalidated() {
    let mut fixture = fixture();
    fixture.cpu.store(PAGE, 1).unwrap();
    fixture.port.read(PAGE).unwrap();
    let slot = fixture.space.table().slot(PAGE).unwrap();
    let entry = fixture.space.table().clear(slot);
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1, "really stale");
    fixture.invalidate(PAGE);
    assert!(fixture.port.translate(PAGE, Access::Read).is_err());
    fixture.space.table().store(slot, entry);
}

#[test]
fn an_iotlb_that_is_off_is_never_stale() {
    let mut fixture = fixture_with(cow::wp_page_copy(), 0);
    fixture.cpu.store(PAGE, 1).unwrap();
    fixture.port.read(PAGE).unwrap();
    assert!(!fixture.is_cached(PAGE));
    let slot = fixture.space.table().slot(PAGE).unwrap();
    let entry = fixture.space.table().clear(slot);
    assert!(fixture.port.translate(PAGE, Access::Read).is_err());
    fixture.space.table().store(slot, entry);
}

#[test]
fn an_invalidation_leaves_the_neighbours() {
    let mut fixture = fixture();
    for page in 0..3 {
        fixture.port.write(PAGE.offset(page * PAGE_SIZE), 1).unwrap();
    }
    fixture.invalidate(PAGE.offset(PAGE_SIZE));
    assert!(fixture.is_cached(PAGE));
    assert!(!fixture.is_cached(PAGE.offset(PAGE_SIZE)));
    assert!(fixture.is_cached(PAGE.offset(2 * PAGE_SIZE)));
}

#[test]
fn a_device_that_could_write_before_a_fork_does_not_write_into_the_child() {
    let mut fixture = fixture();
    fixture.port.write(PAGE, 1).unwrap();
    let child = fixture.space.fork(SpaceId(2)).unwrap();
    fixture.port.write(PAGE, 2).unwrap();
    assert_eq!(child.mapped_word(PAGE), Some(1));
    assert_eq!(fixture.space.mapped_word(PAGE), Some(2));
}

/// What a device reads after a CPU broke COW, with the old translation in the IOTLB.
fn read_after_cow(order: &str) -> u64 {
    let order = cow::orders().into_iter().find(|known| known.name == order).unwrap();
    let mut fixture = fixture_with(order.program, 64);
    fixture.cpu.store(PAGE, 1).unwrap();
    let _child = fixture.space.fork(SpaceId(2)).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
    fixture.cpu.store(PAGE, 2).unwrap();
    fixture.port.read(PAGE).unwrap().value
}

#[test]
fn after_clear_flush_notify_set_a_device_reads_the_new_page() {
    assert_eq!(read_after_cow("clear-flush-notify-set"), 2);
}

#[test]
fn an_order_without_any_notification_leaves_the_device_on_the_old_page() {
    use mmu::step::Step;
    let program = cow::wp_page_copy().without_all(&[Step::Notify]);
    let mut fixture = fixture_with(program, 64);
    fixture.cpu.store(PAGE, 1).unwrap();
    let child = fixture.space.fork(SpaceId(2)).unwrap();
    fixture.port.read(PAGE).unwrap();
    fixture.cpu.store(PAGE, 2).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1, "stale");
    drop(child);
    assert_eq!(fixture.port.read(PAGE).unwrap().reached, Reached::Freed, "and then freed");
}

#[test]
fn an_invalidation_does_not_return_while_a_dma_through_the_old_translation_is_in_flight() {
    let mut fixture = fixture();
    fixture.cpu.store(PAGE, 1).unwrap();
    fixture.port.read(PAGE).unwrap();
    let in_flight = fixture.port.translate(PAGE, Access::Read).unwrap();
    let returned = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            fixture.space.notifiers().invalidate_secondary(VirtRange::page(PAGE));
            returned.store(true, Ordering::SeqCst);
        });
        while fixture.unit.iotlb().draining() == 0 {
            assert!(!returned.load(Ordering::SeqCst), "it returned without waiting");
            std::thread::yield_now();
        }
        assert!(!returned.load(Ordering::SeqCst));
        assert!(fixture.unit.iotlb().contains(pasid().tag(), PAGE).is_none(), "nobody new gets it");
        assert_eq!(in_flight.load().value, 1, "the old access still completes, and ends");
    });
    assert!(returned.load(Ordering::SeqCst));
}

#[test]
fn an_unbound_pasid_is_refused_at_once() {
    let mut fixture = fixture();
    fixture.port.write(PAGE, 1).unwrap();
    fixture.unit.unbind(pasid());
    let fault = fixture.port.translate(PAGE, Access::Read).unwrap_err();
    assert_eq!(fault, DmaFault::PasidNotPresent(pasid()));
    assert_eq!(fixture.port.read(PAGE), Err(PageRequestError::NotBound(pasid())));
    fixture.unit.bind(pasid(), &fixture.space).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
}

#[test]
fn a_broken_table_is_an_error_and_not_an_endless_page_request() {
    let mut fixture = fixture();
    fixture.port.write(PAGE, 1).unwrap();
    let top = fixture.space.table().root().table.address();
    let memory = Arc::clone(fixture.unit.frames().memory());
    let linked = memory.swap(top, 0x000f_ffff_ffff_f000 | Pte::PRESENT | Pte::USER | Pte::WRITE);
    fixture.invalidate(PAGE);
    let requests = fixture.unit.page_requests();
    assert!(matches!(fixture.port.read(PAGE), Err(PageRequestError::Unrecoverable(_))));
    assert_eq!(fixture.unit.page_requests(), requests);
    memory.store(top, linked);
}

#[test]
fn a_pasid_that_is_bound_anew_shows_nothing_of_its_former_address_space() {
    let mut fixture = fixture();
    fixture.port.write(PAGE, 1).unwrap();
    let frames = Arc::clone(fixture.unit.frames());
    let other = AddressSpace::new(frames, SpaceId(2), SpaceOptions::default()).unwrap();
    other.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Off).unwrap();
    fixture.unit.unbind(pasid());
    fixture.unit.bind(pasid(), &other).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 0);
}

#[test]
fn a_page_request_drops_what_the_device_found_wanting() {
    let mut fixture = fixture();
    fixture.port.read(PAGE).unwrap();
    assert!(fixture.is_cached(PAGE));
    let request = PageRequest { pasid: pasid(), address: PAGE, access: Access::Write };
    fixture.unit.request_page(request).unwrap();
    assert!(!fixture.is_cached(PAGE));
}

#[test]
fn a_pasid_is_bound_once_and_must_exist() {
    let fixture = fixture();
    assert_eq!(fixture.unit.bind(pasid(), &fixture.space), Err(AlreadyBound(pasid())));
    assert!(Pasid::new(PASID_COUNT).unwrap_err().to_string().contains("give one below"));
}

#[test]
fn the_end_of_an_address_space_ends_its_dma() {
    let Fixture { unit, space, cpu, mut port } = fixture();
    port.write(PAGE, 1).unwrap();
    drop(cpu);
    drop(space);
    assert_eq!(port.translate(PAGE, Access::Read).unwrap_err(), DmaFault::PasidNotPresent(pasid()));
    assert_eq!(port.read(PAGE), Err(PageRequestError::NotBound(pasid())));
    unit.unbind(pasid());
}

#[test]
fn two_pasids_do_not_see_each_others_pages() {
    let mut fixture = fixture();
    let frames = Arc::clone(fixture.unit.frames());
    let other = AddressSpace::new(frames, SpaceId(2), SpaceOptions::default()).unwrap();
    other.map(VirtRange::page(PAGE), Backing::PrivateAnonymous, Merging::Off).unwrap();
    let second = Pasid::new(6).unwrap();
    fixture.unit.bind(second, &other).unwrap();
    let mut port = DmaPort::new(Arc::clone(&fixture.unit), 1, second, Arc::new(Unobserved));
    fixture.port.write(PAGE, 1).unwrap();
    port.write(PAGE, 2).unwrap();
    assert_eq!(fixture.port.read(PAGE).unwrap().value, 1);
    fixture.invalidate(PAGE);
    assert!(!fixture.is_cached(PAGE));
    assert!(fixture.unit.iotlb().contains(second.tag(), PAGE).is_some());
}
