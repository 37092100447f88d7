//! Operations by name: the programs of [`mmu::operation`] as statements of the language.
//!
//! Invariant: the steps and their order are the live machine's; nothing is written a second time here. What the live
//! machine does around a program is done here too: it looks up the entry and takes its references, and drops them.

use mmu::operation::{Order, cow, ksm};
use mmu::program::{Line, Program};
use mmu::step::{Condition as Check, Permission as Allows, Role, Step as Kernel};

use crate::language::entry::{Bit, Change, Written};
use crate::language::span::{Name, Span, Spanned};
use crate::language::syntax::{
    Comparison, Condition, Lock, LockMode, Node, Operand, Operation, Replacement, Statement, Step, Term,
};
use crate::language::vocabulary::Verb;
use crate::language::{made, on_page};

/// The steps that `operation` stands for.
pub(crate) fn expand(operation: &Operation, span: Span) -> Vec<Statement> {
    match operation {
        Operation::ClearFlush { page, notify } => {
            let tell = notify.then_some(Verb::Notify);
            let verbs = [Verb::PteClear, Verb::FlushTlb].into_iter().chain(tell);
            verbs.map(|verb| on_page(verb, page, span)).collect()
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
            on_page(Verb::PteRead, self.page, self.span),
            self.at(Node::Check(self.compare("pte", self.page, Comparison::Equal, self.old), over.clone())),
            self.frame(Verb::Get, self.old),
        ];
        if holds_new {
            take.push(self.frame(Verb::Get, self.new));
        }
        let mut found = vec![self.at(Node::Atomic(take))];
        found.extend(program.lines().iter().map(|line| self.line(line)));
        if holds_new {
            found.push(self.frame(Verb::Put, self.new));
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

    fn frame(&self, verb: Verb, frame: &Name) -> Statement {
        let step = made(verb, format!("{} {}", verb.name(), frame.node));
        self.at(Node::Step(Box::new(Step { frame: Some(frame.clone()), ..step })))
    }

    fn lock(&self, verb: Verb, name: &str, argument: &Name) -> Statement {
        let step = made(verb, format!("{} {name}({})", verb.name(), argument.node));
        let argument = Some(argument.clone());
        let lock = Lock { name: self.name(name), argument, mode: LockMode::Exclusive };
        self.at(Node::Step(Box::new(Step { lock: Some(lock), ..step })))
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
            Line::Step(step) => self.step(step),
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

    fn step(&self, step: Kernel) -> Statement {
        let page = |verb| on_page(verb, self.page, self.span);
        match step {
            Kernel::Allocate => self.frame(Verb::Alloc, self.new),
            Kernel::LockPage(role) => self.lock(Verb::Lock, "page", self.role(role)),
            Kernel::UnlockPage(role) => self.lock(Verb::Unlock, "page", self.role(role)),
            Kernel::LockTable => self.lock(Verb::Lock, "ptl", self.page),
            Kernel::UnlockTable => self.lock(Verb::Unlock, "ptl", self.page),
            Kernel::RangeStart => page(Verb::NotifyStart),
            Kernel::RangeEnd => page(Verb::NotifyEnd),
            Kernel::ClearPte => page(Verb::PteClear),
            Kernel::FlushTlb => page(Verb::FlushTlb),
            Kernel::Notify => page(Verb::Notify),
            Kernel::ChangePte => page(Verb::ChangePte),
            Kernel::RestorePte => self.set_pte(Written::bare(self.name("orig"))),
            Kernel::MarkStable(role) => self.frame(Verb::MarkStable, self.role(role)),
            Kernel::Map(role) => self.frame(Verb::Map, self.role(role)),
            Kernel::Unmap(role) => self.frame(Verb::Unmap, self.role(role)),
            Kernel::Put(role) => self.frame(Verb::Put, self.role(role)),
            Kernel::Copy => {
                let text = format!("copy {} -> {}", self.old.node, self.new.node);
                let (frame, to) = (Some(self.old.clone()), Some(self.new.clone()));
                self.at(Node::Step(Box::new(Step { frame, to, ..made(Verb::Copy, text) })))
            }
            Kernel::SetPte(role, allows) => {
                let change = Change::default().say(Bit::Write, allows == Allows::ReadWrite);
                self.set_pte(Written { change, ..Written::bare(self.role(role).clone()) })
            }
        }
    }

    fn set_pte(&self, entry: Written) -> Statement {
        let step = made(Verb::SetPte, format!("set_pte {} -> {entry}", self.page.node));
        let page = Some(self.page.clone());
        self.at(Node::Step(Box::new(Step { page, entry: Some(entry), ..step })))
    }
}
