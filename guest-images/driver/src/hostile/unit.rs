//! The remapping unit: queues, tables and page requests that no driver would have.
//!
//! Invariant: what is called table or queue lies in memory that is nobody's, at its end, in devices, or nowhere. Source:
//! VT-d 11.4 (registers), 6.5.2 (descriptors), 9.1 to 9.6 (entries).

use super::Hostile;
use super::raw::{load32, load64, store32, store64};
use super::sign::Sign;
use crate::memory::FRAME_BYTES;
use crate::unit::BASE;

const GCMD: u64 = 0x18;
const RTADDR: u64 = 0x20;
const CCMD: u64 = 0x28;
const FSTS: u64 = 0x34;
const IQH: u64 = 0x80;
const IQT: u64 = 0x88;
const IQA: u64 = 0x90;
const IRTA: u64 = 0xb8;
const ICS: u64 = 0x9c;
const PQH: u64 = 0xc0;
const PQT: u64 = 0xc8;
const PQA: u64 = 0xd0;
const PRS: u64 = 0xdc;
const IOTLB: u64 = 0xf8;
const TRANSLATION: u32 = 1 << 31;
const ROOT_TABLE: u32 = 1 << 30;
const QUEUE: u32 = 1 << 26;
const INTERRUPTS: u32 = 1 << 25 | 1 << 24;
/// Of FSTS and ICS.
const QUEUE_ERROR: u32 = 1 << 4;
const FAULT_PENDING: u32 = 1 << 1;
const COMPLETED: u32 = 1;
/// Bits of an entry that say that it is there, and that scalable tables are meant.
const PRESENT: u64 = 3;
const SCALABLE: u64 = 1 << 10;
const WIDE: u64 = 1 << 11;
/// The largest queue.
const SIZE: u64 = 7;
/// Kinds of descriptors, up to one that is none.
const KINDS: u64 = 11;
const WAIT: u64 = 5;
/// What a wait has beside its kind, and what others have that are of a domain.
const WAIT_FIELDS: u64 = 0xffff_ffff_0000_0070;
const FIELDS: u64 = 0xffff_00ff_0070;
/// Of an answer: PASID, function, code and that there is a PASID; group, and that it is the last one.
const ANSWER_FIELDS: u64 = 0x000f_ffff_ffff_f010;
const ANSWER_GROUP: u64 = 0xffc;
const GROUP_RESPONSE: u64 = 9;

/// What is not checked in the emulated unit is the other half of its registers, one after the other.
pub(super) fn registers(guest: &mut Hostile) {
    let value = match guest.random.below(3) {
        0 => guest.random.next(),
        1 => guest.random.table() | guest.random.below(16),
        _ => 1 << guest.random.below(64),
    };
    let at = BASE + guest.random.below(0x300) / 4 * 4;
    let before = if guest.lacks(Sign::Taken) { load32(at) } else { 0 };
    match guest.random.below(4) {
        0 => _ = load32(at),
        1 => _ = load64(at & !7),
        2 => store32(at, value as u32),
        _ => store64(at & !7, value),
    }
    if guest.lacks(Sign::Taken) {
        guest.shows(Sign::Taken, load32(at) != before);
    }
}

/// Descriptors of every kind and width, and of none.
fn fill(guest: &mut Hostile, at: u64, kind: Option<u64>) {
    for word in (at..at + FRAME_BYTES).step_by(16) {
        let kind = kind.unwrap_or_else(|| guest.random.below(KINDS));
        let is_wait = kind == WAIT;
        let flags = guest.random.next() & !0xf;
        let is_sound = !guest.random.rarely(if is_wait { 16 } else { 2 });
        // A status is written where nothing of the program's is.
        let second = if is_wait {
            guest.random.place() & !3
        } else if guest.random.rarely(2) {
            guest.random.place()
        } else {
            guest.random.next()
        };
        // The unit stops at what is reserved, and does nothing behind it.
        let fields = if is_wait { WAIT_FIELDS } else { FIELDS };
        store64(word, kind & 0xf | if is_sound { flags & fields } else { flags });
        store64(word + 8, second);
    }
}

/// Queues at the end of memory, of garbage, whose tail runs ahead of the head for ever.
pub(super) fn queue(guest: &mut Hostile) {
    let queue = guest.random.page();
    fill(guest, queue, None);
    begin_queue(guest, queue);
}

/// Nothing but waits, which write and interrupt, in the largest queue.
pub(super) fn waits(guest: &mut Hostile) {
    let queue = guest.random.page();
    fill(guest, queue, Some(WAIT));
    begin_queue(guest, queue);
}

fn begin_queue(guest: &mut Hostile, queue: u64) {
    let base = if guest.random.rarely(4) { guest.random.table() } else { queue };
    store32(BASE + GCMD, 0);
    store32(BASE + FSTS, 0x7f);
    store64(BASE + IQT, 0);
    store64(BASE + IQA, base | guest.random.below(SIZE + 1) | guest.random.pick(&[0, WIDE]));
    store32(BASE + GCMD, QUEUE);
    for _ in 0..16 {
        let end = guest.random.pick(&[FRAME_BYTES, 0x10_0000]);
        store64(BASE + IQT, guest.random.below(end) / 32 * 32);
        _ = load64(BASE + CCMD);
        shows(guest);
    }
}

/// What the unit says of queues and faults.
fn shows(guest: &mut Hostile) {
    for (sign, register, bit) in [
        (Sign::Invalidated, IQH, u32::MAX),
        (Sign::QueueStopped, FSTS, QUEUE_ERROR),
        (Sign::Faulted, FSTS, FAULT_PENDING),
        (Sign::Waited, ICS, COMPLETED),
    ] {
        if guest.lacks(sign) {
            guest.shows(sign, load32(BASE + register) & bit != 0);
        }
    }
}

/// Page requests with nowhere to go, and answers that nobody asked for.
pub(super) fn requests(guest: &mut Hostile) {
    store64(BASE + PQA, guest.random.table() | guest.random.below(SIZE + 1));
    store64(BASE + PQH, guest.random.next() & 0x7_ffe0);
    store64(BASE + PQT, guest.random.next() & 0x7_ffe0);
    store32(BASE + PRS, guest.random.word());
    store32(BASE + 0xe0, guest.random.word() & 1 << 31);
    let queue = guest.random.page();
    answers(guest, queue);
    tables(guest);
    // What stopped the queue before would keep it.
    store32(BASE + GCMD, 0);
    store32(BASE + FSTS, 0x7f);
    store64(BASE + IQT, 0);
    store64(BASE + IQA, queue | WIDE);
    store32(BASE + GCMD, TRANSLATION | QUEUE);
    store64(BASE + IQT, FRAME_BYTES - 32);
    super::functions::resets(guest);
    shows(guest);
}

/// Wide answers for any function and any process, some of them with what is reserved.
fn answers(guest: &mut Hostile, at: u64) {
    for word in (at..at + FRAME_BYTES).step_by(32) {
        let is_sound = !guest.random.rarely(16);
        let (low, high) = (guest.random.next() & !0xf, guest.random.next());
        let words =
            if is_sound { [low & ANSWER_FIELDS, high & ANSWER_GROUP, 0, 0] } else { [low, high, low, high] };
        for (number, value) in (0_u64..).zip(words) {
            store64(word + number * 8, if number == 0 { value | GROUP_RESPONSE } else { value });
        }
    }
}

/// Root, context, PASID and page tables that are each other, and that lie in devices.
pub(super) fn tables(guest: &mut Hostile) {
    if guest.random.rarely(2) {
        return one_table(guest);
    }
    let tables = [guest.random.page(), guest.random.page(), guest.random.table()];
    for table in &tables[..2] {
        for word in (*table..table + FRAME_BYTES).step_by(8) {
            let bits = guest.random.next() & 0xfff;
            let next = guest.random.pick(&tables);
            store64(word, next | if guest.random.rarely(2) { PRESENT } else { bits });
        }
    }
    let root = guest.random.pick(&tables) | guest.random.pick(&[0, SCALABLE]);
    translate(guest, root);
    super::engine::ring(guest);
    shows(guest);
}

/// A frame that is all tables of legacy mode at once, the page that they lead to, and the ring in it.
fn one_table(guest: &mut Hostile) {
    let frame = guest.random.page();
    for word in (frame..frame + FRAME_BYTES).step_by(16) {
        store64(word, frame | 1);
        // Four levels, and a domain; of the root entry nothing.
        store64(word + 8, if word == frame { 0 } else { 0x1_0002 });
    }
    translate(guest, frame);
    for function in guest.engines.into_iter().flatten() {
        super::engine::run(guest, function.bar(), 0);
    }
}

fn translate(guest: &mut Hostile, root: u64) {
    store64(BASE + RTADDR, root);
    store32(BASE + GCMD, ROOT_TABLE);
    store64(BASE + CCMD, 1 << 63 | guest.random.next() >> 1);
    store64(BASE + IOTLB, 1 << 63 | guest.random.next() >> 1);
    store32(BASE + GCMD, TRANSLATION);
}

/// Interrupt entries of garbage, in tables anywhere.
pub(super) fn interrupt_entries(guest: &mut Hostile) {
    let table = guest.random.page();
    for word in (table..table + FRAME_BYTES).step_by(8) {
        store64(word, guest.random.next() & 0xff_ffff | 1);
    }
    let table = if guest.random.rarely(4) { guest.random.table() } else { table };
    store64(BASE + IRTA, table | guest.random.below(16));
    store32(BASE + GCMD, INTERRUPTS);
    super::interrupts::lines(guest);
    super::engine::messages(guest);
    shows(guest);
}
