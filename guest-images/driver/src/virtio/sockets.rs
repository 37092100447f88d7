//! Sockets between guest and host, as a driver uses them: one connection of the host's, whose bytes are sent back.
//!
//! Invariant: each packet comes to another page than the last; it is invalidated as `policy` has it. Source: VIRTIO 1.2, 5.10.6.

use super::device::{Device, PAGE, Piece};
use super::unit::Remapping;
use crate::console::say;
use crate::hardware::{load8, load16, load32, store8, store16, store32};
use crate::id::Iova;
use crate::memory::Frame;
use crate::policy::Policy;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// The feature: there are streams.
const STREAM: u64 = 1 << 0;
/// Bytes of a header and of a page, and what a sender has room for.
const HEADER: u32 = 44;
const ROOM: u32 = 4096;
/// Where the device finds room for a packet.
const HEARD: Iova = Iova(PAGE.0 + 0x1000);
/// The host, and the guest's own port.
const HOST: u64 = 2;
const OWN_PORT: u32 = 1000;
/// Where in a header its fields stand.
const TO_CID: u64 = 8;
const FROM_PORT: u64 = 16;
const TO_PORT: u64 = 20;
const LEN: u64 = 24;
const OPERATION: u64 = 30;
const FLAGS: u64 = 32;
const OWN_ROOM: u64 = 36;
const FORWARDED: u64 = 40;
/// Operations.
const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RESET: u16 = 3;
const SHUTDOWN: u16 = 4;
const DATA: u16 = 5;
const CREDIT_UPDATE: u16 = 6;
const CREDIT_REQUEST: u16 = 7;
/// Its sender sends no more, and takes no more.
const BOTH: u32 = 3;

/// What is said to a packet: operation, flags, and how many of its bytes go back.
type Answer = (u16, u32, u32);

/// Accepts a connection and sends back what comes until its end.
pub(super) fn echo(unit: &mut Remapping, mut device: Device, policy: Policy) {
    let [mut heard, mut other, said] = core::array::from_fn(|_| unit.memory.frame());
    let accepted = device.begin_pair(TRANSMIT, RECEIVE, STREAM);
    assert!(accepted & STREAM != 0, "sockets without streams");
    let at = device.map(unit, said);
    unit.map(&device.space, HEARD, heard);
    say!("sockets: listening");
    let mut bytes = 0;
    loop {
        clear(heard);
        device.offer_room(Piece::written(HEARD, ROOM));
        device.wait_for_room();
        let operation = load16(heard.address() + OPERATION);
        if operation == 0 {
            return say!("sockets: a packet came to a page that had moved and that nobody invalidated");
        }
        if operation == DATA {
            bytes += load32(heard.address() + LEN);
        }
        if let Some(answer) = answer(operation, heard) {
            write(said, heard, answer, bytes);
            device.request(&[Piece::read(at, HEADER + answer.2)]);
        }
        if operation == RESET || operation == SHUTDOWN && load32(heard.address() + FLAGS) == BOTH {
            break;
        }
        unit.remap(&device.space, HEARD, other, policy);
        (heard, other) = (other, heard);
    }
    device.unmap(unit);
    unit.unmap(&device.space, HEARD, Policy::Right);
    say!("sockets: {bytes} bytes echoed");
}

/// Connects to that port of the host's, sends a packet, and hears its bytes come back.
pub(super) fn connect(unit: &mut Remapping, mut device: Device, port: u64) {
    let [heard, said] = core::array::from_fn(|_| unit.memory.frame());
    let _features = device.begin_pair(TRANSMIT, RECEIVE, STREAM);
    let at = device.map(unit, said);
    unit.map(&device.space, HEARD, heard);
    said.store(0, device.config_word(0));
    said.store(TO_CID / 8, HOST);
    store32(said.address() + FROM_PORT, OWN_PORT);
    store32(said.address() + TO_PORT, u32::try_from(port).unwrap_or(u32::MAX));
    store16(said.address() + 28, 1);
    store32(said.address() + OWN_ROOM, ROOM);
    let ask = |device: &mut Device, operation, flags, len| {
        store16(said.address() + OPERATION, operation);
        store32(said.address() + FLAGS, flags);
        store32(said.address() + LEN, len);
        device.request(&[Piece::read(at, HEADER + len)]);
    };
    let hear = |device: &mut Device| {
        clear(heard);
        device.offer_room(Piece::written(HEARD, ROOM));
        device.wait_for_room();
        load16(heard.address() + OPERATION)
    };
    ask(&mut device, REQUEST, 0, 0);
    match hear(&mut device) {
        RESPONSE => say!("sockets: connected to {port}"),
        RESET => return say!("sockets: {port} is refused"),
        other => panic!("{other} is no answer to a request"),
    }
    let byte = |at: u64| u8::try_from(at % 251).unwrap_or_default();
    let len = ROOM - HEADER;
    (0..u64::from(len)).for_each(|at| store8(said.address() + u64::from(HEADER) + at, byte(at)));
    ask(&mut device, DATA, 0, len);
    let mut back = 0;
    while back < u64::from(len) {
        let operation = hear(&mut device);
        let bytes = if operation == DATA { u64::from(load32(heard.address() + LEN)) } else { 0 };
        assert!(operation != RESET, "{back} bytes came back");
        let is_right = |at: &u64| load8(heard.address() + u64::from(HEADER) + at) == byte(back + at);
        assert!((0..bytes).all(|at| is_right(&at)), "other bytes came back");
        back += bytes;
        store32(said.address() + FORWARDED, u32::try_from(back).unwrap_or_default());
    }
    say!("sockets: {back} bytes came back");
    ask(&mut device, SHUTDOWN, BOTH, 0);
    while hear(&mut device) != RESET {}
    device.unmap(unit);
    unit.unmap(&device.space, HEARD, Policy::Right);
}

fn answer(operation: u16, heard: Frame) -> Option<Answer> {
    match operation {
        REQUEST => Some((RESPONSE, 0, 0)),
        DATA => Some((DATA, 0, load32(heard.address() + LEN))),
        CREDIT_REQUEST => Some((CREDIT_UPDATE, 0, 0)),
        SHUTDOWN if load32(heard.address() + FLAGS) == BOTH => Some((RESET, 0, 0)),
        SHUTDOWN => Some((SHUTDOWN, BOTH, 0)),
        _ => None,
    }
}

/// Writes the answer to `heard`, back to where that came from; `bytes` have come in all.
fn write(said: Frame, heard: Frame, (operation, flags, len): Answer, bytes: u32) {
    let (to, from) = (said.address(), heard.address());
    for (at, behind, width) in [(0, 8, 8), (16, 20, 4)] {
        // Sender and receiver change places: CIDs, then ports.
        (0..width).for_each(|byte| store8(to + at + byte, load8(from + behind + byte)));
        (0..width).for_each(|byte| store8(to + behind + byte, load8(from + at + byte)));
    }
    store32(to + LEN, len);
    store16(to + 28, load16(from + 28));
    store16(to + OPERATION, operation);
    store32(to + FLAGS, flags);
    store32(to + OWN_ROOM, ROOM);
    store32(to + FORWARDED, bytes);
    let data = u64::from(HEADER)..u64::from(HEADER + len);
    data.for_each(|byte| store8(to + byte, load8(from + byte)));
}

fn clear(page: Frame) {
    (0..512).for_each(|word| page.store(word, 0));
}
