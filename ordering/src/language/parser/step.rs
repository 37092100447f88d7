//! Steps, operations and assignments: read along the form that the vocabulary gives them.
//!
//! Invariant: there is no code for a single step here; a new row of the vocabulary is enough.

use mmu::operation::{Order, cow, ksm};

use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span};
use super::super::suggest::did_you_mean;
use super::super::syntax::{
    Assignment, Lock, LockMode, Node, Operand, Operation, Replacement, Statement, Step, Term,
};
use super::super::vocabulary::{Entry, OperationEntry, OperationVerb, Verb, find, find_operation, words};
use super::condition::operand;
use super::cursor::{Cursor, Parsed};
use super::entry::{bits, entry as written};

/// A statement that is neither control nor label.
pub(super) fn simple(cursor: &mut Cursor<'_>, source: &str) -> Parsed<Statement> {
    let start = cursor.here();
    let word = cursor.name("a step", "lock ptl(A)")?;
    if is_assigned(cursor) {
        let (how, value) = assignment(cursor)?;
        return Ok(Statement { node: Node::Assign(word, how, value), span: cursor.since(start) });
    }
    let node = if let Some(entry) = find(&word.node) {
        let mut step = step(cursor, entry)?;
        step.text = normal(cursor.since(start).text(source));
        Node::Step(Box::new(step))
    } else if let Some(entry) = find_operation(&word.node) {
        Node::Operation(operation(cursor, entry)?)
    } else {
        return Err(unknown(&word));
    };
    Ok(Statement { node, span: cursor.since(start) })
}

fn unknown(word: &Name) -> Diagnostic {
    let help = did_you_mean(&word.node, &words(), "`afterimage steps` and docs/language.md list every step");
    Diagnostic::new(word.span, format!("there is no step `{}`", word.node), help)
}

/// One blank between words, none at the ends.
pub(super) fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
            value.span,
            "only a number can be added or subtracted",
            "write `x += 1`, or choose by `if`",
        ));
    }
    Ok((how, value))
}

fn empty(verb: Verb) -> Step {
    let text = verb.name().to_owned();
    Step {
        verb,
        page: None,
        frame: None,
        to: None,
        entry: None,
        bits: None,
        lock: None,
        value: None,
        handle: None,
        write: false,
        mm: None,
        pasid: None,
        pmd: None,
        leaf: false,
        post: false,
        label: None,
        pin: false,
        text,
    }
}

/// The places of `entry`'s form, one after the other.
fn step(cursor: &mut Cursor<'_>, entry: &Entry) -> Parsed<Step> {
    let form = entry.form;
    let mut step = empty(entry.verb);
    for place in form.split(' ').skip(1) {
        match place {
            "PAGE" => step.page = Some(cursor.name("a page", form)?),
            "FRAME" if step.frame.is_none() => step.frame = Some(cursor.name("a frame", form)?),
            "FRAME" => step.to = Some(cursor.name("a frame", form)?),
            "MM" => step.mm = Some(cursor.name("an address space", form)?),
            "PASID" => step.pasid = Some(cursor.name("a PASID", form)?),
            "PMD" => step.pmd = Some(cursor.name("an upper entry", form)?),
            "HANDLE" => step.handle = Some(cursor.name("a name for the handle", form)?),
            "VALUE" => step.value = Some(cursor.number(form)?),
            "LOCK" => step.lock = Some(lock(cursor, form)?),
            "ENTRY" => step.entry = Some(written(cursor, "set_pte A -> old rw")?),
            "BITS" => step.bits = Some(bits(cursor, form)?),
            "[write]" => step.write = cursor.eat_word("write"),
            "[leaf]" => step.leaf = cursor.eat_word("leaf"),
            "[post]" => step.post = cursor.eat_word("post"),
            "[shared]" if cursor.eat_word("shared") => share(&mut step),
            "[shared]" => {}
            "LABEL" => step.label = Some(cursor.name("a label", form)?),
            "else" if cursor.eat_word("else") => {}
            "[pin]" => step.pin = cursor.eat_word("pin"),
            sign => cursor.sign(sign, form)?,
        }
    }
    Ok(step)
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
    Ok(Lock { name, argument, mode: LockMode::Exclusive })
}

fn share(step: &mut Step) {
    if let Some(lock) = &mut step.lock {
        lock.mode = LockMode::Shared;
    }
}

fn operation(cursor: &mut Cursor<'_>, entry: &OperationEntry) -> Parsed<Operation> {
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
                return Err(Diagnostic::new(order.span, "`ksm_stabilize` has no orders", help));
            }
            let page = cursor.name("a page", entry.form)?;
            Operation::KsmStabilize { page, old: cursor.name("the frame that is mapped", entry.form)? }
        }
    })
}

/// `["ORDER"] A old -> new`
fn replacement(cursor: &mut Cursor<'_>, entry: &OperationEntry, orders: &[Order]) -> Parsed<Replacement> {
    let order = cursor.quoted();
    if let Some(wanted) = &order
        && !orders.iter().any(|order| order.name == wanted.node)
    {
        let names: Vec<_> = orders.iter().map(|order| order.name).collect();
        let help = did_you_mean(&wanted.node, &names, &format!("there are {}", names.join(", ")));
        let message = format!("`{}` has no order \"{}\"", entry.name(), wanted.node);
        return Err(Diagnostic::new(wanted.span, message, help));
    }
    let page = cursor.name("a page", entry.form)?;
    let old = cursor.name("the frame that is mapped", entry.form)?;
    cursor.sign("->", entry.form)?;
    let new = cursor.name("the frame that takes its place", entry.form)?;
    Ok(Replacement { order, page, old, new })
}

/// One simple step that is made, not read: `verb` on `page`.
pub(crate) fn on_page(verb: Verb, page: &Name, span: Span) -> Statement {
    let mut step = empty(verb);
    step.text = format!("{} {}", verb.name(), page.node);
    step.page = Some(page.clone());
    Statement { node: Node::Step(Box::new(step)), span }
}

/// A step with nothing at its places yet, shown as `text`.
pub(crate) fn made(verb: Verb, text: String) -> Step {
    Step { text, ..empty(verb) }
}
