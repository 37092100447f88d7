//! Interrupt remapping.

use mmu::address::PhysAddr;
use pcie::{Msi, SourceId};

use super::driver::{Driver, SOURCE};
use crate::spec::fault::FaultReason;
use crate::vtd::Width;
use crate::vtd::interrupts::InterruptSource;
use crate::vtd::options::VtdOptions;

const FUNCTION: InterruptSource = InterruptSource::Function(SOURCE);
const IRE: u64 = 1 << 25;
const SIRTP: u64 = 1 << 24;
const CFI: u64 = 1 << 23;
const EIME: u64 = 1 << 11;
const INVALIDATE_ALL: [u64; 4] = [4, 0, 0, 0];

/// A driver with a table of 256 entries.
fn driver(flags: u64) -> (Driver, PhysAddr) {
    let mut driver = Driver::legacy_with(VtdOptions::default());
    let table = driver.frame();
    driver.unit.write(0xb8, Width::Bits64, table.0 | 7 | flags);
    driver.command_once(SIRTP);
    driver.set_command(IRE);
    (driver, table)
}

fn set(driver: &Driver, table: PhysAddr, index: u64, entry: [u64; 2]) {
    driver.memory.store(table.offset(index * 16 + 8), entry[1]);
    driver.memory.store(table.offset(index * 16), entry[0]);
}

fn message(index: u64) -> Msi {
    Msi { address: 0xfee0_0010 | index << 5, data: 0 }
}

/// Vector 0x41 for APIC 5, from anywhere.
const ENTRY: [u64; 2] = [1 | 0x41 << 16 | 5 << 40, 0];
const DELIVERED: Msi = Msi { address: 0xfee0_5000, data: 0x4041 };

#[test]
fn an_entry_decides_where_an_interrupt_goes() {
    let (driver, table) = driver(0);
    set(&driver, table, 3, ENTRY);
    assert_eq!(driver.unit.interrupt(FUNCTION, message(3)), Ok(()));
    assert_eq!(driver.interrupts.take(), [DELIVERED]);
    let by_subhandle = Msi { address: 0xfee0_0018 | 1 << 5, data: 2 };
    assert_eq!(driver.unit.remap(FUNCTION, by_subhandle), Ok(DELIVERED));
}

#[test]
fn with_x2apic_ids_the_destination_has_32_bits() {
    let (driver, table) = driver(EIME);
    set(&driver, table, 3, [1 | 0x41 << 16 | 0x0001_0205 << 32, 0]);
    let sent = driver.unit.remap(FUNCTION, message(3)).unwrap();
    assert_eq!(sent.address, 0x0001_0200_fee0_5000);
}

#[test]
fn what_no_entry_admits_is_blocked_and_recorded() {
    let (driver, table) = driver(0);
    set(&driver, table, 1, [0, 0]);
    set(&driver, table, 2, [ENTRY[0], 1 << 20]);
    set(&driver, table, 4, [ENTRY[0], 1 << 18 | 0x55]);
    let blocked = |message| driver.unit.remap(FUNCTION, message).unwrap_err();
    assert_eq!(blocked(message(1)), FaultReason::InterruptNotPresent);
    assert_eq!(driver.read(0x228) >> 32 & 0xff, 0x22);
    assert_eq!(driver.read(0x220) >> 48, 1, "the index");
    assert_eq!(blocked(message(2)), FaultReason::InterruptEntryReserved);
    assert_eq!(blocked(message(4)), FaultReason::InterruptSource);
    assert_eq!(blocked(message(256)), FaultReason::InterruptIndex);
    for destination in [1 << 32, 1 << 48] {
        set(&driver, table, 5, [ENTRY[0] | destination, 0]);
        assert_eq!(blocked(message(5)), FaultReason::InterruptEntryReserved, "no x2APIC id");
    }
    let reserved = Msi { address: 0xfee0_0018, data: 1 << 16 };
    assert_eq!(blocked(reserved), FaultReason::InterruptRequestReserved);
}

#[test]
fn sources_are_checked_by_function_by_bits_and_by_bus() {
    let (mut driver, table) = driver(0);
    let mut admits = |check: u64, source: SourceId| {
        set(&driver, table, 3, [ENTRY[0], check]);
        driver.submit(&[INVALIDATE_ALL]);
        driver.unit.remap(InterruptSource::Function(source), message(3)).is_ok()
    };
    let this = u64::from(SOURCE.0);
    let sibling = SourceId(SOURCE.0 | 4);
    assert!(admits(1 << 18 | this, SOURCE));
    assert!(!admits(1 << 18 | this, sibling));
    assert!(admits(1 << 18 | 1 << 16 | this, sibling), "SQ ignores bit 2");
    assert!(admits(2 << 18 | 0x0003, SourceId::new(2, 0, 0)), "buses 0 to 3");
    assert!(admits(2 << 18 | 0x0003, SourceId::new(3, 31, 7)), "the last one too");
    assert!(admits(2 << 18 | 0x0102, SourceId::new(1, 0, 0)), "and the first");
    assert!(!admits(2 << 18 | 0x0102, SourceId::new(0, 31, 7)));
    // Functions of the number, as bits of it that count less and less.
    for (qualifier, ignored) in [(0, 0), (1, 0b100), (2, 0b110), (3, 0b111)] {
        for function in 0..8 {
            let check = 1 << 18 | qualifier << 16 | this;
            let seen = admits(check, SourceId(SOURCE.0 ^ function));
            assert_eq!(seen, function & !ignored == 0, "SQ {qualifier}, function {function}");
        }
    }
    assert!(!admits(2 << 18 | 0x0003, SourceId::new(4, 0, 0)));
}

#[test]
fn an_ioapic_is_not_checked() {
    let (driver, table) = driver(0);
    set(&driver, table, 3, [ENTRY[0], 1 << 18 | 0x55]);
    let ioapic = InterruptSource::IoApic(SourceId::new(0xff, 0, 0));
    assert_eq!(driver.unit.remap(ioapic, message(3)), Ok(DELIVERED));
}

#[test]
fn the_compatibility_format_passes_only_if_it_is_let() {
    let compatible = Msi { address: 0xfee0_1000, data: 0x31 };
    let (mut driver, _) = driver(0);
    let blocked = driver.unit.remap(FUNCTION, compatible);
    assert_eq!(blocked, Err(FaultReason::CompatibilityBlocked));
    driver.set_command(CFI);
    assert_eq!(driver.unit.remap(FUNCTION, compatible), Ok(compatible));
    driver.clear_command(IRE);
    assert_eq!(driver.unit.remap(FUNCTION, message(200)), Ok(message(200)), "off, everything passes");
}

#[test]
fn x2apic_mode_blocks_the_compatibility_format_in_any_case() {
    let (mut driver, _) = driver(EIME);
    driver.set_command(CFI);
    let blocked = driver.unit.remap(FUNCTION, Msi { address: 0xfee0_1000, data: 0x31 });
    assert_eq!(blocked, Err(FaultReason::CompatibilityBlocked));
}

#[test]
fn an_entry_is_cached_until_it_is_invalidated() {
    let (mut driver, table) = driver(0);
    set(&driver, table, 3, ENTRY);
    driver.unit.remap(FUNCTION, message(3)).unwrap();
    set(&driver, table, 3, [0, 0]);
    assert_eq!(driver.unit.remap(FUNCTION, message(3)), Ok(DELIVERED), "stale");
    driver.submit(&[[0x14 | 4 << 32, 0, 0, 0]]);
    assert_eq!(driver.unit.remap(FUNCTION, message(3)), Ok(DELIVERED), "entry 4 was invalidated");
    driver.submit(&[[0x14 | 2 << 27 | 1 << 32, 0, 0, 0]]);
    let blocked = driver.unit.remap(FUNCTION, message(3));
    assert_eq!(blocked, Err(FaultReason::InterruptNotPresent), "entries 0 to 3 were");
}

#[test]
fn an_entry_that_admits_nothing_is_not_cached_unless_the_unit_caches_such() {
    use crate::vtd::options::CachingMode;
    for (caching_mode, seen) in [(CachingMode::PresentOnly, true), (CachingMode::AlsoAbsent, false)] {
        let mut driver = Driver::legacy_with(VtdOptions { caching_mode, ..VtdOptions::default() });
        let table = driver.frame();
        driver.unit.write(0xb8, Width::Bits64, table.0 | 7);
        driver.command_once(SIRTP);
        driver.set_command(IRE);
        for refused in [[0, 0], [ENTRY[0], 1 << 20]] {
            set(&driver, table, 3, refused);
            driver.submit(&[INVALIDATE_ALL]);
            driver.unit.remap(FUNCTION, message(3)).unwrap_err();
            set(&driver, table, 3, ENTRY);
            assert_eq!(driver.unit.remap(FUNCTION, message(3)).is_ok(), seen, "{refused:x?}");
        }
    }
}

#[test]
fn the_new_table_counts_from_sirtp_on() {
    let (mut driver, table) = driver(0);
    set(&driver, table, 3, ENTRY);
    let other = driver.frame();
    driver.unit.write(0xb8, Width::Bits64, other.0 | 7);
    assert_eq!(driver.unit.remap(FUNCTION, message(3)), Ok(DELIVERED));
    driver.command_once(SIRTP);
    driver.submit(&[INVALIDATE_ALL]);
    assert_eq!(driver.unit.remap(FUNCTION, message(3)), Err(FaultReason::InterruptNotPresent));
}

#[test]
fn a_unit_that_does_not_remap_interrupts_cannot_be_told_to() {
    let driver = Driver::new(VtdOptions { interrupt_remapping: false, ..VtdOptions::default() });
    driver.command_once(SIRTP | IRE | CFI);
    assert_eq!(driver.read_word(0x1c), 0);
    assert_eq!(driver.unit.remap(FUNCTION, message(3)), Ok(message(3)));
}

#[test]
fn fpd_hides_a_blocked_interrupt() {
    let (driver, table) = driver(0);
    set(&driver, table, 3, [2, 0]);
    driver.unit.remap(FUNCTION, message(3)).unwrap_err();
    assert_eq!(driver.read_word(0x34), 0);
}
