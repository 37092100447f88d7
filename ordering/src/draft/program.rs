//! Programs of a draft: what an agent does, one after the other.
//!
//! Invariant: what belongs to a `repeat` or a `when` stands deeper than its line, and nothing else does.

use std::fmt;
use std::ops::RangeInclusive;

use steps::step::{Depth, Emptied, EntryAt, EntryOf, Invalidation, LockMode, Range, Scope};

use super::word::{Entry, Line, Step, Text, Words};

/// What an agent does.
#[derive(Clone, Debug, Default)]
pub struct Program(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Row(Line),
    Block(Line, Program),
}

impl Part {
    fn lines(&self) -> Vec<&Line> {
        match self {
            Self::Row(line) => vec![line],
            Self::Block(line, body) => [vec![line], body.lines()].concat(),
        }
    }
}

impl Program {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Then a step.
    #[must_use]
    pub fn step(self, step: &Step) -> Self {
        self.row(Line::of("").step(step))
    }

    /// Then these.
    #[must_use]
    pub fn steps(self, steps: impl IntoIterator<Item = Step>) -> Self {
        steps.into_iter().fold(self, |program, step| program.step(&step))
    }

    /// Takes a lock, such as `ptl(A)`.
    #[must_use]
    pub fn lock(self, lock: impl Into<Text>) -> Self {
        self.step(&Step::Lock(lock.into(), LockMode::Exclusive))
    }

    /// Releases it.
    #[must_use]
    pub fn unlock(self, lock: impl Into<Text>) -> Self {
        self.step(&Step::Unlock(lock.into()))
    }

    /// Remembers the entry of a page and empties it.
    #[must_use]
    pub fn pte_clear(self, page: impl Into<Text>) -> Self {
        self.step(&Step::Entry(EntryAt::Pte(page.into()), EntryOf::Clear))
    }

    /// Writes the entry of a page.
    #[must_use]
    pub fn set_pte(self, page: impl Into<Text>, entry: Entry) -> Self {
        self.step(&Step::Entry(EntryAt::Pte(page.into()), EntryOf::Set(entry)))
    }

    /// Flushes a page from the CPUs' TLBs.
    #[must_use]
    pub fn flush_tlb(self, page: impl Into<Text>) -> Self {
        self.invalidate(Emptied::Cpus(Range::Page(page.into(), Depth::All)))
    }

    /// Invalidates a page in the IOTLBs and the devices' own TLBs.
    #[must_use]
    pub fn notify(self, page: impl Into<Text>) -> Self {
        self.invalidate(Emptied::Devices(Range::Page(page.into(), Depth::All)))
    }

    fn invalidate(self, emptied: Emptied<Words>) -> Self {
        self.step(&Step::Invalidate(Invalidation { emptied, scope: Scope::All, posted: false }))
    }

    /// Fills the agent's own TLB.
    #[must_use]
    pub fn walk(self, page: impl Into<Text>) -> Self {
        self.step(&Step::Walk(page.into()))
    }

    /// A CPU or a vCPU reads a page.
    #[must_use]
    pub fn load(self, page: impl Into<Text>) -> Self {
        self.step(&Step::Load(page.into()))
    }

    /// A CPU or a vCPU writes a page.
    #[must_use]
    pub fn store(self, page: impl Into<Text>, value: u32) -> Self {
        self.step(&Step::Store(page.into(), value))
    }

    /// A device reads a page.
    #[must_use]
    pub fn dma_read(self, page: impl Into<Text>) -> Self {
        self.step(&Step::DmaRead(page.into()))
    }

    /// A device writes a page.
    #[must_use]
    pub fn dma_write(self, page: impl Into<Text>, value: u32) -> Self {
        self.step(&Step::DmaWrite(page.into(), value))
    }

    /// Then a variable becomes `value`.
    #[must_use]
    pub fn set(self, variable: impl Into<Text>, value: u32) -> Self {
        self.row(Line::of("").name(variable).own(format!("= {value}")))
    }

    /// Then it waits until a variable is `value`.
    #[must_use]
    pub fn wait_until(self, variable: impl Into<Text>, value: u32) -> Self {
        self.row(Line::of("when").name(variable).own(format!("== {value}")))
    }

    /// Then `body`, so many times.
    #[must_use]
    pub fn repeat(mut self, times: RangeInclusive<u32>, body: Self) -> Self {
        let line = Line::of("repeat").own(format!("{}..{}:", times.start(), times.end()));
        self.0.push(Part::Block(line, body));
        self
    }

    fn row(mut self, line: Line) -> Self {
        self.0.push(Part::Row(line));
        self
    }

    pub(super) fn lines(&self) -> Vec<&Line> {
        self.0.iter().flat_map(Part::lines).collect()
    }

    /// Its lines, `depth` steps to the right.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = depth * 2;
        self.0.iter().try_for_each(|part| match part {
            Part::Row(line) => writeln!(f, "{:indent$}{line}", ""),
            Part::Block(line, body) => {
                writeln!(f, "{:indent$}{line}", "")?;
                body.write(f, depth + 1)
            }
        })
    }
}
