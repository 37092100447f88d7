//! Scenarios that are made in Rust, without a text: a draft says what a scenario file would.
//!
//! Invariant: what a draft becomes is what the parser makes of the text that [`Draft`] shows, so each verdict, each
//! trace and each tool is the same for both, and what was drafted can be saved. A name is one word: none can say more than the
//! place allows at which it stands. What a draft has no method for is written as text, or not at all.
//! Reference: docs/language.md.

mod event;
mod program;
mod word;

use std::fmt;
use std::ops::RangeInclusive;

use crate::language::span::Span;
use crate::language::syntax::{Scenario, UserKind};
use crate::language::{Code, Diagnostic, render_all};
use crate::lowering::{Lowered, load};

pub use self::event::Event;
pub use self::program::Program;
pub use self::word::{Entry, Step, Text, Words};
use self::word::{Line, is_name};
pub use steps::entry::Bit;

/// What a scenario is to be, as far as it was said.
#[derive(Clone, Debug)]
pub struct Draft {
    name: Text,
    declared: Vec<Line>,
    agents: Vec<(Text, Program)>,
    asked: Vec<Line>,
}

/// A scenario, ready to be explored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drafted {
    /// What it says, as the parser gives it.
    pub scenario: Scenario,
    /// What is explored.
    pub lowered: Lowered,
    /// As it is written.
    pub text: String,
}

/// A scenario that cannot be explored, and everything that is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// What it is called.
    pub name: String,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// As it is written.
    pub text: String,
}

impl Draft {
    /// A scenario with that name and nothing in it.
    #[must_use]
    pub fn new(name: impl Into<Text>) -> Self {
        Self { name: name.into(), declared: Vec::new(), agents: Vec::new(), asked: Vec::new() }
    }

    /// A page of the address space.
    #[must_use]
    pub fn page(self, name: impl Into<Text>) -> Self {
        self.declare(Line::of("page").name(name))
    }

    /// A frame that somebody holds; each of its bytes is `content`.
    #[must_use]
    pub fn frame(self, name: impl Into<Text>, content: u32) -> Self {
        self.declare(Line::of("frame").name(name).own(format!("= {content}")))
    }

    /// A frame that nobody holds, with what it was left with.
    #[must_use]
    pub fn free_frame(self, name: impl Into<Text>, content: u32) -> Self {
        self.declare(Line::of("frame").name(name).own(format!("= {content} free")))
    }

    /// What the entry of a page is at the start.
    #[must_use]
    pub fn map(self, page: impl Into<Text>, entry: Entry) -> Self {
        self.declare(Line::of("map").name(page).own("->").entry(entry))
    }

    /// A CPU with its TLB, a vCPU behind the shadow page table, or a device behind an IOTLB.
    #[must_use]
    pub fn user(self, kind: UserKind, name: impl Into<Text>) -> Self {
        let word = match kind {
            UserKind::Cpu => "cpu",
            UserKind::Vcpu => "vcpu",
            UserKind::Device => "device",
        };
        self.declare(Line::of(word).name(name))
    }

    /// A device with a TLB of its own behind the IOTLB (ATS).
    #[must_use]
    pub fn device_with_tlb(self, name: impl Into<Text>) -> Self {
        self.declare(Line::of("device").name(name).own("ats"))
    }

    /// A variable, which begins with the least of its values.
    #[must_use]
    pub fn variable(self, name: impl Into<Text>, values: RangeInclusive<u32>) -> Self {
        let (least, most) = values.into_inner();
        self.declare(Line::of("var").name(name).own(format!("= {least}..{most} from {least}")))
    }

    /// An assumption, such as `memory` and `tso`.
    #[must_use]
    pub fn option(self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.declare(Line::of("option").name(name).own("=").name(value))
    }

    /// Who takes steps, and which. If it has the name of a user, it runs there.
    #[must_use]
    pub fn agent(mut self, name: impl Into<Text>, program: Program) -> Self {
        self.agents.push((name.into(), program));
        self
    }

    /// What must not happen.
    #[must_use]
    pub fn never(self, event: Event) -> Self {
        self.ask(Line::of("never").line(event.0))
    }

    /// What must not happen once something else has.
    #[must_use]
    pub fn never_after(self, event: Event, after: Event) -> Self {
        self.ask(Line::of("never").line(event.0).own("after").line(after.0))
    }

    /// It is expected that no order breaks a property.
    #[must_use]
    pub fn expect_proof(self) -> Self {
        self.ask(Line::of("expect").own("proved"))
    }

    /// It is expected that some order breaks one.
    #[must_use]
    pub fn expect_violation(self) -> Self {
        self.ask(Line::of("expect").own("violation"))
    }

    /// The scenario that it is.
    ///
    /// # Errors
    /// [`Rejected`] with everything that is wrong with it.
    pub fn finish(self) -> Result<Drafted, Rejected> {
        let text = self.to_string();
        let rejected =
            |diagnostics| Rejected { name: self.name.to_string(), diagnostics, text: text.clone() };
        let names = std::iter::once(&self.name).chain(self.agents.iter().map(|(name, _)| name));
        let bad_names = names.map(|name| name.as_ref()).filter(|name| !is_name(name));
        let bad: Vec<_> = bad_names.chain(self.lines().filter_map(Line::bad)).map(bad_name).collect();
        if !bad.is_empty() {
            return Err(rejected(bad));
        }
        let mut loaded = load(&text).map_err(rejected)?;
        match (loaded.pop(), loaded.is_empty()) {
            (Some((scenario, lowered)), true) => Ok(Drafted { scenario, lowered, text }),
            (Some(_) | None, _) => unreachable!("a draft has one `scenario` line:\n{text}"),
        }
    }

    fn declare(mut self, line: Line) -> Self {
        self.declared.push(line);
        self
    }

    fn ask(mut self, line: Line) -> Self {
        self.asked.push(line);
        self
    }

    /// In the order in which they stand.
    fn lines(&self) -> impl Iterator<Item = &Line> {
        let programs = self.agents.iter().flat_map(|(_, program)| program.lines());
        self.declared.iter().chain(programs).chain(&self.asked)
    }
}

fn bad_name(name: &str) -> Diagnostic {
    let help = "use one word of letters, digits, `_`, `-` and `.` for each name";
    Diagnostic::new(Code::Expected, Span::default(), format!("{name:?} is no name"), help)
}

impl fmt::Display for Draft {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario {}", self.name)?;
        self.declared.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for (name, program) in &self.agents {
            writeln!(f, "agent {name}")?;
            program.write(f, 1)?;
        }
        self.asked.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render_all(&self.diagnostics, &self.name, &self.text))
    }
}

impl std::error::Error for Rejected {}

#[cfg(test)]
mod tests;
