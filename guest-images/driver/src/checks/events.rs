//! What the unit itself interrupts for: faults and waits.
//!
//! Invariant: an event that happens while it is masked is sent when it is unmasked, unless software has settled it by then.
//! Source: VT-d 7.3 (fault event), 6.5.2.8 (completion event), 11.4.7, 11.4.9.

use super::{Checks, Complaint, Note, bench::Bench, expect};
use crate::descriptor::Also;
use crate::id::{Iova, Vector};
use crate::interrupt_entry::Message;
use crate::unit::Event;

/// Both.
pub(super) fn all(checks: &mut Checks) {
    if !checks.driver.unit.has_interrupt_remapping() {
        return;
    }
    let mut bench = Bench::begin(checks);
    let outcome = fault(&mut bench);
    bench.checks.driver.unit.unmask_event(Event::Fault, false);
    bench.checks.note(format_args!("event of a fault"), outcome);
    let outcome = completion(&mut bench);
    bench.checks.driver.unit.unmask_event(Event::Completion, false);
    bench.checks.note(format_args!("event of a wait"), outcome);
    bench.end();
}

/// Interrupts go where remapping would block them.
fn fault(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let vector = prepare(bench, Event::Fault);
    let index = bench.index();
    let cause = |bench: &mut Bench<'_>| bench.send(Message::naming(index));
    cause(bench);
    expect_waiting(bench, Event::Fault, vector)?;
    bench.checks.driver.unit.unmask_event(Event::Fault, true);
    bench.expect_taken("unmasked", vector, 1)?;
    cause(bench);
    bench.expect_taken("a second fault, nobody looked", vector, 1)?;
    // The records, one after the other.
    bench.checks.driver.unit.forget_faults();
    cause(bench);
    bench.expect_taken("a third fault", vector, 2)?;
    bench.checks.driver.unit.unmask_event(Event::Fault, false);
    bench.checks.driver.unit.forget_faults();
    cause(bench);
    bench.checks.driver.unit.forget_faults();
    bench.checks.driver.unit.unmask_event(Event::Fault, true);
    bench.expect_taken("settled before it was unmasked", vector, 2)
}

fn completion(bench: &mut Bench<'_>) -> Result<Note, Complaint> {
    let vector = prepare(bench, Event::Completion);
    let at = Iova(vector.0.into());
    bench.checks.driver.wait(Also::Interrupt);
    expect_waiting(bench, Event::Completion, vector)?;
    bench.checks.driver.unit.unmask_event(Event::Completion, true);
    bench.expect_taken("unmasked", vector, 1)?;
    expect("over", at, Ok(bench.checks.driver.unit.take_completion().into()), Ok(1))?;
    bench.checks.driver.wait(Also::Nothing);
    expect("over without being asked", at, Ok(bench.checks.driver.unit.take_completion().into()), Ok(0))?;
    bench.checks.driver.wait(Also::Interrupt);
    bench.expect_taken("again", vector, 2)?;
    bench.checks.driver.wait(Also::Interrupt);
    bench.expect_taken("again, nobody looked", vector, 2)?;
    expect("over again", at, Ok(bench.checks.driver.unit.take_completion().into()), Ok(1))
}

fn prepare(bench: &mut Bench<'_>, event: Event) -> Vector {
    let vector = bench.checks.vector();
    bench.checks.driver.unit.unmask_event(event, false);
    bench.checks.driver.unit.set_event(event, Message::direct(vector));
    vector
}

fn expect_waiting(bench: &Bench<'_>, event: Event, vector: Vector) -> Result<Note, Complaint> {
    let waits = bench.checks.driver.unit.event_waits(event);
    expect("masked", Iova(vector.0.into()), Ok(waits.into()), Ok(1))?;
    bench.expect_taken("masked", vector, 0)
}
