//! Checks: what they are made of, how they are counted, and the run of all.
//!
//! Invariant: one line a check, `ok NUMBER NAME` or `FAILED NUMBER NAME: WHY`; a check that the machine has no use for says
//! so and passes. Behind `stale` stand the addresses at which the check used a translation on purpose that the tables did
//! not contain any more, and behind `missing` what it had not invalidated then.

mod ahead;
mod bench;
mod events;
mod interrupts;
mod leaves;
mod mapped;
mod matrix;
mod note;
mod order;
mod pages;
mod race;
mod upper;

use core::fmt;

pub use note::{Complaint, Holder, Missing, Note};

use crate::caches::{Caches, Keeps};
use crate::console::say;
use crate::driver::Driver;
use crate::ending;
use crate::engine::Outcome;
use crate::entry::Levels;
use crate::id::{Domain, Iova, Pasid, Vector};
use crate::memory::{CommandLine, FRAME_BYTES, Frame, LARGE_BYTES, Memory};
use crate::space::{Kind, Space};
use crate::unit::Mode;

/// Addresses of devices begin here: where nothing lies that a device reaches untranslated.
const FIRST: u64 = 0x1_0000_0000;
/// Vectors below are for exceptions, or for an interrupt controller that nobody uses.
const FIRST_VECTOR: u8 = 0x30;
/// Domains begin behind this one.
const FIRST_DOMAIN: Domain = Domain(0x100);
/// A process, where one is enough.
const PROCESS: Pasid = Pasid(1);

/// All checks of one run.
#[derive(Debug)]
pub struct Checks {
    /// The machine.
    pub driver: Driver,
    /// What its unit keeps.
    pub caches: Caches,
    next: u64,
    next_vector: u8,
    last_domain: Domain,
    number: u32,
    failed: u32,
}

/// A page with two frames: the one it is mapped to first, and the one it is mapped to later.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Whose.
    pub space: Space,
    /// Where.
    pub at: Iova,
    /// What it leads to first.
    pub old: Frame,
    /// What it leads to later.
    pub new: Frame,
}

impl Page {
    /// The word in its first frame.
    #[must_use]
    pub const fn old_word(&self) -> u64 {
        self.at.0 | 1
    }

    /// The word in its second frame.
    #[must_use]
    pub const fn new_word(&self) -> u64 {
        self.at.0 | 2
    }
}

/// Runs them all and ends the machine.
pub fn run(memory: Memory, line: &CommandLine) -> ! {
    let mut checks = Checks::begin(memory, line);
    mapped::found(&mut checks);
    legacy(&mut checks);
    scalable(&mut checks);
    ahead::all(&mut checks);
    interrupts::all(&mut checks);
    events::all(&mut checks);
    pages::all(&mut checks);
    checks.conclude()
}

/// Lets devices read while pages move, and ends the machine. `reads=` says how often.
pub fn run_race(memory: Memory, line: &CommandLine) -> ! {
    let mut checks = Checks::begin(memory, line);
    race::all(&mut checks, line.number("reads"));
    checks.conclude()
}

fn legacy(checks: &mut Checks) {
    mapped::legacy(checks);
    matrix::legacy(checks);
    let second = Kind::Second(Levels::Four);
    leaves::all(checks, "legacy", second, None);
    order::wrong(checks, "legacy", second, None);
    upper::paging(checks, "legacy", second, None);
    upper::context(checks);
}

fn scalable(checks: &mut Checks) {
    if !checks.driver.unit.has_scalable_mode() {
        return checks.note(format_args!("scalable mode"), Ok(Note::Absent("the unit does not offer it")));
    }
    checks.driver.switch(Mode::Scalable);
    mapped::scalable(checks);
    matrix::scalable_second(checks);
    if !checks.driver.has_pasids() {
        return checks.note(format_args!("processes"), Ok(Note::Absent("the engine does not name any")));
    }
    for (name, kind) in [
        ("scalable-second", Kind::Second(Levels::Four)),
        ("scalable-first", Kind::First(Levels::Four)),
        ("nested", Kind::Nested),
    ] {
        checks.driver.switch(Mode::Scalable);
        if !matches!(kind, Kind::Second(_)) {
            matrix::processes(checks, name, kind);
            order::wrong(checks, name, kind, Some(PROCESS));
        }
        leaves::all(checks, name, kind, Some(PROCESS));
        upper::paging(checks, name, kind, Some(PROCESS));
        upper::pasid(checks, name, kind, PROCESS);
    }
}

impl Checks {
    fn begin(memory: Memory, line: &CommandLine) -> Self {
        let driver = match Driver::start(memory) {
            Ok(driver) => driver,
            Err(lacking) => {
                say!("FAILED {lacking}");
                ending::failed()
            }
        };
        Self {
            driver,
            caches: Caches::of(line),
            next: FIRST,
            last_domain: FIRST_DOMAIN,
            next_vector: FIRST_VECTOR,
            number: 0,
            failed: 0,
        }
    }

    /// Counts a check and says how it went.
    pub fn note(&mut self, name: fmt::Arguments<'_>, outcome: Result<Note, Complaint>) {
        self.number += 1;
        let number = self.number;
        match outcome {
            Ok(note) => say!("ok {number} {name}{note}"),
            Err(complaint) => {
                self.failed += 1;
                say!("FAILED {number} {name}: {complaint}");
            }
        }
    }

    fn conclude(&self) -> ! {
        let Self { number, failed, .. } = self;
        if *failed == 0 {
            say!("passed: {number} checks");
            ending::passed()
        }
        say!("FAILED: {failed} of {number} checks");
        ending::failed()
    }

    /// An address space of the engine `number`, in a domain of its own, in which nothing is mapped.
    pub fn space(&mut self, number: usize, kind: Kind, pasid: Option<Pasid>) -> Space {
        let (source, domain) = (self.driver.source(number), self.domain());
        Space::new(&mut self.driver.memory, kind, source, domain, pasid)
    }

    /// A domain that nobody else has: two second stages in one would be an error of the driver.
    pub fn domain(&mut self) -> Domain {
        self.last_domain.0 += 1;
        self.last_domain
    }

    /// A page of `space` that nothing else uses, mapped to its first frame. Pages follow one another.
    pub fn page(&mut self, space: &Space) -> Page {
        let page = self.missing_page(space);
        self.driver.map(space, page.at, page.old);
        page
    }

    /// The same, not mapped.
    pub fn missing_page(&mut self, space: &Space) -> Page {
        let at = Iova(self.next);
        self.next += FRAME_BYTES;
        self.page_at(space, at)
    }

    /// The same, with a table of leaves of its own.
    pub fn page_alone(&mut self, space: &Space) -> Page {
        let at = self.large_page();
        let page = self.page_at(space, at);
        self.driver.map(space, at, page.old);
        page
    }

    fn page_at(&mut self, space: &Space, at: Iova) -> Page {
        let memory = &mut self.driver.memory;
        Page { space: *space, at, old: memory.page(at.0 | 1), new: memory.page(at.0 | 2) }
    }

    /// A vector that nothing else uses.
    pub fn vector(&mut self) -> Vector {
        self.next_vector += 1;
        Vector(self.next_vector - 1)
    }

    /// What a check says that used a stale translation of `page`, if what it rested on was `kept`.
    #[must_use]
    pub fn stale_if(&self, kept: Keeps, page: &Page, missing: Missing) -> Note {
        match kept {
            Keeps::Always => Note::Stale([Some(page.at), None], missing),
            _ => Note::Held,
        }
    }

    /// 2 MiB of addresses that nothing else uses.
    pub fn large_page(&mut self) -> Iova {
        let at = self.next.next_multiple_of(LARGE_BYTES);
        self.next = at + LARGE_BYTES;
        Iova(at)
    }

    /// Lets the device read `page`, which must lead to its first frame as long as anything `keeps` the translation, and to
    /// its second otherwise. Whether it was the first.
    ///
    /// # Errors
    /// What was found, if it is something else.
    pub fn expect(&mut self, when: &'static str, page: &Page, keeps: Keeps) -> Result<bool, Complaint> {
        let found = self.driver.read(&page.space, page.at);
        let (old, new) = (found == Ok(page.old_word()), found == Ok(page.new_word()));
        let holds = match keeps {
            Keeps::Always => old,
            Keeps::Maybe => old || new,
            Keeps::Never => new,
        };
        let expected = if keeps == Keeps::Never { page.new_word() } else { page.old_word() };
        if holds { Ok(old) } else { Err(Complaint { when, at: page.at, found, expected }) }
    }
}

/// Nothing more to say if `found` is what is expected.
fn expect(when: &'static str, at: Iova, found: Outcome, expected: Outcome) -> Result<Note, Complaint> {
    if found == expected {
        return Ok(Note::Held);
    }
    Err(Complaint { when, at, found, expected: expected.unwrap_or_default() })
}
