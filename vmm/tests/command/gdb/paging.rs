//! Addresses are the guest's own: the debugger itself switches paging on, with tables of its own.

use std::ops::Range;

use super::client::{Debugger, Running, hex, unhex};
use super::{RIP, image};
use crate::has_kvm;
use guest_images::bare::{BareImage, LOAD_ADDRESS};

/// A number in the description: behind the segments' bases.
const CR0: usize = 59;
/// Places in the image of all registers.
const CR0_PLACE: Range<usize> = 552..560;
const CR3_PLACE: Range<usize> = 568..576;
const CR4_PLACE: Range<usize> = 576..584;
const EFER_PLACE: Range<usize> = 592..600;

const PAGING: u64 = 1 << 31;
const PHYSICAL_ADDRESS_EXTENSION: u64 = 1 << 5;
const LONG_MODE: u64 = 1 << 8 | 1 << 10;

const TABLES: u64 = 0x20_0000;
/// Entries: present and writable; a page of 2 MiB.
const TABLE: u64 = 0x3;
const LARGE: u64 = 0x83;

fn write(debugger: &mut Debugger, at: u64, words: &[u64]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(debugger.ask(&format!("M{at:x},{:x}:{}", bytes.len(), hex(&bytes))), "OK");
}

/// Sets all registers at once: of some a processor takes only both or none.
fn switch_paging_on(debugger: &mut Debugger, before: &str) {
    let mut image = unhex(before);
    let mut add = |place: Range<usize>, bits: u64| {
        let bytes = &mut image[place];
        let value = u64::from_le_bytes((&*bytes).try_into().expect("eight bytes"));
        bytes.copy_from_slice(&(value | bits).to_le_bytes());
    };
    add(CR0_PLACE, PAGING);
    add(CR3_PLACE, TABLES);
    add(CR4_PLACE, PHYSICAL_ADDRESS_EXTENSION);
    add(EFER_PLACE, LONG_MODE);
    assert_eq!(debugger.ask(&format!("G{}", hex(&image))), "OK");
    assert_ne!(debugger.register(CR0) & PAGING, 0);
}

#[test]
fn an_address_is_walked_through_the_guests_own_tables() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "paging");
    let running = Running::start("paging", &["--kernel", &path]);
    let mut debugger = running.debugger();
    // The first 2 MiB twice, the I/O APIC, nothing.
    write(&mut debugger, TABLES, &[(TABLES + 0x1000) | TABLE]);
    write(&mut debugger, TABLES + 0x1000, &[(TABLES + 0x2000) | TABLE]);
    write(&mut debugger, TABLES + 0x2000, &[LARGE, LARGE, 0xfec0_0000 | LARGE, 0]);
    let before = debugger.ask("g");
    switch_paging_on(&mut debugger, &before);
    let load = u64::from(LOAD_ADDRESS);
    let again = load + (2 << 20);
    assert_eq!(debugger.memory(again, code.len()), Some(code), "by its second address");
    assert_eq!(debugger.ask("m400000,4"), "E0e", "mapped, and no memory");
    assert_eq!(debugger.ask("M400000,4:00000000"), "E0e");
    assert_eq!(debugger.ask("m600000,4"), "E0e", "not mapped");
    // From a page that is mapped to one that is not memory.
    assert_eq!(debugger.memory((4 << 20) - 2, 4).map(|bytes| bytes.len()), Some(2));
    assert_eq!(debugger.ask(&format!("M{again:x},4:01020304")), "OK");
    assert_eq!(debugger.memory(load, 4), Some(vec![1, 2, 3, 4]), "both are one");
    assert_eq!(debugger.ask(&format!("G{before}")), "OK");
    assert_eq!(debugger.ask("m600000,1"), "00", "without paging that is memory");
    assert_eq!(debugger.register(RIP), super::entry());
    assert_eq!(debugger.ask("D"), "OK");
    let (status, said, told) = running.end();
    assert_eq!((status, said.as_str()), (Some(0), "hello\n"), "{told}");
}

#[test]
fn what_no_processor_can_hold_is_refused_and_changes_nothing() {
    if !has_kvm() {
        return;
    }
    // It goes on when a debugger is left, and has to be there for the next.
    let running = Running::start("refused", &["--guest", "echo"]);
    let mut debugger = running.debugger();
    let before = debugger.ask("g");
    // Long mode without paging.
    let mut wrong = unhex(&before);
    wrong[EFER_PLACE].copy_from_slice(&LONG_MODE.to_le_bytes());
    assert!(debugger.ask(&format!("G{}", hex(&wrong))).starts_with('E'));
    assert_eq!(debugger.ask("g"), before);
    for wrong in ["P999=00", "p999", "P0=00", "P0=", "G00", "p"] {
        // Refused, unknown, or the end: but no crash.
        if debugger.try_ask(wrong).is_none() {
            debugger = running.debugger();
        }
    }
    drop(debugger);
    assert_eq!(running.end().0, Some(0));
}
