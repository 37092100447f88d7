//! A network interface, as a driver uses it: questions for the gateway's hardware address, and their answers.
//!
//! Invariant: there is room for an answer before the question is sent. Source: VIRTIO 1.2, 5.1.6; RFC 826.

use super::device::{Device, PAGE, Piece};
use super::unit::Remapping;
use crate::console::say;
use crate::hardware::{load8, store8};
use crate::id::Iova;
use crate::memory::Frame;
use crate::policy::Policy;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// The feature: it has an address.
const MAC: u64 = 1 << 5;
/// Bytes before a frame, and of a question and an answer without them.
const PREFIX: u64 = 12;
const FRAME: u64 = 42;
const QUESTION: u32 = 54;
const ROOM: u32 = 2048;
const ROUNDS: u64 = 32;
/// Where the device finds room for an answer.
const ANSWER: Iova = Iova(PAGE.0 + 0x1000);
/// Who asks, and for whom: 10.0.2.15 and 10.0.2.2.
const GUEST: [u8; 4] = [10, 0, 2, 15];
const GATEWAY: [u8; 4] = [10, 0, 2, 2];
/// Behind the two hardware addresses: ARP, over Ethernet, of IPv4; and then what it is.
const ARP: [u8; 9] = [8, 6, 0, 1, 8, 0, 6, 4, 0];
const ASKS: u8 = 1;
const ANSWERS: u8 = 2;

/// Asks and hears the answers, in pages that move.
pub(super) fn ask(unit: &mut Remapping, device: &mut Device) {
    let pages = [unit.memory.frame(), unit.memory.frame(), unit.memory.frame()];
    begin(device);
    for round in 0..ROUNDS {
        let (asked, heard) = if round % 2 == 0 { (pages[0], pages[1]) } else { (pages[1], pages[2]) };
        clear(heard);
        write_question(device, asked);
        let at = device.map(unit, asked);
        unit.map(&device.space, ANSWER, heard);
        device.offer_room(Piece::written(ANSWER, ROOM));
        device.request(&[Piece::read(at, QUESTION)]);
        hear(device, heard);
        device.unmap(unit);
        unit.unmap(&device.space, ANSWER, Policy::Right);
    }
    say!("network: {ROUNDS} questions answered");
}

/// Waits for the answer, past what others say.
fn hear(device: &mut Device, page: Frame) {
    while !(u64::from(device.wait_for_room()) >= PREFIX + FRAME && is_answer(page)) {
        clear(page);
        device.offer_room(Piece::written(ANSWER, ROOM));
    }
}

/// The page of a question leads somewhere else, which nobody invalidates, and the next is sent from what was.
pub(super) fn ask_from_a_page_that_is_gone(unit: &mut Remapping, device: &mut Device) {
    let pages = [unit.memory.frame(), unit.memory.frame()];
    begin(device);
    write_question(device, pages[0]);
    let at = device.map(unit, pages[0]);
    device.request(&[Piece::read(at, QUESTION)]);
    clear(pages[1]);
    unit.remap(&device.space, PAGE, pages[1], Policy::Nothing);
    device.request(&[Piece::read(at, QUESTION)]);
    say!("network: sent from a page that moved and that nobody invalidated");
    // Another frame, before an invalidation came.
    unit.remap(&device.space, PAGE, pages[0], Policy::Right);
}

/// The page of an answer leads somewhere else, which nobody invalidates, and the next is written to what was.
pub(super) fn hear_in_a_page_that_is_gone(unit: &mut Remapping, device: &mut Device) {
    let [asked, first, second] = core::array::from_fn(|_| unit.memory.frame());
    begin(device);
    write_question(device, asked);
    let at = device.map(unit, asked);
    unit.map(&device.space, ANSWER, first);
    for is_last in [false, true] {
        [first, second].into_iter().for_each(clear);
        device.offer_room(Piece::written(ANSWER, ROOM));
        device.request(&[Piece::read(at, QUESTION)]);
        device.wait_for_room();
        if !is_last {
            unit.remap(&device.space, ANSWER, second, Policy::Nothing);
        }
    }
    say!("network: answers in the pages {:?} after one moved", [first, second].map(is_answer));
    unit.remap(&device.space, ANSWER, first, Policy::Right);
}

fn begin(device: &mut Device) {
    let accepted = device.begin_pair(TRANSMIT, RECEIVE, MAC);
    assert!(accepted & MAC != 0, "an interface without an address");
}

fn write_question(device: &Device, page: Frame) {
    let own = device.config_word(0).to_le_bytes();
    let own = &own[..6];
    let parts: [&[u8]; 8] = [&[0xff; 6], own, &ARP, &[ASKS], own, &GUEST, &[0; 6], &GATEWAY];
    (0..PREFIX).for_each(|at| store8(page.address() + at, 0));
    for (at, byte) in (page.address() + PREFIX..).zip(parts.into_iter().flatten()) {
        store8(at, *byte);
    }
}

/// Whether the gateway says in it who it is.
fn is_answer(page: Frame) -> bool {
    let byte = |at: u64| load8(page.address() + PREFIX + at);
    // Nothing is left to do to it, and it is in one buffer.
    let prefix = [0_u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    let is_plain = (page.address()..).zip(&prefix).all(|(at, expected)| load8(at) == *expected);
    let stands = |at: u64, bytes: &[u8]| (at..).zip(bytes).all(|(at, expected)| byte(at) == *expected);
    is_plain && stands(12, &ARP) && byte(21) == ANSWERS && stands(28, &GATEWAY) && stands(38, &GUEST)
}

fn clear(page: Frame) {
    (0..512).for_each(|word| page.store(word, 0));
}
