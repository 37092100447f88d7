//! Whatever a guest writes is data: no panic, no work without end.

use mmu::address::{Access, PhysAddr};

use super::driver::{Driver, SOURCE};
use crate::vtd::Width;
use crate::vtd::port::Request;

#[test]
fn a_table_that_contains_itself_ends_the_walk() {
    let mut driver = Driver::legacy();
    let table = driver.attach_legacy(SOURCE, super::driver::DOMAIN, 0);
    for index in 0..512 {
        driver.memory.store(table.offset(index * 8), table.0 | 3);
    }
    let request = Request { pasid: None, address: super::driver::PAGE, access: Access::Read };
    assert_eq!(driver.port().translate(request).unwrap().address().pfn(), table.pfn());
}

#[test]
fn one_doorbell_passes_the_ring_once() {
    let driver = Driver::legacy();
    let queue = driver.read(0x90) & !0xfff;
    for place in (0..0x1000).step_by(16) {
        driver.memory.store(PhysAddr(queue + place), 0x11);
    }
    driver.unit.write(0x88, Width::Bits64, 0xff0);
    assert_eq!(driver.read(0x80), 0xff0);
}
