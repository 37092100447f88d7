//! Steps, operations and assignments: read along the form that their rows give them.
//!
//! Invariant: there is no code for a single step here: what stands at its places is [`steps::text`]'s.

use steps::entry::Change;
use steps::operation::{Order, cow, ksm};
use steps::table::{OperationRow, OperationVerb, find, find_operation, words};
use steps::text::{Reader, read};

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::entry::Written;
use super::super::span::{Name, Spanned};
use super::super::suggest::did_you_mean;
use super::super::syntax::{
    Assignment, Lock, Node, Operand, Operation, Replacement, Spoken, Statement, Term, Words,
};
use super::condition::operand;
use super::cursor::{Cursor, Parsed};
use super::entry::{bits, entry as written};

/// A statement that is neither control nor label.
pub(super) fn simple(cursor: &mut Cursor<'_>, row: usize) -> Parsed<Statement> {
    let start = cursor.here();
    let word = cursor.name("a step", "lock ptl(A)")?;
    if is_assigned(cursor) {
        let (how, value) = assignment(cursor)?;
        return Ok(Statement { node: Node::Assign(word, how, value), span: cursor.since(start), row });
    }
    let node = if let Some(row) = find(&word.node) {
        let step = read(row.verb, &mut Places { cursor, form: row.form })?;
        Node::Step(Box::new(Spoken { step, text: cursor.said_since(start) }))
    } else if let Some(entry) = find_operation(&word.node) {
        Node::Operation(operation(cursor, entry)?)
    } else {
        return Err(unknown(&word));
    };
    Ok(Statement { node, span: cursor.since(start), row })
}

fn unknown(word: &Name) -> Diagnostic {
    let help = did_you_mean(&word.node, &words(), "`afterimage steps` and docs/language.md list every step");
    Diagnostic::new(Code::UnknownStep, word.span, format!("there is no step `{}`", word.node), help)
}

/// Whether the word before is assigned to.
pub(super) fn is_assigned(cursor: &Cursor<'_>) -> bool {
    cursor.peek().is_some_and(|sign| ["=", "+=", "-="].iter().any(|assign| sign.is(assign)))
}

/// What stands behind the variable.
pub(super) fn assignment(cursor: &mut Cursor<'_>) -> Parsed<(Assignment, Operand)> {
    const FORM: &str = "x = 1";
    let how = match () {
        () if cursor.eat("=") => Assignment::Set,
        () if cursor.eat("+=") => Assignment::Add,
        () => {
            cursor.sign("-=", FORM)?;
            Assignment::Subtract
        }
    };
    let value: Operand = operand(cursor, FORM)?;
    if how != Assignment::Set && !matches!(value.term, Term::Number(_)) {
        return Err(Diagnostic::new(
            Code::NotANumber,
            value.span,
            "only a number can be added or subtracted",
            "write `x += 1`, or choose by `if`",
        ));
    }
    Ok((how, value))
}

/// The places of a step, one behind the other.
struct Places<'c, 's> {
    cursor: &'c mut Cursor<'s>,
    form: &'static str,
}

impl Places<'_, '_> {
    fn name(&mut self, what: &str) -> Parsed<Name> {
        self.cursor.name(what, self.form)
    }
}

impl Reader<Words> for Places<'_, '_> {
    type Error = Diagnostic;

    fn page(&mut self) -> Parsed<Name> {
        self.name("a page")
    }

    fn frame(&mut self) -> Parsed<Name> {
        self.name("a frame")
    }

    fn pmd(&mut self) -> Parsed<Name> {
        self.name("an upper entry")
    }

    fn mm(&mut self) -> Parsed<Name> {
        self.name("an address space")
    }

    fn mm_or_none(&mut self) -> Parsed<Name> {
        self.name("an address space")
    }

    fn pasid(&mut self) -> Parsed<Name> {
        self.name("a PASID")
    }

    fn tag(&mut self) -> Parsed<Name> {
        self.name("a tag")
    }

    fn user(&mut self) -> Parsed<Name> {
        self.name("a CPU, a vCPU or a device")
    }

    fn lock(&mut self) -> Parsed<Lock> {
        lock(self.cursor, self.form)
    }

    fn handle(&mut self) -> Parsed<Name> {
        self.name("a name for the handle")
    }

    fn label(&mut self) -> Parsed<Name> {
        self.name("a label")
    }

    fn entry(&mut self) -> Parsed<Written> {
        written(self.cursor, "set_pte A -> old rw")
    }

    fn value(&mut self) -> Parsed<Spanned<u32>> {
        self.cursor.number(self.form)
    }

    fn bits(&mut self) -> Parsed<Change> {
        bits(self.cursor, self.form)
    }

    fn sign(&mut self, sign: &'static str) -> Parsed<()> {
        if self.cursor.eat_word(sign) { Ok(()) } else { self.cursor.sign(sign, self.form) }
    }

    fn flag(&mut self, word: &'static str) -> bool {
        self.cursor.eat_word(word)
    }
}

fn lock(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Lock> {
    let name = cursor.name("the name of a lock", form)?;
    let argument = if cursor.eat("(") {
        let argument = cursor.name("what the lock protects", "lock ptl(A)")?;
        cursor.sign(")", "lock ptl(A)")?;
        Some(argument)
    } else {
        None
    };
    Ok(Lock { name, argument })
}

fn operation(cursor: &mut Cursor<'_>, entry: &OperationRow) -> Parsed<Operation> {
    Ok(match entry.verb {
        OperationVerb::PtepClearFlush => {
            Operation::ClearFlush { page: cursor.name("a page", entry.form)?, notify: false }
        }
        OperationVerb::PtepClearFlushNotify => {
            Operation::ClearFlush { page: cursor.name("a page", entry.form)?, notify: true }
        }
        OperationVerb::WpPageCopy => Operation::WpPageCopy(replacement(cursor, entry, &cow::orders())?),
        OperationVerb::KsmMerge => Operation::KsmMerge(replacement(cursor, entry, &ksm::orders())?),
        OperationVerb::KsmStabilize => {
            if let Some(order) = cursor.quoted() {
                let help = format!("write `{}`, or `ksm_merge`, which has some", entry.form);
                return Err(Diagnostic::new(
                    Code::UnknownOrder,
                    order.span,
                    "`ksm_stabilize` has no orders",
                    help,
                ));
            }
            let page = cursor.name("a page", entry.form)?;
            Operation::KsmStabilize { page, old: cursor.name("the frame that is mapped", entry.form)? }
        }
    })
}

/// `["ORDER"] A old -> new`
fn replacement(cursor: &mut Cursor<'_>, entry: &OperationRow, orders: &[Order]) -> Parsed<Replacement> {
    let order = cursor.quoted();
    if let Some(wanted) = &order
        && !orders.iter().any(|order| order.name == wanted.node)
    {
        let names: Vec<_> = orders.iter().map(|order| order.name).collect();
        let help = did_you_mean(&wanted.node, &names, &format!("there are {}", names.join(", ")));
        let message = format!("`{}` has no order \"{}\"", entry.name(), wanted.node);
        return Err(Diagnostic::new(Code::UnknownOrder, wanted.span, message, help));
    }
    let page = cursor.name("a page", entry.form)?;
    let old = cursor.name("the frame that is mapped", entry.form)?;
    cursor.sign("->", entry.form)?;
    let new = cursor.name("the frame that takes its place", entry.form)?;
    Ok(Replacement { order, page, old, new })
}
