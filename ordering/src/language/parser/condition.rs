//! Conditions: comparisons joined by `&&`, `||` and `!`.
//!
//! Invariant: nesting is bounded, so that no line can exhaust the stack. `&&` binds tighter than `||`.

use steps::table::SAME;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::Spanned;
use super::super::syntax::{Comparison, Condition, Operand, Term};
use super::super::token::Kind;
use super::cursor::{Cursor, Parsed};
use super::entry::{after, features};

const FORM: &str = "content(old) == 0";

/// How deep parentheses and negations may nest.
const DEPTH: usize = 32;

/// A whole condition.
pub(super) fn condition(cursor: &mut Cursor<'_>) -> Parsed<Condition> {
    let mut rest = cursor.clone();
    let own = std::iter::from_fn(|| rest.next()).take_while(|token| !token.is(";") && !token.is(":"));
    let joins = own.filter(|token| token.is("&&") || token.is("||")).count();
    if joins > DEPTH {
        let help = "split it into several `if` lines";
        return Err(Diagnostic::new(
            Code::WideCondition,
            cursor.here(),
            "this line joins too many conditions",
            help,
        ));
    }
    any(cursor, 0)
}

fn any(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Condition> {
    let mut left = all(cursor, depth)?;
    while cursor.eat("||") {
        left = Condition::Or(Box::new(left), Box::new(all(cursor, depth)?));
    }
    Ok(left)
}

fn all(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Condition> {
    let mut left = one(cursor, depth)?;
    while cursor.eat("&&") {
        left = Condition::And(Box::new(left), Box::new(one(cursor, depth)?));
    }
    Ok(left)
}

fn one(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Condition> {
    if depth > DEPTH {
        let help = "split it into several `if` lines";
        return Err(Diagnostic::new(
            Code::NestsTooDeep,
            cursor.here(),
            "this condition nests too deep",
            help,
        ));
    }
    if cursor.eat("!") {
        return Ok(Condition::Not(Box::new(one(cursor, depth + 1)?)));
    }
    if cursor.eat("(") {
        let inner = any(cursor, depth + 1)?;
        cursor.sign(")", "(a == 1 || b == 1) && c == 1")?;
        return Ok(inner);
    }
    let left = operand(cursor, FORM)?;
    if cursor.eat_word("has") {
        return Ok(Condition::Has(left, features(cursor)?));
    }
    match comparison(cursor) {
        Some(how) => Ok(Condition::Compare(left, how, operand(cursor, FORM)?)),
        None => Ok(Condition::Truth(left)),
    }
}

/// Takes a sign of comparison if it comes next.
pub(super) fn comparison(cursor: &mut Cursor<'_>) -> Option<Comparison> {
    let signs = [
        ("==", Comparison::Equal),
        ("!=", Comparison::Unequal),
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    signs.into_iter().find(|(sign, _)| cursor.eat(sign)).map(|(_, comparison)| comparison)
}

/// A number, a word or a call, with a number added or subtracted.
pub(super) fn operand(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Operand> {
    let start = cursor.here();
    let term = term(cursor, form)?;
    let mut plus = 0;
    if cursor.eat("+") {
        plus = i64::from(cursor.number("refs(old) == mapcount(old) + 1")?.node);
    } else if cursor.eat("-") {
        plus = -i64::from(cursor.number("refs(old) - 1 == mapcount(old)")?.node);
    }
    Ok(Operand { term, plus, span: cursor.since(start) })
}

fn term(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Term> {
    if let Some(Kind::Number(_) | Kind::Value(..)) = cursor.peek().map(|token| &token.kind) {
        return Ok(Term::Number(cursor.number(form)?.node));
    }
    let name = cursor.name("a value", form)?;
    if SAME.contains(&name.node.as_str()) && !cursor.peek().is_some_and(|token| token.is("(")) {
        let page = cursor.name("a page or an upper entry", "pte_same A")?;
        return Ok(Term::Call(name, vec![page]));
    }
    if !cursor.eat("(") {
        return Ok(Term::Entry(after(name, cursor, form)?));
    }
    let mut arguments = vec![cursor.name("a name", form)?];
    while cursor.eat(",") {
        arguments.push(cursor.name("a name", form)?);
    }
    cursor.sign(")", form)?;
    Ok(Term::Call(Spanned::new(name.node, name.span), arguments))
}
