//! The invalidation queue: waits, interrupts, errors.

use pcie::Msi;

use super::driver::invalidations;
use super::driver::{DOMAIN, Driver, PAGE, SECOND_STAGE, SOURCE, load};
use crate::spec::fault::FaultReason;
use crate::vtd::Width;
use crate::vtd::options::VtdOptions;

const FSTS: u64 = 0x34;
const IQE: u64 = 1 << 4;
const ITE: u64 = 1 << 6;
const IQH: u64 = 0x80;
const IQERCD: u64 = 0xb0;

#[test]
fn rule_06_a_wait_writes_four_bytes_and_leaves_the_four_beside_them() {
    let mut driver = Driver::legacy();
    let place = driver.frame();
    driver.memory.store(place, u64::MAX);
    driver.submit(&[[5 | 1 << 5 | 0x1234 << 32, place.0, 0, 0]]);
    assert_eq!(driver.memory.load(place), 0xffff_ffff_0000_1234);
    driver.submit(&[[5 | 1 << 5 | 0x5678 << 32, place.0 + 4, 0, 0]]);
    assert_eq!(driver.memory.load(place), 0x0000_5678_0000_1234);
}

#[test]
fn rule_06_a_wait_raises_the_completion_interrupt() {
    let mut driver = Driver::legacy();
    driver.write_word(0xa4, 0x41);
    driver.write_word(0xa8, 0xfee0_1000);
    driver.submit(&[[5 | 1 << 4, 0, 0, 0]]);
    assert_eq!(driver.interrupts.take(), [], "masked after reset");
    assert_eq!(driver.read_word(0x9c), 1, "ICS.IWC");
    driver.write_word(0xa0, 0);
    let message = Msi { address: 0xfee0_1000, data: 0x41 };
    assert_eq!(driver.interrupts.take(), [message], "sent when the mask goes");
    driver.submit(&[[5 | 1 << 4, 0, 0, 0]]);
    assert_eq!(driver.interrupts.take(), [], "IWC is still set");
    driver.write_word(0x9c, 1);
    driver.submit(&[[5 | 1 << 4, 0, 0, 0]]);
    assert_eq!(driver.interrupts.take(), [message]);
}

#[test]
fn rule_06_a_fence_alone_is_legal() {
    let mut driver = Driver::legacy();
    driver.submit(&[[5 | 1 << 6, 0, 0, 0]]);
    assert_eq!(driver.read(IQH), 16);
    assert_eq!(driver.read_word(FSTS), 0);
}

#[test]
fn rule_06_a_status_address_outside_memory_takes_nothing() {
    let mut driver = Driver::legacy();
    driver.submit(&[[5 | 1 << 5, u64::MAX << 12, 0, 0]]);
    assert_eq!(driver.read(IQH), 16);
}

#[test]
fn rule_07_the_queue_stands_at_a_bad_descriptor_until_the_error_is_cleared() {
    let mut driver = Driver::legacy();
    let wait = driver.wait();
    driver.submit(&[invalidations::all(), [0xf, 0, 0, 0], wait]);
    assert_eq!(driver.read(IQH), 16, "at the bad one");
    assert_eq!(driver.read_word(FSTS) & IQE, IQE);
    assert!(!driver.waited());
    driver.ring();
    assert_eq!(driver.read(IQH), 16, "another doorbell changes nothing");
    let queue = driver.read(0x90) & !0xfff;
    driver.memory.store(mmu::address::PhysAddr(queue + 16), invalidations::all()[0]);
    driver.write_word(FSTS, IQE);
    assert!(driver.waited(), "mended and cleared, it goes on");
    assert_eq!(driver.read_word(FSTS), 0);
}

#[test]
fn rule_07_a_descriptor_that_was_mended_is_not_looked_at_before_the_error_is_cleared() {
    let mut driver = Driver::legacy();
    let wait = driver.wait();
    driver.submit(&[[0xf, 0, 0, 0], wait]);
    assert_eq!(driver.read_word(FSTS) & IQE, IQE);
    let queue = driver.read(0x90) & !0xfff;
    driver.memory.store(mmu::address::PhysAddr(queue), invalidations::all()[0]);
    driver.ring();
    assert_eq!((driver.read(IQH), driver.waited()), (0, false), "the queue stands");
    driver.write_word(FSTS, IQE);
    assert!(driver.waited());
}

#[test]
fn rule_07_a_queue_error_is_a_fault_event() {
    let mut driver = Driver::legacy();
    driver.write_word(0x3c, 0x30);
    driver.write_word(0x40, 0xfee0_0000);
    driver.write_word(0x38, 0);
    driver.submit(&[[0xf, 0, 0, 0]]);
    assert_eq!(driver.interrupts.take(), [Msi { address: 0xfee0_0000, data: 0x30 }]);
    assert_eq!(driver.read(IQERCD), 3, "the type");
}

#[test]
fn rule_07_a_device_that_does_not_answer_aborts_the_wait() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, DOMAIN, 1);
    driver.map(SECOND_STAGE, table, PAGE, 1);
    let mut port = driver.ats_port();
    load(&mut port).unwrap();
    driver.unit.hold_device_tlb(SOURCE);
    let wait = driver.wait();
    driver.submit(&[invalidations::device_page(SOURCE, PAGE), wait]);
    assert_eq!(driver.read(IQH), 16, "at the wait");
    driver.unit.time_out_device_tlb(SOURCE);
    assert_eq!(driver.read_word(FSTS) & ITE, ITE);
    assert_eq!(driver.read(IQERCD) >> 32, u64::from(SOURCE.0));
    assert_eq!(driver.read(IQH), 32, "behind the wait");
    assert!(!driver.waited(), "which was not completed");
    let wait = driver.wait();
    driver.submit(&[wait]);
    assert!(!driver.waited(), "nothing is fetched before the error is cleared");
    driver.write_word(FSTS, ITE);
    assert!(driver.waited());
}

#[test]
fn a_ring_wraps() {
    for mut driver in [Driver::legacy(), Driver::scalable()] {
        for _ in 0..600 {
            driver.invalidate(&[invalidations::all()]);
        }
        assert_eq!(driver.read(IQH), driver.tail());
    }
}

#[test]
fn a_queue_that_is_off_executes_nothing() {
    let mut driver = Driver::legacy();
    driver.clear_command(1 << 26);
    let wait = driver.wait();
    driver.submit(&[wait]);
    assert!(!driver.waited());
}

#[test]
fn a_tail_outside_the_queue_or_between_descriptors_is_an_error() {
    for (tail, error) in [(0x1000, 1), (16, 6)] {
        let driver = Driver::scalable();
        driver.unit.write(0x88, Width::Bits64, tail);
        assert_eq!(driver.read_word(FSTS) & IQE, IQE, "{tail:#x}");
        assert_eq!(driver.read(IQERCD), error, "{tail:#x}");
    }
}

#[test]
fn a_descriptor_outside_memory_is_an_error() {
    let driver = Driver::scalable();
    driver.unit.write(0x90, Width::Bits64, 1 << 40 | 1 << 11);
    driver.unit.write(0x88, Width::Bits64, 32);
    assert_eq!(driver.read(IQERCD), 2);
}

#[test]
fn wide_descriptors_need_a_unit_with_scalable_mode() {
    for scalable_mode in [true, false] {
        let mut driver = Driver::legacy_with(VtdOptions { scalable_mode, ..VtdOptions::default() });
        let queue = driver.read(0x90);
        driver.unit.write(0x90, Width::Bits64, queue | 1 << 11);
        driver.put(&[invalidations::all(), [0; 4]]);
        driver.unit.write(0x88, Width::Bits64, 32);
        assert_eq!(driver.read(IQERCD), if scalable_mode { 0 } else { 5 });
    }
}

#[test]
fn a_mode_that_the_unit_does_not_have_stops_the_queue_and_every_request() {
    let without = VtdOptions { scalable_mode: false, ..VtdOptions::default() };
    for (options, mode) in [(VtdOptions::default(), 2), (VtdOptions::default(), 3), (without, 1)] {
        let mut driver = Driver::legacy_with(options);
        let root = driver.read(0x20);
        driver.unit.write(0x20, Width::Bits64, root | mode << 10);
        driver.command_once(1 << 30);
        let wait = driver.wait();
        driver.submit(&[wait]);
        assert_eq!(driver.read(IQERCD), 7, "mode {mode}");
        assert_eq!(load(&mut driver.port()).unwrap_err().reason, FaultReason::RootTableMode);
    }
}

#[test]
fn switching_the_queue_off_sets_its_head_to_zero() {
    let mut driver = Driver::legacy();
    driver.submit(&[invalidations::all()]);
    assert_eq!(driver.read(IQH), 16);
    driver.clear_command(1 << 26);
    assert_eq!(driver.read(IQH), 0);
}

#[test]
fn narrow_descriptors_do_not_suit_scalable_mode() {
    let driver = Driver::scalable();
    let queue = driver.read(0x90);
    driver.unit.write(0x90, Width::Bits64, queue & !(1 << 11));
    driver.unit.write(0x88, Width::Bits64, 16);
    assert_eq!(driver.read(IQERCD), 5);
}

#[test]
fn a_queue_that_runs_when_asked_runs_when_its_head_or_the_fault_status_is_read() {
    for (asked, width) in [(0x34, Width::Bits32), (IQH, Width::Bits64)] {
        let mut driver = Driver::legacy();
        driver.unit.run_queue_when_asked();
        let wait = driver.wait();
        driver.submit(&[invalidations::all(), wait]);
        assert!(!driver.waited(), "nobody looked");
        let _status = driver.read_word(0x1c);
        assert!(!driver.waited(), "GSTS tells nothing of it");
        let _value = driver.unit.read(asked, width);
        assert!(driver.waited(), "{asked:#x}");
        assert_eq!(driver.read(IQH), driver.tail());
    }
}

#[test]
fn a_held_queue_goes_on_when_it_is_released() {
    let mut driver = Driver::legacy();
    driver.unit.hold_queue(1);
    let wait = driver.wait();
    driver.submit(&[invalidations::all(), wait]);
    assert_eq!(driver.read(IQH), 16);
    assert!(!driver.waited());
    driver.unit.release_queue();
    assert!(driver.waited());
}
