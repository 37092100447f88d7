//! Programs: statements, conditions, and how they are written.
//!
//! Invariant: a program is a tree; only labels of the outermost block are jumped to.
//! Source: docs/language.md, "Programs".

use std::fmt;
use std::fmt::Write as _;

use super::entry::{Bit, Entry};
use super::step::{Lock, Mm, Page, Step, Tag};

/// What a condition compares with a number or an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Look {
    Var(usize),
    Handle(usize),
    Pte(Page),
    Pmd(usize),
    Spte(Page),
    Tlb(usize, Page),
    Tagged(usize, Page, Tag),
    Iotlb(usize, Page),
    Devtlb(usize, Page),
    Vtlb(usize, Page),
    Orig(Page),
    Content(usize),
    Refs(usize),
    TableRefs(usize),
    Mapcount(usize),
    Pins(usize),
    Stable(usize),
    InProgress(Page),
    Requested(Page),
    PteSame(Page),
    PmdSame(usize),
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(var) => write!(f, "x{var}"),
            Self::Handle(handle) => write!(f, "h{handle}"),
            Self::Pte(page) => write!(f, "pte({page})"),
            Self::Pmd(pmd) => write!(f, "pmd(M{pmd})"),
            Self::Spte(page) => write!(f, "spte({page})"),
            Self::Tlb(cpu, page) => write!(f, "tlb(C{cpu}, {page})"),
            Self::Tagged(cpu, page, tag) => write!(f, "tlb(C{cpu}, {page}, {tag})"),
            Self::Iotlb(device, page) => write!(f, "iotlb(D{device}, {page})"),
            Self::Devtlb(device, page) => write!(f, "devtlb(D{device}, {page})"),
            Self::Vtlb(vcpu, page) => write!(f, "vtlb(V{vcpu}, {page})"),
            Self::Orig(page) => write!(f, "orig({page})"),
            Self::Content(frame) => write!(f, "content(f{frame})"),
            Self::Refs(frame) => write!(f, "refs(f{frame})"),
            Self::TableRefs(table) => write!(f, "refs(T{table})"),
            Self::Mapcount(frame) => write!(f, "mapcount(f{frame})"),
            Self::Pins(frame) => write!(f, "pins(f{frame})"),
            Self::Stable(frame) => write!(f, "stable(f{frame})"),
            Self::InProgress(page) => write!(f, "in_progress({page})"),
            Self::Requested(page) => write!(f, "requested({page})"),
            Self::PteSame(page) => write!(f, "pte_same {page}"),
            Self::PmdSame(pmd) => write!(f, "pmd_same M{pmd}"),
        }
    }
}

/// What an entry is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Feature {
    Bit(Bit),
    Present,
    Swap,
    Migration,
    Marker,
    Table,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bit(bit) => write!(f, "{bit}"),
            Self::Present => f.write_str("present"),
            Self::Swap => f.write_str("swap"),
            Self::Migration => f.write_str("migration"),
            Self::Marker => f.write_str("marker"),
            Self::Table => f.write_str("table"),
        }
    }
}

/// A condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    /// It is not 0, not `none`.
    Holds(Look),
    Number(Look, &'static str, u8),
    Numbers(Look, &'static str, Look),
    /// Whether an entry is this one, or (false) is not.
    Entry(Look, bool, Entry),
    Has(Look, Vec<Feature>),
    /// Whether a CPU runs in this address space, or (false) in another one.
    Runs(usize, bool, Mm),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds(look) => write!(f, "{look}"),
            Self::Number(look, sign, number) => write!(f, "{look} {sign} {number}"),
            Self::Numbers(look, sign, other) => write!(f, "{look} {sign} {other}"),
            Self::Entry(look, same, entry) => {
                write!(f, "{look} {} {entry}", if *same { "==" } else { "!=" })
            }
            Self::Has(look, features) => {
                write!(f, "{look} has")?;
                features.iter().try_for_each(|feature| write!(f, " {feature}"))
            }
            Self::Runs(cpu, same, mm) => {
                write!(f, "loaded_mm(C{cpu}) {} {mm}", if *same { "==" } else { "!=" })
            }
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::And(one, other) => write!(f, "({one}) && ({other})"),
            Self::Or(one, other) => write!(f, "({one}) || ({other})"),
        }
    }
}

/// How a variable changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Set(u8),
    Copy(Look),
    Add(u8),
    Subtract(u8),
}

/// A statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Statement {
    Step(Step),
    Trylock(Lock, bool, &'static str),
    Assign(usize, Change),
    Repeat(usize, usize, Vec<Statement>),
    If(Condition, Vec<Statement>, Vec<Statement>),
    When(Condition),
    Check(Condition, &'static str),
    Goto(&'static str),
    Label(&'static str),
    End,
    Atomic(Vec<Statement>),
    /// Each branch is a statement or, in braces, several.
    Choice(Vec<Vec<Statement>>),
}

impl Statement {
    /// Whether it may raise a count. How far a count goes is not written down, so such a statement is not gone back to.
    pub(super) fn may_count(&self) -> bool {
        match self {
            Self::Step(step) => matches!(
                step,
                Step::Count(..) | Step::GupFast { .. } | Step::TryGet { .. } | Step::NotifyStart(_)
            ),
            Self::Repeat(_, _, body) | Self::Atomic(body) => body.iter().any(Self::may_count),
            Self::If(_, then, other) => then.iter().chain(other).any(Self::may_count),
            Self::Choice(branches) => branches.iter().flatten().any(Self::may_count),
            Self::Trylock(..)
            | Self::Assign(..)
            | Self::When(_)
            | Self::Check(..)
            | Self::Goto(_)
            | Self::Label(_)
            | Self::End => false,
        }
    }

    /// Whether it can stand in a sequence.
    pub(super) const fn is_on_one_line(&self) -> bool {
        !matches!(self, Self::Repeat(..) | Self::If(..) | Self::Label(_) | Self::Choice(_))
    }

    /// The text of what stands on one line.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Step(step) => step.to_string(),
            Self::Trylock(lock, shared, label) => {
                format!("trylock {lock}{} else {label}", if *shared { " shared" } else { "" })
            }
            Self::Assign(var, Change::Set(value)) => format!("x{var} = {value}"),
            Self::Assign(var, Change::Copy(look)) => format!("x{var} = {look}"),
            Self::Assign(var, Change::Add(by)) => format!("x{var} += {by}"),
            Self::Assign(var, Change::Subtract(by)) => format!("x{var} -= {by}"),
            Self::When(condition) => format!("when {condition}"),
            Self::Check(condition, label) => format!("check {condition} else {label}"),
            Self::Goto(label) => format!("goto {label}"),
            Self::End => "end".to_owned(),
            Self::Atomic(body) => format!("atomic {{ {} }}", sequence(body)),
            Self::Choice(branches) => branches.iter().map(|b| branch(b)).collect::<Vec<_>>().join(" | "),
            Self::Repeat(..) | Self::If(..) | Self::Label(_) => panic!("it stands on lines of its own"),
        }
    }

    fn write(&self, indent: usize, text: &mut String) {
        let pad = " ".repeat(indent);
        match self {
            Self::Label(name) => writeln!(text, "{name}:").expect("a string takes it"),
            Self::Repeat(least, most, body) => {
                let bound = if least == most { most.to_string() } else { format!("{least}..{most}") };
                writeln!(text, "{pad}repeat {bound}:").expect("a string takes it");
                body.iter().for_each(|inner| inner.write(indent + 2, text));
            }
            Self::If(condition, then, other) => {
                writeln!(text, "{pad}if {condition}:").expect("a string takes it");
                then.iter().for_each(|inner| inner.write(indent + 2, text));
                if !other.is_empty() {
                    writeln!(text, "{pad}else:").expect("a string takes it");
                    other.iter().for_each(|inner| inner.write(indent + 2, text));
                }
            }
            Self::Step(_)
            | Self::Trylock(..)
            | Self::Assign(..)
            | Self::When(_)
            | Self::Check(..)
            | Self::Goto(_)
            | Self::End
            | Self::Atomic(_)
            | Self::Choice(_) => writeln!(text, "{pad}{}", self.line()).expect("a string takes it"),
        }
    }
}

fn sequence(body: &[Statement]) -> String {
    body.iter().map(Statement::line).collect::<Vec<_>>().join("; ")
}

fn branch(body: &[Statement]) -> String {
    match body {
        [one] => one.line(),
        _ => format!("{{ {} }}", sequence(body)),
    }
}

/// The rows of a program, each two columns to the right.
pub(super) fn rows(body: &[Statement]) -> String {
    let mut text = String::new();
    body.iter().for_each(|statement| statement.write(2, &mut text));
    text
}
