//! Where breakpoints are, and that nothing of them stays.

use mmu::address::PhysAddr;
use mmu::memory::PhysicalMemory;

use super::{Breakpoints, Kind, MOST_IN_MEMORY};
use crate::kvm::processor::debug::Pace;

const AT: u64 = 0x1000;

fn memory() -> PhysicalMemory {
    let memory = PhysicalMemory::new(2 << 20).expect("there is room");
    memory.write_bytes(PhysAddr(AT), b"abcd");
    memory
}

fn bytes(memory: &PhysicalMemory) -> [u8; 4] {
    let mut bytes = [0; 4];
    memory.read_bytes(PhysAddr(AT), &mut bytes);
    bytes
}

#[test]
fn four_go_into_registers_and_the_fifth_does_not() {
    let (mut breakpoints, memory) = (Breakpoints::default(), memory());
    for address in 0..4 {
        assert!(breakpoints.add_to_registers(address, Kind::Software));
        assert!(breakpoints.add_to_registers(address, Kind::Software), "twice is once");
    }
    assert!(!breakpoints.add_to_registers(9, Kind::Hardware));
    assert!(!breakpoints.remove(&memory, 1, Kind::Hardware), "it was called otherwise");
    assert!(breakpoints.remove(&memory, 1, Kind::Software));
    assert!(breakpoints.add_to_registers(9, Kind::Hardware));
    assert_eq!((breakpoints.kind(9), breakpoints.kind(0)), (Kind::Hardware, Kind::Software));
    assert_eq!(breakpoints.plan(Pace::Step).registers, [Some(0), Some(9), Some(2), Some(3)]);
}

#[test]
fn memory_is_shown_and_left_as_it_was() {
    let (mut breakpoints, memory) = (Breakpoints::default(), memory());
    assert!(breakpoints.add_to_memory(&memory, 0xff01, PhysAddr(AT + 1)));
    assert!(
        !breakpoints.add_to_memory(&memory, 0xee01, PhysAddr(AT + 1)),
        "the same byte by another address"
    );
    assert_eq!(bytes(&memory), *b"a\xcccd");
    let mut shown = bytes(&memory);
    breakpoints.hide(0xff00, &mut shown);
    assert_eq!(shown, *b"abcd");
    let written = breakpoints.keep(0xff00, b"xyz");
    assert_eq!(written, b"x\xccz");
    memory.write_bytes(PhysAddr(AT), &written);
    assert!(breakpoints.remove(&memory, 0xff01, Kind::Software));
    assert_eq!(bytes(&memory), *b"xyzd");
    assert!(!breakpoints.remove(&memory, 0xff01, Kind::Software));
}

#[test]
fn what_the_guest_has_put_there_since_stays() {
    let (mut breakpoints, memory) = (Breakpoints::default(), memory());
    assert!(breakpoints.add_to_memory(&memory, AT, PhysAddr(AT)));
    assert!(breakpoints.add_to_memory(&memory, AT + 2, PhysAddr(AT + 2)));
    memory.write_bytes(PhysAddr(AT), b"!");
    breakpoints.clear(&memory);
    assert_eq!(bytes(&memory), *b"!bcd");
    assert_eq!(breakpoints.plan(Pace::Continue), super::Plan::default());
}

#[test]
fn there_is_no_end_of_memory_and_an_end_of_breakpoints() {
    let (mut breakpoints, memory) = (Breakpoints::default(), memory());
    assert!(!breakpoints.add_to_memory(&memory, 0, PhysAddr(2 << 20)));
    let added = (0..2000).filter(|at| breakpoints.add_to_memory(&memory, *at, PhysAddr(*at))).count();
    assert_eq!(added, MOST_IN_MEMORY);
}
