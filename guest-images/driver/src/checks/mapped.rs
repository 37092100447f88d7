//! What is mapped is reached, what is not is blocked and recorded.
//!
//! Invariant: nothing is stale here.

use super::{Checks, Complaint, Note, Page, expect};
use crate::acpi;
use crate::entry::Levels;
use crate::id::{Iova, Pasid};
use crate::pci;
use crate::space::{Kind, Space};
use crate::unit;

/// The engine's code for a request that the unit blocked.
pub(super) const BLOCKED: u8 = 4;

/// The firmware's tables name the unit, and the window in which the engines were found.
pub(super) fn found(checks: &mut Checks) {
    for (name, at, found) in [
        ("unit", unit::BASE, acpi::remapping_unit()),
        ("configuration window", pci::WINDOW, acpi::configuration_window()),
    ] {
        let outcome = expect("named", Iova(at), found.ok_or(0), Ok(at));
        checks.note(format_args!("ACPI, {name}"), outcome);
    }
}

/// In legacy mode.
pub(super) fn legacy(checks: &mut Checks) {
    for (name, kind) in
        [("legacy, 3 levels", Kind::Second(Levels::Three)), ("legacy, 4 levels", Kind::Second(Levels::Four))]
    {
        all(checks, name, kind, None);
    }
    above(checks, "legacy", Kind::Second(Levels::Four), None);
    let source = checks.driver.source(0);
    let domain = checks.domain();
    checks.driver.let_pass(source, domain);
    let frame = checks.driver.memory.page(7);
    let space = checks.space(0, Kind::Second(Levels::Four), None);
    let found = checks.driver.read(&space, Iova(frame.address()));
    let outcome = expect("passed", Iova(frame.address()), found, Ok(7));
    checks.note(format_args!("legacy, pass-through"), outcome);
}

/// In scalable mode, for requests without PASID and for processes.
pub(super) fn scalable(checks: &mut Checks) {
    let frame = checks.driver.memory.page(7);
    let space = checks.space(0, Kind::Second(Levels::Four), None);
    let found = checks.driver.read(&space, Iova(frame.address()));
    let outcome = expect("passed", Iova(frame.address()), found, Ok(7));
    checks.note(format_args!("scalable, pass-through"), outcome);
    let process = Some(Pasid(4)).filter(|_| checks.driver.has_pasids());
    above(checks, "scalable-first", Kind::First(Levels::Four), process);
    for (name, kind, pasid) in [
        ("scalable-second, 3 levels", Kind::Second(Levels::Three), None),
        ("scalable-second, 4 levels", Kind::Second(Levels::Four), None),
        ("scalable-second of a process", Kind::Second(Levels::Four), process),
        ("scalable-first, 4 levels", Kind::First(Levels::Four), process),
        ("scalable-first, 5 levels", Kind::First(Levels::Five), process),
        ("nested", Kind::Nested, process),
    ] {
        if kind == Kind::First(Levels::Five) && !checks.driver.unit.has_five_levels() {
            checks.note(format_args!("{name}"), Ok(Note::Absent("the unit has none so deep")));
        } else {
            all(checks, name, kind, pasid);
        }
    }
}

/// Frames of memory above 4 GiB: tables, and two pages.
const ABOVE_FRAMES: u64 = 64;

/// Memory above 4 GiB, if the machine has any: the processor's and the device's, through tables that lie there too.
fn above(checks: &mut Checks, name: &str, kind: Kind, pasid: Option<Pasid>) {
    let Some(mut memory) = checks.driver.memory.above(ABOVE_FRAMES) else { return };
    let (source, domain) = (checks.driver.source(0), checks.domain());
    let space = Space::new(&mut memory, kind, source, domain, pasid);
    let at = checks.large_page();
    let page = Page { space, at, old: memory.page(at.0 | 1), new: memory.page(at.0 | 2) };
    space.map(&mut memory, at, page.old);
    checks.driver.attach(&space);
    let outcome = reached(checks, &page);
    checks.note(format_args!("{name}: above 4 GiB"), outcome);
}

fn reached(checks: &mut Checks, page: &Page) -> Result<Note, Complaint> {
    let (space, at) = (&page.space, page.at);
    expect("lies", at, Ok(page.old.address() >> 32), Ok(1))?;
    let found = checks.driver.read(space, at);
    expect("read", at, found, Ok(page.old_word()))?;
    let written = checks.driver.write(space, Iova(at.0 + 8), 0x5a5a);
    expect("write", at, written, Ok(0))?;
    expect("written", at, Ok(page.old.load(1)), Ok(0x5a5a))
}

/// Mapped, written, large, absent.
fn all(checks: &mut Checks, name: &str, kind: Kind, pasid: Option<Pasid>) {
    let space = checks.space(0, kind, pasid);
    checks.driver.attach(&space);
    let outcome = mapped(checks, &space);
    checks.note(format_args!("{name}: mapped"), outcome);
    let outcome = large(checks, &space);
    checks.note(format_args!("{name}: 2 MiB"), outcome);
    let outcome = absent(checks, &space);
    checks.note(format_args!("{name}: absent"), outcome);
}

fn mapped(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let page = checks.page(space);
    let found = checks.driver.read(space, page.at);
    expect("read", page.at, found, Ok(page.old_word()))?;
    let written = checks.driver.write(space, Iova(page.at.0 + 8), 0x5a5a);
    expect("write", page.at, written, Ok(0))?;
    expect("written", page.at, Ok(page.old.load(1)), Ok(0x5a5a))
}

/// A large page over memory as it lies: any frame in it is reached.
fn large(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let frame = checks.driver.memory.page(0x77);
    let inside = frame.address() & 0x1f_ffff;
    let at = checks.large_page();
    space.outer().map_large(&mut checks.driver.memory, at, frame.address() - inside);
    let found = checks.driver.read(space, Iova(at.0 + inside));
    expect("read", Iova(at.0 + inside), found, Ok(0x77))
}

fn absent(checks: &mut Checks, space: &Space) -> Result<Note, Complaint> {
    let at = checks.page(space).at;
    let beyond = Iova(at.0 + 0x4000_0000);
    let found = checks.driver.read(space, beyond);
    expect("read", beyond, found, Err(BLOCKED))?;
    expect_fault(checks, space, beyond)
}

/// The fault of a request of `space` there must be recorded.
pub(super) fn expect_fault(checks: &Checks, space: &Space, at: Iova) -> Result<Note, Complaint> {
    match checks.driver.unit.take_fault() {
        Some(fault) if fault.source == space.source && fault.page == at => Ok(Note::Held),
        Some(fault) => Err(Complaint {
            when: "recorded",
            at: fault.page,
            found: Ok(fault.reason.into()),
            expected: at.0,
        }),
        None => Err(Complaint { when: "recorded", at, found: Ok(0), expected: 1 }),
    }
}
