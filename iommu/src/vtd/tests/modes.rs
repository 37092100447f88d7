//! The global command register, the modes, and the addresses that are not translated.

use super::driver::invalidations;
use super::driver::{DOMAIN, Driver, FIRST_STAGE, PAGE, SECOND_STAGE, SOURCE, load, load_at, pasid};
use crate::spec::fault::FaultReason;
use crate::vtd::Table;
use crate::vtd::Width;
use crate::vtd::options::VtdOptions;
use mmu::address::{Access, VirtAddr};
use pcie::{Msi, Request, Requester};
use std::sync::atomic::{AtomicBool, Ordering};

/// In the range that interrupts are stored to.
const IN_RANGE: VirtAddr = VirtAddr(0xfee0_1000);

#[test]
fn the_status_follows_the_command_at_once() {
    let driver = Driver::new(VtdOptions::default());
    for bit in [1 << 30, 1 << 31, 1 << 26, 1 << 24, 1 << 25, 1 << 23_u64] {
        driver.unit.write(0x18, Width::Bits32, bit);
        assert_ne!(driver.read_word(0x1c) & bit, 0, "{bit:#x}");
    }
    assert_eq!(driver.read_word(0x18), 1 << 23, "what was written last");
}

#[test]
fn the_capabilities_are_those_that_linux_needs() {
    let driver = Driver::new(VtdOptions::default());
    let (cap, ecap) = (driver.read(0x08), driver.read(0x10));
    assert_eq!(driver.read_word(0), 0x10);
    assert_eq!(cap >> 8 & 0x1f, 0b110, "39 and 48 bits");
    assert_eq!((cap >> 16 & 0x3f) + 1, 48);
    assert_eq!((cap >> 24 & 0x3ff) * 16, 0x220);
    assert_eq!(cap >> 34 & 0xf, 3);
    assert_eq!(cap >> 48 & 0x3f, 18);
    for bit in [39, 54, 55, 56, 60] {
        assert_eq!(cap >> bit & 1, 1, "CAP bit {bit}");
    }
    assert_eq!((ecap >> 8 & 0x3ff) * 16, 0xf0);
    assert_eq!((ecap >> 35 & 0x1f) + 1, 12, "PASID bits");
    for bit in [0, 1, 2, 3, 4, 6, 7, 29, 40, 42, 43, 46, 47, 48, 49] {
        assert_eq!(ecap >> bit & 1, 1, "ECAP bit {bit}");
    }
    driver.unit.write(0x08, Width::Bits64, 0);
    assert_eq!(driver.read(0x08), cap, "read-only");
}

#[test]
fn offsets_without_a_register_read_zero_and_take_nothing() {
    let driver = Driver::new(VtdOptions::default());
    for offset in [0x60, 0xffc, 0x1000, u64::MAX - 3] {
        driver.write_word(offset, u64::MAX);
        assert_eq!(driver.read_word(offset), 0, "{offset:#x}");
    }
    assert_eq!(driver.read(0xc), 0, "a misaligned 64-bit access");
}

#[test]
fn rule_15_a_new_root_table_flushes_nothing_by_itself() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let root = driver.frame();
    driver.set_root(root);
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 2);
    driver.unit.write(0x20, Width::Bits64, root.0);
    driver.command_once(1 << 30);
    assert_eq!(load(&mut port), Ok(1), "context cache and IOTLB still know");
    driver.invalidate(&[invalidations::all()]);
    assert_eq!(load(&mut port), Ok(1), "the context cache still knows");
    driver.invalidate(&[invalidations::all_contexts(), invalidations::all()]);
    assert_eq!(load(&mut port), Ok(2));
}

#[test]
fn rule_15_switching_translation_off_drains() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    let request = Request { pasid: None, address: PAGE, access: Access::Read };
    let in_flight = port.translate(request).unwrap();
    let off = AtomicBool::new(false);
    let unit = std::sync::Arc::clone(&driver.unit);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            driver.disable_translation();
            off.store(true, Ordering::SeqCst);
        });
        while unit.iotlb().draining() == 0 {
            assert!(!off.load(Ordering::SeqCst), "it did not wait");
            std::thread::yield_now();
        }
        assert_eq!(in_flight.load(), 1);
    });
    assert_eq!(port.translate(request).unwrap().address().0, PAGE.0, "not translated any more");
}

#[test]
fn rule_17_without_a_pasid_the_interrupt_range_takes_interrupts_and_nothing_else() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, IN_RANGE, 1);
    let mut port = driver.port();
    assert_eq!(port.write(None, IN_RANGE, &0x41_u32.to_le_bytes()), Ok(()));
    assert_eq!(driver.interrupts.take(), [Msi { address: IN_RANGE.0, data: 0x41 }]);
    assert_eq!(load_at(&mut port, None, IN_RANGE).unwrap_err().reason, FaultReason::NoInterrupt);
    assert_eq!(driver.read(0x228) >> 32 & 0xff, 0x29);
    let wide = port.write(None, IN_RANGE, &[0; 8]).unwrap_err();
    assert_eq!(wide.reason, FaultReason::NoInterrupt);
    assert_eq!(driver.interrupts.take(), []);
}

#[test]
fn rule_17_with_a_pasid_the_range_is_an_address_like_any_other_unless_nothing_translates_it() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 5, DOMAIN);
    driver.pass_through(directory, 6);
    driver.map(FIRST_STAGE, table, IN_RANGE, 1);
    let mut port = driver.port();
    assert_eq!(load_at(&mut port, Some(pasid(5)), IN_RANGE), Ok(1));
    port.write(Some(pasid(5)), IN_RANGE, &[2, 0, 0, 0]).unwrap();
    assert_eq!(load_at(&mut port, Some(pasid(5)), IN_RANGE), Ok(2));
    let passed = port.write(Some(pasid(6)), IN_RANGE, &[2, 0, 0, 0]).unwrap_err();
    assert_eq!(passed.reason, FaultReason::ScalableInterruptRange);
    assert_eq!(driver.interrupts.take(), []);
}

#[test]
fn rule_17_without_a_pasid_the_range_is_refused_also_where_every_other_address_passes() {
    let mut driver = Driver::legacy();
    driver.attach_legacy(SOURCE, DOMAIN, 2);
    let mut port = driver.port();
    for _ in 0..2 {
        assert_eq!(load(&mut port), Ok(u64::MAX), "an address passes, and so does every one behind it");
        assert_eq!(load_at(&mut port, None, IN_RANGE).unwrap_err().reason, FaultReason::NoInterrupt);
    }
}

#[test]
fn rule_17_without_a_pasid_the_range_is_refused_though_the_domain_has_a_page_there() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.second_stage(directory, 0, DOMAIN);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    driver.map(SECOND_STAGE, table, IN_RANGE, 2);
    let [from, to] = [0, 5].map(|number| driver.pasid_place(directory, number));
    for offset in [8, 16, 0] {
        driver.memory.store(to.offset(offset), driver.memory.load(from.offset(offset)));
    }
    for mut port in [driver.port(), driver.ats_port()] {
        assert_eq!(load_at(&mut port, Some(pasid(5)), IN_RANGE), Ok(2), "the second stage has no PASID");
        assert_eq!(load(&mut port), Ok(1), "the route without one is known");
        assert_eq!(load_at(&mut port, None, IN_RANGE).unwrap_err().reason, FaultReason::NoInterrupt);
    }
}

#[test]
fn rule_17_no_table_leads_into_the_interrupt_range() {
    let reasons = |level, leaf: u64, address| {
        let mut legacy = Driver::legacy();
        let second = legacy.attach_legacy(SOURCE, DOMAIN, 0);
        let mut scalable = Driver::scalable();
        let directory = scalable.attach_scalable(SOURCE);
        let first = scalable.first_stage(directory, 0, DOMAIN);
        [(legacy, SECOND_STAGE, second), (scalable, FIRST_STAGE, first)].map(|(mut driver, format, table)| {
            let place = driver.place(format, table, PAGE, level);
            driver.memory.store(place, leaf | format.leaf);
            let mut port = driver.port();
            load_at(&mut port, None, address).map_err(|blocked| blocked.reason)
        })
    };
    let refused = [Err(FaultReason::InterruptRange), Err(FaultReason::ScalableInterruptRange)];
    assert_eq!(reasons(1, 0xfeef_f000, PAGE), refused);
    let large = 0xfee0_0000 | 0x80;
    assert_eq!(reasons(2, large, PAGE), refused, "its first half is the range");
    assert_eq!(reasons(2, large, VirtAddr(PAGE.0 | 0x10_0000)), [Ok(u64::MAX); 2], "its second is not");
}

#[test]
fn rule_17_a_large_page_around_the_range_is_not_cached_whole() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let place = driver.place(SECOND_STAGE, table, PAGE, 3);
    driver.memory.store(place, 0xc000_0000 | 0x83);
    let mut port = driver.port();
    let base = VirtAddr(PAGE.0 & !0x3fff_ffff);
    assert_eq!(load_at(&mut port, None, base), Ok(u64::MAX), "nothing lies there");
    let inside = base.offset(0x3ee0_0000);
    assert_eq!(load_at(&mut port, None, inside).unwrap_err().reason, FaultReason::InterruptRange);
}

#[test]
fn pass_through_reaches_physical_memory() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    driver.pass_through(directory, 0);
    let mut legacy = Driver::legacy();
    legacy.attach_legacy(SOURCE, DOMAIN, 2);
    for mut driver in [driver, legacy] {
        let frame = driver.frame();
        driver.memory.store(frame, 7);
        assert_eq!(load_at(&mut driver.port(), None, VirtAddr(frame.0)), Ok(7));
    }
}

#[test]
fn a_unit_that_is_off_passes_everything() {
    let mut driver = Driver::new(VtdOptions::default());
    let frame = driver.frame();
    driver.memory.store(frame, 7);
    assert_eq!(load_at(&mut driver.port(), None, VirtAddr(frame.0)), Ok(7));
    assert_eq!(load_at(&mut driver.port(), None, IN_RANGE), Ok(u64::MAX), "where no memory is");
    assert_eq!(driver.read_word(0x34), 0);
}

#[test]
fn what_the_unit_does_not_offer_no_entry_may_ask_for() {
    let options = VtdOptions { device_tlb: false, five_levels: false, ..VtdOptions::default() };
    let mut legacy = Driver::legacy_with(options);
    legacy.attach_legacy(SOURCE, DOMAIN, 1);
    assert_eq!(load(&mut legacy.port()).unwrap_err().reason, FaultReason::ContextInvalid);
    let mut scalable = Driver::scalable_with(options);
    let directory = scalable.attach_scalable(SOURCE);
    scalable.first_stage(directory, 0, DOMAIN);
    let place = scalable.pasid_place(directory, 0).offset(16);
    scalable.memory.store(place, scalable.memory.load(place) | 1 << 2);
    assert_eq!(load(&mut scalable.port()).unwrap_err().reason, FaultReason::PasidInvalid);
}

#[test]
fn a_pasid_entry_with_reserved_bits_is_refused() {
    for (word, bit) in [(0, 10), (8, 16), (16, 11)] {
        let mut driver = Driver::scalable();
        let directory = driver.attach_scalable(SOURCE);
        driver.first_stage(directory, 0, DOMAIN);
        let place = driver.pasid_place(directory, 0).offset(word);
        driver.memory.store(place, driver.memory.load(place) | 1 << bit);
        assert_eq!(load(&mut driver.port()).unwrap_err().reason, FaultReason::PasidReserved);
    }
}

#[test]
fn a_request_with_pasid_needs_scalable_mode() {
    let mut driver = Driver::legacy();
    driver.attach_legacy(SOURCE, DOMAIN, 0);
    let blocked = load_at(&mut driver.port(), Some(pasid(5)), PAGE).unwrap_err();
    assert_eq!(blocked.reason, FaultReason::PasidInLegacyMode);
}

#[test]
fn an_access_across_pages_is_translated_page_by_page() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 0);
    let next = PAGE.offset(0x1000);
    let second = driver.map(SECOND_STAGE, table, next, 0);
    let first = driver.map(SECOND_STAGE, table, PAGE, 0);
    let mut port = driver.port();
    let bytes: Vec<u8> = (1..=16).collect();
    let start = PAGE.offset(0xffb);
    port.write(None, start, &bytes).unwrap();
    let mut read = [0; 16];
    port.read(None, start, &mut read).unwrap();
    assert_eq!(read[..], bytes[..]);
    assert_eq!(driver.memory.load(first.offset(0xff8)) >> 24, 0x05_0403_0201);
    assert_eq!(driver.memory.load(second), u64::from_le_bytes([6, 7, 8, 9, 10, 11, 12, 13]));
    driver.unmap(SECOND_STAGE, table, next);
    driver.invalidate(&[invalidations::pages(DOMAIN, next, 0)]);
    let blocked = port.write(None, start, &[0xee; 16]).unwrap_err();
    assert_eq!(blocked.request.address, next, "the page before was written");
}

#[test]
fn an_address_outside_memory_reads_as_ones_and_takes_nothing() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    driver.pass_through(directory, 0);
    let mut port = driver.port();
    let outside = VirtAddr(1 << 40);
    let mut bytes = [0; 4];
    port.read(None, outside, &mut bytes).unwrap();
    assert_eq!(bytes, [0xff; 4]);
    port.write(None, outside, &bytes).unwrap();
    assert_eq!(load_at(&mut port, None, outside), Ok(u64::MAX));
}

#[test]
fn an_inspection_tells_what_the_tables_say_and_why() {
    let mut driver = Driver::scalable();
    let directory = driver.attach_scalable(SOURCE);
    let table = driver.first_stage(directory, 0, DOMAIN);
    driver.map(FIRST_STAGE, table, PAGE, 1);
    let mut port = driver.port();
    load(&mut port).unwrap();
    let frame = driver.map(FIRST_STAGE, table, PAGE, 2);
    let request = Request { pasid: None, address: PAGE, access: Access::Write };
    let inspection = driver.unit.inspect(Requester { source: SOURCE, pasid: None }, &request);
    assert_eq!(inspection.translation.unwrap().pfn, frame.pfn());
    assert_eq!(load(&mut port), Ok(1), "looking refreshed nothing");
    let leaf = inspection.readings.last().unwrap();
    assert_eq!((leaf.table, leaf.leaf), (Table::FirstStage { level: 1 }, true));
    assert_eq!(driver.memory.load(leaf.place), leaf.value, "and marked nothing");
    let places: Vec<_> = inspection.readings.iter().map(|reading| reading.table).collect();
    assert_eq!(places[0], Table::Root);
    assert_eq!(places.len(), 1 + 2 + 1 + 3 + 4, "root, context, directory, PASID, four levels");
}
