//! Accesses of each width to a unit's registers.

use std::sync::Arc;

use devices::bus::{Registers, Width};
use iommu::vtd::Vtd;
use iommu::vtd::options::VtdOptions;
use mmu::memory::PhysicalMemory;
use pcie::{Msi, MsiSink};

use super::UnitRegisters;

/// The address of the unit's own interrupt, of 32 bits, which software may write.
const FEADDR: u64 = 0x40;

struct Nobody;

impl MsiSink for Nobody {
    fn send(&self, _: Msi) {}
}

#[test]
fn the_unit_sees_accesses_of_32_and_64_bits_and_no_others() {
    let memory = Arc::new(PhysicalMemory::new(1 << 20).expect("there is memory"));
    let unit = UnitRegisters(Vtd::new(memory, VtdOptions::default(), Arc::new(Nobody)));
    unit.write(FEADDR, Width::Dword, 0xfee0_1000);
    assert_eq!(unit.read(FEADDR, Width::Dword), 0xfee0_1000);
    for width in [Width::Byte, Width::Word] {
        unit.write(FEADDR, width, 0);
        assert_eq!(
            (unit.read(FEADDR, width), unit.read(FEADDR, Width::Dword)),
            (0, 0xfee0_1000),
            "{width:?}"
        );
    }
    // The capabilities, which are not 0.
    assert!(unit.read(8, Width::Qword) >> 32 != 0);
}
