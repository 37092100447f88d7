//! What a scenario says, as it was written: declarations, programs, properties.
//!
//! Invariant: names are not resolved here. Every name and every statement knows its place in the source.

mod operation;
mod row;

use steps::entry::Feature;
use steps::table::Verb;
use steps::{Directory, Names};

use super::entry::Written;
use super::span::{Name, Span, Spanned};
use super::token::{Token, said};

pub use operation::{Operation, Replacement};
pub use row::{Row, Rows, Unreached};

/// One scenario of a file, with what `like` took over already in place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: Name,
    /// Whether every line of it could be read. If not, what else is wrong with it may only follow from that.
    pub whole: bool,
    /// Which one it is of those that a `sweep` makes.
    pub sweep: Option<Sweep>,
    /// Whether a `sweep` or a `for` has made lines of it, so that several stand at one place.
    pub unfolded: bool,
    /// The scenario it is a variant of.
    pub like: Option<Name>,
    /// One sentence.
    pub about: Option<String>,
    /// Where it is told.
    pub source: Option<String>,
    /// Pages of the address space.
    pub pages: Vec<Name>,
    /// Address spaces.
    pub mms: Vec<Name>,
    /// Pages, each with its address space.
    pub homes: Vec<(Name, Name)>,
    /// Pages, each with the page of another address space that has the same address.
    pub places: Vec<(Name, Name)>,
    /// What CPUs' TLBs tell address spaces by.
    pub tags: Vec<Name>,
    /// Upper entries, each with what it is at the start.
    pub pmds: Vec<(Name, Written)>,
    /// Upper entries, each with what the shadow entry above the same pages is at the start.
    pub shadows: Vec<(Name, Written)>,
    /// Pages, each with the upper entry above it.
    pub above: Vec<(Name, Name)>,
    /// PASIDs and context entries, each with the address space that it names at the start.
    pub pasids: Vec<(Name, Option<Name>)>,
    /// Those of them that are context entries.
    pub contexts: Vec<Name>,
    /// Frames, swap slots and page-table pages.
    pub frames: Vec<Frame>,
    /// Entries that are there at the start.
    pub maps: Vec<Mapping>,
    /// References held at the start, where it is not one for each mapping.
    pub refs: Vec<(Name, Spanned<u32>)>,
    /// CPUs, vCPUs and devices.
    pub users: Vec<User>,
    /// User variables.
    pub variables: Vec<Variable>,
    /// Assumptions.
    pub options: Vec<(Name, Name)>,
    /// Who takes steps.
    pub agents: Vec<Agent>,
    /// What is asked.
    pub properties: Vec<Property>,
    /// What is expected to be answered.
    pub expect: Option<Spanned<Expect>>,
    /// Rows that no order is said to take.
    pub unreached: Vec<Unreached>,
    /// Exactly one order.
    pub trace: Vec<Row>,
}

/// One combination of the parameters of a scenario that is swept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sweep {
    /// The scenario as it is written.
    pub of: String,
    /// Its parameters in the order in which they are written, each with its value.
    pub values: Vec<(String, u32)>,
}

/// What can stand in an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FrameKind {
    /// A frame.
    Frame,
    /// A swap slot: a place for a page's contents that no entry makes accessible.
    Slot,
    /// A page-table page.
    Table,
}

/// A frame, a swap slot or a page-table page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its name.
    pub name: Name,
    /// What it holds at the start.
    pub content: u32,
    /// Whether nobody holds it at the start.
    pub free: bool,
    /// Which of them.
    pub kind: FrameKind,
}

/// An entry at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Whose entry.
    pub page: Name,
    /// What it is.
    pub entry: Written,
}

/// What kind of translation cache somebody has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UserKind {
    /// A TLB over the primary page table, flushed by `flush_tlb`.
    Cpu,
    /// The shadow page table, zapped by `notify_start`.
    Vcpu,
    /// An IOTLB with its device TLB, emptied by `notify`.
    Device,
}

/// Somebody who translates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Its name.
    pub name: Name,
    /// What it has.
    pub kind: UserKind,
    /// Whether a device has a TLB of its own.
    pub ats: bool,
    /// The PASID with which a device accesses memory, or its context entry.
    pub pasid: Option<Name>,
    /// Which of them that is.
    pub directory: Directory,
    /// The address space in which a CPU begins, and the tag of what its TLB then holds, if it has tags.
    pub context: Option<(Name, Name)>,
}

/// A user variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: Name,
    /// Its least value.
    pub least: u32,
    /// Its greatest value.
    pub most: u32,
    /// Its value at the start.
    pub initial: u32,
}

/// A program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agent {
    /// Its name.
    pub name: Name,
    /// The CPU it runs on, where that is not its name.
    pub on: Option<Name>,
    /// Whether it may stop anywhere.
    pub spontaneous: bool,
    /// Whether it is a column of a table, and so must be declared.
    pub in_table: bool,
    /// Its lines, before they are read as statements: what variants edit.
    pub rows: Vec<Row>,
    /// The same with each `for` written out, if there is one.
    pub unfolded: Option<Vec<Row>>,
    /// Its statements.
    pub body: Vec<Statement>,
}

impl Agent {
    /// The CPU, vCPU or device that it runs on.
    #[must_use]
    pub fn place(&self) -> &Name {
        self.on.as_ref().unwrap_or(&self.name)
    }

    /// The rows that its statements were read from.
    #[must_use]
    pub fn read(&self) -> &[Row] {
        self.unfolded.as_deref().unwrap_or(&self.rows)
    }

    /// A statement of it as it is written, without what stands on rows below.
    #[must_use]
    pub fn said(&self, statement: &Statement) -> String {
        let Some(row) = self.read().get(statement.row) else { return String::new() };
        let span = statement.span;
        let own: Vec<Token> = row
            .tokens
            .iter()
            .filter(|token| span.start <= token.span.start && token.span.end <= span.end)
            .cloned()
            .collect();
        said(&own)
    }
}

/// One thing that an agent does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// What.
    pub node: Node,
    /// Where.
    pub span: Span,
    /// On which of the rows that its program was read from, from 0.
    pub row: usize,
}

/// Kinds of statements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// One step.
    Step(Box<Spoken>),
    /// Several steps by one name.
    Operation(Operation),
    /// `x = 1`, `x += 1`, `x -= 1`.
    Assign(Name, Assignment, Operand),
    /// At least and at most so many times.
    Repeat(u32, u32, Vec<Statement>),
    /// One of these.
    Choice(Vec<Vec<Statement>>),
    /// One or the other.
    If(Condition, Vec<Statement>, Vec<Statement>),
    /// Wait, then go on.
    When(Condition, Vec<Statement>),
    /// Go on, or at the label.
    Check(Condition, Name),
    /// Go on at the label.
    Goto(Name),
    /// A place to go on.
    Label(Name),
    /// All at once.
    Atomic(Vec<Statement>),
    /// The program ends here.
    End,
}

impl Node {
    /// The name of the label that it is.
    #[must_use]
    pub const fn label(&self) -> Option<&Name> {
        if let Self::Label(name) = self { Some(name) } else { None }
    }
}

/// How a variable is changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignment {
    /// To a value.
    Set,
    /// Up by a number.
    Add,
    /// Down by a number.
    Subtract,
}

/// What steps name in a scenario: words, each with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words;

impl Names for Words {
    type Page = Name;
    type Frame = Name;
    type Pmd = Name;
    type Mm = Name;
    type MmOrNone = Name;
    type Pasid = Name;
    type Tag = Name;
    type User = Name;
    type Lock = Lock;
    type Handle = Name;
    type Label = Name;
    type Entry = Written;
    type Value = Spanned<u32>;
}

/// A step of a scenario.
pub type Step = steps::Step<Words>;

/// A step as it stands in a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spoken {
    /// What it does.
    pub step: Step,
    /// As it is shown in a trace: as it was written, with one blank between two words.
    pub text: String,
}

/// The name of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Its kind: `ptl`, `page`, `mmap_lock` or any other word.
    pub name: Name,
    /// What it protects.
    pub argument: Option<Name>,
}

impl Lock {
    /// As it is written: `ptl(A)`.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }
}

/// Something that holds or does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// One at least.
    Or(Box<Condition>, Box<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// Two operands and what they are to each other.
    Compare(Operand, Comparison, Operand),
    /// Not zero, not none.
    Truth(Operand),
    /// An entry with all of these.
    Has(Operand, Vec<Feature>),
}

/// What two operands are to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// Something with a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    /// What.
    pub term: Term,
    /// Added to it.
    pub plus: i64,
    /// Where.
    pub span: Span,
}

/// What an operand is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Term {
    /// A number.
    Number(u32),
    /// A variable or a handle, or an entry as far as it is said.
    Entry(Written),
    /// `content(old)`, `tlb(CPU, A)`, `pte_same A`, …
    Call(Name, Vec<Name>),
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// What.
    pub node: Question,
    /// As it was written.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// Kinds of properties.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// `never E`, `never E after E`, `never E after E until E`.
    Never {
        /// What must not happen,
        event: Event,
        /// once this has,
        after: Option<Event>,
        /// as long as this has not.
        until: Option<Event>,
    },
    /// In every state.
    Always(Condition),
    /// When all have ended.
    Finally(Condition),
    /// A built-in one, named.
    BuiltIn(BuiltIn),
}

/// Properties that are on unless an option switches them off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BuiltIn {
    /// Nobody reads or writes a frame that is freed.
    FreedFrame,
    /// Nobody walks a page-table page that is freed.
    FreedTable,
    /// Nobody unlocks what he has not locked.
    Unlock,
    /// Nobody goes on from an upper entry into a page-table page that it does not name.
    UnlinkedTable,
    /// Somebody can always go on.
    Deadlock,
    /// Whatever has been done, those whose end is awaited can still end.
    Livelock,
    /// No count and no variable leaves its range.
    Range,
}

/// Something that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// By whom; by anybody if left out.
    pub agent: Option<Name>,
    /// What.
    pub action: Action,
    /// Where it stands.
    pub span: Span,
}

/// Kinds of events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// A read of a page or a frame that returns a value for which the comparison holds.
    Reads(Name, Option<(Comparison, u32)>),
    /// A write to a page or a frame.
    Writes(Name, Option<(Comparison, u32)>),
    /// A step, as far as it is written: a trailing part may be left out.
    Step(Verb, String),
    /// An assignment, in whole.
    Assigns {
        /// What is assigned to.
        variable: Name,
        /// `done = 1`, with one blank between two words.
        text: String,
    },
}

/// The expected answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// No order breaks a property.
    Proved,
    /// Some does, the shortest in so many steps.
    Violation {
        /// The property, as it is written; any that the scenario asks for if it is left out.
        of: Option<Name>,
        /// The length of the shortest counterexample.
        steps: Option<u32>,
    },
}
