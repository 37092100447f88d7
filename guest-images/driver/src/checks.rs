//! Checks: what they are made of, how they are counted, and the run of all.
//!
//! Invariant: one line a check, `ok NUMBER NAME` or `FAILED NUMBER NAME: WHY`; a check that the machine has no use for says
//! so and passes. Behind `stale` stand the addresses at which the check used a translation on purpose that the tables did
//! not contain any more, and behind `missing` what it had not invalidated then.

mod bench;
mod events;
mod interrupts;
mod mapped;
mod matrix;
mod pages;

use core::fmt;

use crate::caches::{Caches, Keeps};
use crate::console::say;
use crate::driver::Driver;
use crate::ending;
use crate::engine::Outcome;
use crate::id::{Iova, Vector};
use crate::memory::{CommandLine, Frame, Memory};
use crate::space::{Kind, Space};

/// Addresses of devices begin here: where nothing lies that a device reaches untranslated.
const FIRST: u64 = 0x1_0000_0000;
/// Vectors below are for exceptions, or for an interrupt controller that nobody uses.
const FIRST_VECTOR: u8 = 0x30;
const LARGE_BYTES: u64 = 0x20_0000;

/// All checks of one run.
#[derive(Debug)]
pub struct Checks {
    /// The machine.
    pub driver: Driver,
    /// What its unit keeps.
    pub caches: Caches,
    next: u64,
    next_vector: u8,
    number: u32,
    failed: u32,
}

/// What a check that passed has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Nothing more.
    Held,
    /// It used stale translations at these addresses.
    Stale([Option<Iova>; 2], Missing),
    /// The machine or the architecture does not have it.
    Absent(&'static str),
}

/// Invalidations, by what they are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing(pub &'static str);

/// Why a check failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// When.
    pub when: &'static str,
    /// Where.
    pub at: Iova,
    /// What was found.
    pub found: Outcome,
    /// What was expected.
    pub expected: u64,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => Ok(()),
            Self::Absent(why) => write!(f, ": not there, {why}"),
            Self::Stale(addresses, Missing(missing)) => {
                f.write_str(": stale")?;
                addresses.iter().flatten().try_for_each(|address| write!(f, " {address}"))?;
                write!(f, " missing {missing}")
            }
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { when, at, found, expected } = self;
        match found {
            Ok(word) => write!(f, "{when}: {word:#x} at {at}, not {expected:#x}"),
            Err(code) => write!(f, "{when}: code {code} at {at}, not {expected:#x}"),
        }
    }
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
    let driver = match Driver::start(memory) {
        Ok(driver) => driver,
        Err(lacking) => {
            say!("FAILED the machine lacks: {lacking:?}");
            ending::failed()
        }
    };
    let mut checks = Checks {
        driver,
        caches: Caches::of(line),
        next: FIRST,
        next_vector: FIRST_VECTOR,
        number: 0,
        failed: 0,
    };
    mapped::legacy(&mut checks);
    matrix::legacy(&mut checks);
    interrupts::all(&mut checks);
    events::all(&mut checks);
    pages::all(&mut checks);
    checks.conclude()
}

impl Checks {
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

    /// An address space of the engine `number`, in which nothing is mapped.
    pub fn space(
        &mut self,
        number: usize,
        kind: Kind,
        domain: crate::id::Domain,
        pasid: Option<crate::id::Pasid>,
    ) -> Space {
        let source = self.driver.source(number);
        Space::new(&mut self.driver.memory, kind, source, domain, pasid)
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
        self.next += crate::memory::FRAME_BYTES;
        let memory = &mut self.driver.memory;
        Page { space: *space, at, old: memory.page(at.0 | 1), new: memory.page(at.0 | 2) }
    }

    /// A vector that nothing else uses.
    pub fn vector(&mut self) -> Vector {
        self.next_vector += 1;
        Vector(self.next_vector - 1)
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
