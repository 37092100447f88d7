//! Operations by name: the programs of [`mmu::operation`] as statements of the language.
//!
//! Invariant: the steps and their order are the live machine's; nothing is written a second time here. What the live
//! machine does around a program is done here too: it looks up the entry and takes its references, and drops them.

use mmu::operation::{Order, cow, ksm};
use mmu::program::{Line, Program};
use mmu::step::{Condition as Check, Permission as Allows, Role, Step as Kernel};
use steps::entry::{Bit, Change};
use steps::{Count, Depth, Emptied, EntryAt, EntryOf, Invalidation, LockMode, Range};

use crate::language::entry::Written;
use crate::language::span::{Name, Span, Spanned};
use crate::language::syntax::{
    Comparison, Condition, Lock, Node, Operand, Operation, Replacement, Spoken, Statement, Step, Term, Words,
};

/// The steps that `operation` stands for.
pub(crate) fn expand(operation: &Operation, span: Span) -> Vec<Statement> {
    match operation {
        Operation::ClearFlush { page, notify } => {
            let clear = Step::Entry(EntryAt::Pte(page.clone()), EntryOf::Clear);
            let tell = notify.then(|| invalidate(Emptied::Devices(of(page))));
            let steps = [clear, invalidate(Emptied::Cpus(of(page)))].into_iter().chain(tell);
            steps.map(|step| statement(step, span)).collect()
        }
        Operation::WpPageCopy(Replacement { order, page, old, new }) => {
            let program = ordered(order.as_ref(), cow::orders());
            Frames { page, old, new, span }.program(&program, false)
        }
        Operation::KsmMerge(Replacement { order, page, old, new }) => {
            let program = ordered(order.as_ref(), ksm::orders());
            Frames { page, old, new, span }.program(&program, true)
        }
        Operation::KsmStabilize { page, old } => {
            // Its program names no other frame.
            Frames { page, old, new: old, span }.program(&ksm::stabilize(), false)
        }
    }
}

/// The program in the named order, or in the first, which is the right one.
fn ordered(wanted: Option<&Name>, orders: Vec<Order>) -> Program {
    let is_wanted = |order: &Order| wanted.is_none_or(|wanted| order.name == wanted.node);
    let found = orders.into_iter().find(is_wanted);
    found.expect("the parser takes only orders that the operation has").program
}

/// A step that is made, not read.
fn statement(step: Step, span: Span) -> Statement {
    let text = step.to_string();
    Statement { node: Node::Step(Box::new(Spoken { step, text })), span }
}

fn of(page: &Name) -> Range<Words> {
    Range::Page(page.clone(), Depth::All)
}

fn invalidate(emptied: Emptied<Words>) -> Step {
    Step::Invalidate(Invalidation { emptied, posted: false })
}

struct Frames<'a> {
    page: &'a Name,
    old: &'a Name,
    new: &'a Name,
    span: Span,
}

impl Frames<'_> {
    fn program(&self, program: &Program, holds_new: bool) -> Vec<Statement> {
        let over = self.name("operation_over");
        let mut take = vec![
            self.step(self.entry(EntryOf::Read)),
            self.at(Node::Check(self.compare("pte", self.page, Comparison::Equal, self.old), over.clone())),
            self.count(Count::Get, self.old),
        ];
        if holds_new {
            take.push(self.count(Count::Get, self.new));
        }
        let mut found = vec![self.at(Node::Atomic(take))];
        found.extend(program.lines().iter().map(|line| self.line(line)));
        if holds_new {
            found.push(self.count(Count::Put, self.new));
        }
        found.push(self.at(Node::Label(over)));
        found
    }

    fn at(&self, node: Node) -> Statement {
        Statement { node, span: self.span }
    }

    fn name(&self, name: &str) -> Name {
        Spanned::new(name.to_owned(), self.span)
    }

    fn role(&self, role: Role) -> &Name {
        match role {
            Role::Old => self.old,
            Role::New => self.new,
        }
    }

    fn step(&self, step: Step) -> Statement {
        statement(step, self.span)
    }

    fn entry(&self, what: EntryOf<Words>) -> Step {
        Step::Entry(EntryAt::Pte(self.page.clone()), what)
    }

    fn count(&self, count: Count, frame: &Name) -> Statement {
        self.step(Step::Count(count, frame.clone()))
    }

    fn lock(&self, name: &str, argument: &Name) -> Lock {
        Lock { name: self.name(name), argument: Some(argument.clone()) }
    }

    fn call(&self, name: &str, argument: &Name, plus: i64) -> Operand {
        Operand { term: Term::Call(self.name(name), vec![argument.clone()]), plus, span: self.span }
    }

    fn compare(&self, name: &str, argument: &Name, how: Comparison, frame: &Name) -> Condition {
        let right = Operand { term: Term::Entry(Written::bare(frame.clone())), plus: 0, span: self.span };
        Condition::Compare(self.call(name, argument, 0), how, right)
    }

    fn line(&self, line: &Line) -> Statement {
        match *line {
            Line::Step(step) => self.kernel(step),
            Line::Check(check, label) => self.at(Node::Check(self.check(check), self.name(label.0))),
            Line::Goto(label) => self.at(Node::Goto(self.name(label.0))),
            Line::Label(label) => self.at(Node::Label(self.name(label.0))),
        }
    }

    fn check(&self, check: Check) -> Condition {
        match check {
            Check::PteSame => Condition::Truth(self.call("pte_same", self.page, 0)),
            Check::Unreferenced => {
                let (refs, maps) = (self.call("refs", self.old, 0), self.call("mapcount", self.old, 1));
                Condition::Compare(refs, Comparison::Equal, maps)
            }
            Check::SameContent => {
                let (old, new) = (self.call("content", self.old, 0), self.call("content", self.new, 0));
                Condition::Compare(old, Comparison::Equal, new)
            }
        }
    }

    fn kernel(&self, step: Kernel) -> Statement {
        let page = || self.page.clone();
        self.step(match step {
            Kernel::Allocate => Step::Count(Count::Alloc, self.new.clone()),
            Kernel::LockPage(role) => Step::Lock(self.lock("page", self.role(role)), LockMode::Exclusive),
            Kernel::UnlockPage(role) => Step::Unlock(self.lock("page", self.role(role))),
            Kernel::LockTable => Step::Lock(self.lock("ptl", self.page), LockMode::Exclusive),
            Kernel::UnlockTable => Step::Unlock(self.lock("ptl", self.page)),
            Kernel::RangeStart => Step::NotifyStart(page()),
            Kernel::RangeEnd => Step::NotifyEnd(page()),
            Kernel::ClearPte => self.entry(EntryOf::Clear),
            Kernel::FlushTlb => invalidate(Emptied::Cpus(of(self.page))),
            Kernel::Notify => invalidate(Emptied::Devices(of(self.page))),
            Kernel::ChangePte => Step::ChangePte(page()),
            Kernel::RestorePte => self.entry(EntryOf::Set(Written::bare(self.name("orig")))),
            Kernel::MarkStable(role) => Step::Count(Count::MarkStable, self.role(role).clone()),
            Kernel::Map(role) => Step::Count(Count::Map, self.role(role).clone()),
            Kernel::Unmap(role) => Step::Count(Count::Unmap, self.role(role).clone()),
            Kernel::Put(role) => Step::Count(Count::Put, self.role(role).clone()),
            Kernel::Copy => Step::Copy(self.old.clone(), self.new.clone()),
            Kernel::SetPte(role, allows) => {
                let change = Change::default().say(Bit::Write, allows == Allows::ReadWrite);
                let entry = Written { change, ..Written::bare(self.role(role).clone()) };
                self.entry(EntryOf::Set(entry))
            }
        })
    }
}
