//! Operations by name: the programs of [`steps::operation`] as statements of the language.
//!
//! Invariant: the steps and their order are the live machine's; nothing is written a second time here. What the live
//! machine does around a program is done here too: it looks up the entry and takes its references, and drops them.

use steps::entry::{Bit, Change};
use steps::one_page::{self, Condition as Check, Never, OnePage, Page, Protection, Role};
use steps::operation::{Order, cow, ksm};
use steps::program::{Line, Program};
use steps::{Count, Depth, Emptied, EntryAt, EntryOf, Invalidation, Range, Renaming, Scope};

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
    Statement { node: Node::Step(Box::new(Spoken { step, text })), span, row: 0 }
}

fn of(page: &Name) -> Range<Words> {
    Range::Page(page.clone(), Depth::All)
}

fn invalidate(emptied: Emptied<Words>) -> Step {
    Step::Invalidate(Invalidation { emptied, scope: Scope::All, posted: false })
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
            self.step(self.on_entry(EntryOf::Read)),
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
        Statement { node, span: self.span, row: 0 }
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

    fn on_entry(&self, what: EntryOf<Words>) -> Step {
        Step::Entry(EntryAt::Pte(self.page.clone()), what)
    }

    fn count(&self, count: Count, frame: &Name) -> Statement {
        self.step(Step::Count(count, frame.clone()))
    }

    fn lock_of(&self, name: &str, argument: &Name) -> Lock {
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
            Line::Step(step) => self.step(step.renamed(self)),
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
}

impl Renaming<OnePage, Words> for Frames<'_> {
    fn page(&self, _: &Page) -> Name {
        self.page.clone()
    }

    fn frame(&self, role: &Role) -> Name {
        self.role(*role).clone()
    }

    fn lock(&self, lock: &one_page::Lock) -> Lock {
        match lock {
            one_page::Lock::Table => self.lock_of("ptl", self.page),
            one_page::Lock::Page(role) => self.lock_of("page", self.role(*role)),
        }
    }

    fn entry(&self, entry: &one_page::Entry) -> Written {
        match entry {
            one_page::Entry::Orig => Written::bare(self.name("orig")),
            one_page::Entry::Maps(role, allows) => {
                let change = Change::default().say(Bit::Write, *allows == Protection::ReadWrite);
                Written { change, ..Written::bare(self.role(*role).clone()) }
            }
        }
    }

    fn user(&self, never: &Never) -> Name {
        match *never {}
    }

    fn tag(&self, never: &Never) -> Name {
        match *never {}
    }

    fn pmd(&self, never: &Never) -> Name {
        match *never {}
    }

    fn mm(&self, never: &Never) -> Name {
        match *never {}
    }

    fn mm_or_none(&self, never: &Never) -> Name {
        match *never {}
    }

    fn pasid(&self, never: &Never) -> Name {
        match *never {}
    }

    fn handle(&self, never: &Never) -> Name {
        match *never {}
    }

    fn label(&self, never: &Never) -> Name {
        match *never {}
    }

    fn value(&self, never: &Never) -> Spanned<u32> {
        match *never {}
    }
}
