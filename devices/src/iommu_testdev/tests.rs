//! Every result that the device can give.

use mmu::address::PhysAddr;

use super::IommuTestdev;
use crate::bus::Width;
use crate::pci::Function;
use crate::rig::Rig;

fn rig() -> Rig<IommuTestdev> {
    Rig::new(IommuTestdev::config(), IommuTestdev::new)
}

impl Rig<IommuTestdev> {
    fn store(&self, offset: u64, value: u64) {
        self.device.write(0, offset, Width::Dword, value);
    }

    fn load(&self, offset: u64) -> u64 {
        self.device.read(0, offset, Width::Dword)
    }

    fn run(&self, address: u64, physical: u64, length: u64) -> u64 {
        let halves = |value: u64| (value & 0xffff_ffff, value >> 32);
        let ((low, high), (physical_low, physical_high)) = (halves(address), halves(physical));
        for (offset, value) in
            [(4, low), (8, high), (0xc, length), (0x1c, physical_low), (0x20, physical_high), (0x14, 1)]
        {
            self.store(offset, value);
        }
        assert_eq!(self.load(0x10), 0xffff_fffe, "armed");
        self.load(0);
        self.load(0x10)
    }
}

#[test]
fn bytes_that_arrive_where_they_should_pass() {
    let rig = rig();
    assert_eq!(rig.run(0x1ffe, 0x1ffe, 6), 0);
    let mut found = [0; 7];
    rig.memory.read_bytes(PhysAddr(0x1ffe), &mut found);
    assert_eq!(found, [0x78, 0x56, 0x34, 0x12, 0x78, 0x56, 0]);
}

#[test]
fn bytes_that_arrive_elsewhere_are_a_mismatch() {
    let rig = rig();
    assert_eq!(rig.run(0x1000, 0x2000, 4), 0xdead_0004);
}

#[test]
fn what_goes_wrong_has_a_number() {
    let rig = rig();
    let end = rig.memory.len_bytes();
    assert_eq!(rig.load(0x10), 0xffff_ffff, "idle");
    assert_eq!(rig.run(0, 0, 0), 0xdead_0001);
    assert_eq!(rig.run(0, 0, 0xffff_ffff), 0xdead_0001, "longer than a processor waits for");
    assert_eq!(rig.run(end, 0, 4), 0xdead_0002);
    assert_eq!(rig.run(u64::MAX, 0, 4), 0xdead_0002);
    assert_eq!(rig.run(0, end - 2, 4), 0xdead_0003);
    assert_eq!(rig.run(0, u64::MAX, 4), 0xdead_0003);
    rig.load(0);
    assert_eq!(rig.load(0x10), 0xdead_0005, "a trigger takes the arming away");
    rig.store(0x18, 0b1011);
    assert_eq!(rig.run(0, 0, 4), 0xdead_0006);
}

#[test]
fn narrow_and_wide_accesses_do_nothing() {
    let rig = rig();
    rig.device.write(0, 0xc, Width::Byte, 4);
    rig.device.write(0, 0x4, Width::Qword, u64::MAX);
    assert_eq!((rig.load(0xc), rig.load(0x4), rig.device.read(0, 0, Width::Qword)), (0, 0, 0));
    assert_eq!(rig.load(0x10), 0xffff_ffff);
}
