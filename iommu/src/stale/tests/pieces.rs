//! Large pages that are cached in pieces: what a driver leaves that names only some of them.

use mmu::address::{PageSize, PhysAddr, VirtAddr};
use pcie::Ats;

use super::EVERY_USE;
use crate::stale::{Holder, StaleUse};
use crate::vtd::options::{LargePages, VtdOptions};
use crate::vtd::port::Port;
use crate::vtd::tests::driver::invalidations::{self, IH};
use crate::vtd::tests::driver::{
    DOMAIN, Driver, FIRST_STAGE, Format, PAGE, SECOND_STAGE, SOURCE, load_at, pasid,
};
use crate::vtd::{Table, Width};

/// The large page, and the frames that it maps; each holds its number.
const LARGE: VirtAddr = VirtAddr(0x4020_0000);
const FRAMES: u64 = 0x40_0000;
/// Pages of it that the device has read.
const READ: u64 = 32;

struct Scene {
    driver: Driver,
    port: Port,
    format: Format,
    /// The uppermost table.
    table: PhysAddr,
}

fn page(number: u64) -> VirtAddr {
    LARGE.offset(number << 12)
}

fn scene(format: Format, large_pages: LargePages, ats: Ats) -> Scene {
    let options = VtdOptions { stale: EVERY_USE, large_pages, ..VtdOptions::default() };
    let mut driver = Driver::scalable_with(options);
    let directory = driver.attach_scalable(SOURCE);
    let table = if format == FIRST_STAGE {
        driver.first_stage(directory, 0, DOMAIN)
    } else {
        driver.second_stage(directory, 0, DOMAIN)
    };
    let place = driver.place(format, table, LARGE, 2);
    driver.memory.store(place, FRAMES | format.leaf | 0x80);
    let mut port = driver.ats_port();
    port.set_ats(ats);
    for number in 0..READ {
        driver.memory.store(PhysAddr(FRAMES + (number << 12)), number);
        assert_eq!(load_at(&mut port, None, page(number)), Ok(number));
    }
    Scene { driver, port, format, table }
}

impl Scene {
    fn unmap_all(&mut self) {
        let place = self.driver.place(self.format, self.table, LARGE, 2);
        self.driver.memory.store(place, 0);
    }

    /// Puts a table in the large page's place, without the pages of `range`.
    fn unmap(&mut self, range: std::ops::Range<u64>) {
        let pages = self.driver.frame();
        for number in (0..512).filter(|number| !range.contains(number)) {
            self.driver.memory.store(pages.offset(number * 8), (FRAMES + (number << 12)) | self.format.leaf);
        }
        let place = self.driver.place(self.format, self.table, LARGE, 2);
        self.driver.memory.store(place, pages.0 | self.format.link);
    }

    /// Names 2^`log2` pages from `number` on, to the unit and then to the device.
    fn invalidate(&mut self, number: u64, log2: u64) {
        let pages = match self.format {
            FIRST_STAGE => invalidations::pasid_pages(DOMAIN, 0, page(number), log2 | IH),
            _ => invalidations::pages(DOMAIN, page(number), log2 | IH),
        };
        let sized = page(number).0 | ((1 << (11 + log2)) - 0x1000);
        self.driver.invalidate(&[pages, invalidations::device_span(SOURCE, sized)]);
    }

    fn read(&mut self, number: u64) -> Option<u64> {
        load_at(&mut self.port, None, page(number)).ok()
    }

    /// The only report.
    fn report(&self) -> StaleUse {
        let mut reports = self.driver.unit.take_stale_uses();
        assert_eq!(reports.len(), 1);
        reports.remove(0)
    }
}

fn words(report: &StaleUse) -> Vec<String> {
    report.remedy.iter().map(|remedy| crate::spec::descriptor::words::InWords(remedy).to_string()).collect()
}

#[test]
fn a_driver_that_unmaps_all_of_a_large_page_and_names_a_part_is_found_by_its_pieces() {
    for format in [FIRST_STAGE, SECOND_STAGE] {
        let mut whole = scene(format, LargePages::Whole, Ats::Disabled);
        whole.unmap_all();
        whole.invalidate(8, 2);
        assert_eq!(whole.read(20), None, "an invalidation takes the entry that it touches whole");
        assert_eq!(whole.driver.unit.take_stale_uses(), []);

        let mut pieces = scene(format, LargePages::InPieces, Ats::Disabled);
        pieces.unmap_all();
        pieces.invalidate(8, 2);
        assert_eq!((pieces.read(9), pieces.read(20)), (None, Some(20)));
        let report = pieces.report();
        assert_eq!((report.page(), report.size()), (page(20), PageSize::Size4K));
        assert!(report.change.leaf);
        assert!(matches!(
            report.change.table,
            Table::FirstStage { level: 2 } | Table::SecondStage { level: 2 }
        ));
        assert_eq!(report.mistake().name(), "part-of-large-page");
        let expected =
            if format == FIRST_STAGE { "PASID IOTLB, domain 7, PASID 0," } else { "IOTLB, domain 7," };
        assert_eq!(words(&report), [format!("{expected} 512 pages from 0x40200000, IH 1")]);
        let told = report.mistake().to_string();
        assert!(told.ends_with("names only some of the pages that the first-stage entry of level 2 mapped; a large page may be cached in pieces")
            || told.ends_with("names only some of the pages that the second-stage entry of level 2 mapped; a large page may be cached in pieces"), "{told}");
        pieces.invalidate(0, 9);
        assert_eq!(pieces.read(20), None, "what would have helped helps");
    }
}

#[test]
fn the_device_keeps_pieces_too() {
    let mut pieces = scene(FIRST_STAGE, LargePages::InPieces, Ats::Enabled);
    pieces.unmap_all();
    pieces.invalidate(8, 2);
    assert_eq!((pieces.read(9), pieces.read(20)), (None, Some(20)));
    let report = pieces.report();
    assert_eq!(report.holder, Holder::DeviceTlb);
    assert_eq!(
        words(&report),
        [
            "PASID IOTLB, domain 7, PASID 0, 512 pages from 0x40200000, IH 1",
            "device TLB of 00:03.0, 512 pages from 0x40200000"
        ]
    );
}

#[test]
fn of_a_large_page_that_was_split_each_page_that_went_is_to_be_named_and_no_other() {
    for ats in [Ats::Disabled, Ats::Enabled] {
        let mut right = scene(SECOND_STAGE, LargePages::InPieces, ats);
        right.unmap(8..16);
        right.invalidate(8, 3);
        assert_eq!(
            (0..READ).filter(|number| right.read(*number) != Some(*number)).collect::<Vec<_>>(),
            (8..16).collect::<Vec<_>>()
        );
        assert_eq!(right.driver.unit.take_stale_uses(), []);
        assert_eq!(right.driver.unit.audit(), []);

        let mut wrong = scene(SECOND_STAGE, LargePages::InPieces, ats);
        wrong.unmap(8..16);
        wrong.invalidate(8, 2);
        assert_eq!((wrong.read(11), wrong.read(12)), (None, Some(12)));
        let report = wrong.report();
        assert_eq!(report.mistake().name(), "part-of-large-page");
        assert_eq!(words(&report)[0], "IOTLB, domain 7, page 0x4020c000, IH 1");
    }
}

#[test]
fn what_would_have_helped_is_the_whole_page_if_another_has_its_place() {
    let mut scene = scene(FIRST_STAGE, LargePages::InPieces, Ats::Disabled);
    let place = scene.driver.place(FIRST_STAGE, scene.table, LARGE, 2);
    scene.driver.memory.store(place, 0x60_0000 | FIRST_STAGE.leaf | 0x80);
    scene.invalidate(8, 2);
    assert_eq!(scene.read(20), Some(20));
    let report = scene.report();
    assert_eq!(words(&report), ["PASID IOTLB, domain 7, PASID 0, 512 pages from 0x40200000, IH 1"]);
    assert!(
        report.to_string().contains("reached 4K page 0x414000, where the tables have 2M page 0x600000"),
        "{report}"
    );
    assert_eq!(scene.driver.unit.read(0x34, Width::Bits32), 0);
}

#[test]
fn a_large_page_of_the_second_stage_says_nothing_of_the_first_stages_addresses() {
    let mut driver = Driver::scalable_with(VtdOptions { stale: EVERY_USE, ..VtdOptions::default() });
    let directory = driver.attach_scalable(SOURCE);
    let (first, second) = (driver.frame(), driver.frame());
    driver.nest(directory, 5, first.0, second);
    let place = driver.place(SECOND_STAGE, second, VirtAddr(0), 2);
    driver.memory.store(place, 0x80 | SECOND_STAGE.leaf);
    driver.map(FIRST_STAGE, first, PAGE, 1);
    let mut port = driver.ats_port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
    driver.memory.store(place, 0);
    driver.invalidate(&[invalidations::device_pasid_page(SOURCE, 5, VirtAddr(PAGE.0 ^ 0x1000))]);
    assert_eq!(load_at(&mut port, Some(pasid(5)), PAGE), Ok(1));
    let report = driver.unit.take_stale_uses().remove(0);
    assert_eq!(report.change.table, Table::SecondStage { level: 2 });
    assert_eq!(words(&report), ["IOTLB, domain 7", "device TLB of 00:03.0, PASID 5, page 0x40201000"]);
    assert_eq!(report.mistake().name(), "nothing-invalidated");
}
