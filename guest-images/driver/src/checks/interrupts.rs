//! Interrupts of a device, through the unit's table.
//!
//! Invariant: an interrupt is either taken once, at the vector that its entry names, or blocked and recorded.
//! Source: VT-d 5.1 (remapping), 6.2.6 and 6.5.2.7 (cache of entries), 7.2.2 (faults).

use super::bench::Bench;
use super::{Checks, Complaint, Missing, Note, expect};
use crate::apic;
use crate::caches::Keeps;
use crate::descriptor::Invalidation;
use crate::engine::{Job, Slot, Target};
use crate::id::{Index, Iova, Source};
use crate::interrupt_entry::{Admits, Destination, Message, entry, line_naming, silent};
use crate::unit::Ids;

/// Why an interrupt is blocked.
const BEYOND_TABLE: u8 = 0x21;
const ABSENT: u8 = 0x22;
const RESERVED: u8 = 0x24;
const DIRECT: u8 = 0x25;
const FOREIGN: u8 = 0x26;
const NO_MESSAGE: u8 = 0x29;
/// The engine's code for a request that the unit blocked.
const BLOCKED: u8 = 4;
/// The first index that a table of one frame does not have.
const BEYOND: Index = Index(256);

type Check = fn(&mut Bench<'_>) -> Result<Note, Complaint>;

const CHECKS: [(&str, Check); 10] = [
    ("msi", msi),
    ("msi-x", msix),
    ("line", line),
    ("write", write),
    ("source", source),
    ("absent", absent),
    ("entry cache, one", one_forgotten),
    ("entry cache, all", all_forgotten),
    ("compatibility format", direct),
    ("x2apic", wide_ids),
];

/// All of them.
pub(super) fn all(checks: &mut Checks) {
    if !checks.driver.unit.has_interrupt_remapping() {
        let why = "the unit remaps no interrupts";
        return checks.note(format_args!("interrupt"), Ok(Note::Absent(why)));
    }
    let mut bench = Bench::begin(checks);
    for (name, check) in CHECKS {
        let outcome = check(&mut bench);
        bench.checks.note(format_args!("interrupt {name}"), outcome);
    }
    bench.engine().interrupt_by_line();
    bench.end();
}

fn msi(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let admits = Admits::Function(bench.source());
    let (index, vector) = bench.entry(admits);
    bench.send(Message::naming(index));
    bench.expect_taken("sent", vector, 1)
}

/// Two entries by one address: data are added to the index.
fn msix(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let admits = Admits::Function(bench.source());
    let (first, first_vector) = bench.entry(admits);
    let (_, second_vector) = bench.entry(admits);
    let vectors = [first_vector, second_vector];
    for (added, slot) in (0..).zip([Slot(2), Slot(7)]) {
        bench.engine().interrupt_by_msix(slot, Message::naming_behind(first, added));
    }
    for (slot, vector) in [Slot(7), Slot(2)].into_iter().zip(vectors.into_iter().rev()) {
        bench.engine().interrupt(slot);
        bench.expect_taken("sent", vector, 1)?;
    }
    vectors.into_iter().try_for_each(|vector| bench.expect_taken("sent in all", vector, 1).map(|_| ()))?;
    Ok(Note::Held)
}

/// The I/O APIC is not asked who it is: the entry holds the function behind it.
fn line(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let admits = Admits::Function(bench.source());
    let (index, vector) = bench.entry(admits);
    let pin = bench.engine().interrupt_by_line();
    apic::connect(pin, line_naming(index));
    bench.engine().interrupt(Slot(0));
    let taken = bench.expect_taken("sent", vector, 1);
    apic::disconnect(pin);
    taken
}

/// A write of a message's length where messages go is one; nothing else reaches anything there.
fn write(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let own = bench.source();
    let (index, vector) = bench.entry(Admits::Function(own));
    let message = Message::naming(index);
    let at = Iova(message.address);
    let [written] = bench.engine().run([Job::Message(message)]);
    expect("written", at, written, Ok(0))?;
    bench.expect_taken("written", vector, 1)?;
    let target = Target { pasid: None, at };
    let [wide, read] = bench.engine().run([Job::Write(target, message.data.into()), Job::Read(target)]);
    expect("a word", at, wide, Err(BLOCKED))?;
    expect("read", at, read, Err(BLOCKED))?;
    for when in ["a word's fault", "a read's fault"] {
        let fault = bench.checks.driver.unit.take_fault();
        expect(when, at, fault.map(|fault| fault.reason.into()).ok_or(0), Ok(NO_MESSAGE.into()))?;
    }
    bench.expect_taken("no messages", vector, 1)
}

/// Whom an entry admits: this function, this device, this bus; and whom not.
fn source(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let own = bench.source();
    let (sibling, stranger) = (Source(own.0 ^ 1), Source(own.0 ^ 8));
    let [_, bus] = own.0.to_le_bytes();
    let admitted = [Admits::All, Admits::Device(sibling), Admits::Buses { first: bus, last: bus + 1 }];
    for admits in admitted {
        let (index, vector) = bench.entry(admits);
        bench.send(Message::naming(index));
        bench.expect_taken("admitted", vector, 1)?;
    }
    let foreign = [
        Admits::Function(sibling),
        Admits::Function(stranger),
        Admits::Device(stranger),
        Admits::Buses { first: bus + 1, last: 255 },
    ];
    for admits in foreign {
        let (index, vector) = bench.entry(admits);
        bench.send(Message::naming(index));
        bench.expect_fault("foreign", FOREIGN, own, index)?;
        bench.expect_taken("foreign", vector, 0)?;
    }
    let (index, vector) = bench.entry(Admits::All);
    bench.set(index, silent(entry(vector, Destination::PROCESSOR, Admits::Function(stranger))));
    bench.send(Message::naming(index));
    bench.expect_no_fault("silent", index)?;
    bench.expect_taken("silent", vector, 0)
}

/// Entries that are not there, or not in the table, or not as they must be.
fn absent(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let (own, index, vector) = (bench.source(), bench.index(), bench.checks.vector());
    bench.send(Message::naming(index));
    bench.expect_fault("absent", ABSENT, own, index)?;
    let words = entry(vector, Destination::PROCESSOR, Admits::Function(own));
    // What is absent is kept by a unit that says so, and by no other.
    if bench.checks.driver.unit.caches_absent() {
        bench.set(index, words);
    } else {
        bench.write(index, words);
    }
    bench.send(Message::naming(index));
    bench.expect_taken("present", vector, 1)?;
    bench.set(index, [words[0], words[1] | 1 << 63]);
    bench.send(Message::naming(index));
    bench.expect_fault("reserved bit", RESERVED, own, index)?;
    bench.send(Message::naming(BEYOND));
    bench.expect_fault("beyond the table", BEYOND_TABLE, own, BEYOND)?;
    bench.expect_taken("blocked", vector, 1)
}

fn one_forgotten(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let neighbour = |index: Index| Invalidation::InterruptEntriesFrom { first: Index(index.0 ^ 1), log2: 0 };
    let four = |index: Index| Invalidation::InterruptEntriesFrom { first: Index(index.0 & !3), log2: 2 };
    changed(bench, neighbour, four)
}

fn all_forgotten(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    changed(bench, |_| Invalidation::Iotlb, |_| Invalidation::InterruptEntries)
}

/// An entry that is changed leads where it led, also when something `useless` was forgotten, and elsewhere after something
/// `useful`.
fn changed(
    bench: &mut Bench<'_>,
    useless: impl Fn(Index) -> Invalidation,
    useful: impl Fn(Index) -> Invalidation,
) -> Result<Note, Complaint> {
    let admits = Admits::Function(bench.source());
    let (index, old) = bench.entry(admits);
    bench.send(Message::naming(index));
    bench.expect_taken("at first", old, 1)?;
    let new = bench.checks.vector();
    bench.write(index, entry(new, Destination::PROCESSOR, admits));
    bench.send(Message::naming(index));
    bench.checks.driver.invalidate(&[useless(index)]);
    bench.send(Message::naming(index));
    let (to_old, to_new, note) = match bench.checks.caches.interrupt {
        Keeps::Always => (3, 0, Note::Stale([Some(Iova(index.0.into())), None], Missing("interrupt-entry"))),
        Keeps::Never => (1, 2, Note::Held),
        Keeps::Maybe => return Ok(Note::Absent("the cache of entries is small")),
    };
    bench.expect_taken("changed, to the old vector", old, to_old)?;
    bench.expect_taken("changed, to the new vector", new, to_new)?;
    bench.checks.driver.invalidate(&[useful(index)]);
    bench.send(Message::naming(index));
    bench.expect_taken("flushed, to the new vector", new, to_new + 1)?;
    bench.expect_taken("flushed, to the old vector", old, to_old)?;
    Ok(note)
}

/// Messages that name no entry: blocked until they are let pass.
fn direct(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let (own, vector) = (bench.source(), bench.checks.vector());
    bench.send(Message::direct(vector));
    bench.expect_fault("blocked", DIRECT, own, Index(0))?;
    bench.expect_taken("blocked", vector, 0)?;
    bench.checks.driver.unit.let_direct_interrupts_pass(true);
    bench.send(Message::direct(vector));
    bench.expect_taken("let pass", vector, 1)?;
    bench.checks.driver.unit.let_direct_interrupts_pass(false);
    bench.send(Message::direct(vector));
    bench.expect_fault("blocked again", DIRECT, own, Index(0))
}

/// Ids of 32 bits: one that is too wide for 8 bits is reserved before, and a processor's that is not there afterwards.
fn wide_ids(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    if !bench.checks.driver.unit.has_wide_ids() {
        return Ok(Note::Absent("ids have 8 bits"));
    }
    let own = bench.source();
    let (index, vector) = bench.entry(Admits::Function(own));
    let near = entry(vector, Destination::PROCESSOR, Admits::Function(own));
    let far = entry(vector, Destination(0x1_0000), Admits::Function(own));
    bench.set(index, far);
    bench.send(Message::naming(index));
    bench.expect_fault("8 bits", RESERVED, own, index)?;
    bench.take_over(Ids::X2apic);
    bench.send(Message::naming(index));
    bench.expect_no_fault("32 bits, to nobody", index)?;
    bench.expect_taken("32 bits, to nobody", vector, 0)?;
    bench.set(index, near);
    bench.send(Message::naming(index));
    bench.expect_taken("32 bits", vector, 1)?;
    bench.checks.driver.unit.let_direct_interrupts_pass(true);
    bench.send(Message::direct(vector));
    bench.checks.driver.unit.let_direct_interrupts_pass(false);
    bench.expect_fault("the compatibility format", DIRECT, own, Index(0))?;
    bench.take_over(Ids::Xapic);
    bench.expect_taken("32 bits, at the end", vector, 1)
}
