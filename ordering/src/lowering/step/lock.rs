//! Locks: who holds them, and who may release them.
//!
//! Invariant: a lock has one holder, who alone can release it; the release by anybody else breaks the built-in property.

use crate::language::span::Span;
use crate::language::syntax::Lock;
use crate::language::vocabulary::Verb;
use crate::language::{Diagnostic, did_you_mean};
use crate::model::{Guard, Update, Var};

use super::super::agent::Emitter;
use super::super::state::{Key, number};
use super::At;

impl Emitter<'_> {
    pub(super) fn locking(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let lock = self.lock(at.filled(at.step.lock.as_ref())?, at.span)?;
        let me = number(self.agent) + 1;
        if at.step.verb == Verb::Lock {
            self.step(vec![at.way(vec![Guard::Is(lock, 0)], vec![Update::Set(lock, me)])], at.line);
            return Ok(());
        }
        let mut ways = vec![at.way(vec![Guard::Is(lock, me)], vec![Update::Set(lock, 0)])];
        let wrong = at.way(vec![Guard::IsNot(lock, me)], Vec::new()).violating(self.properties.unlock);
        ways.extend(self.properties.unlock.map(|_| wrong));
        self.step(ways, at.line);
        Ok(())
    }

    fn lock(&mut self, lock: &Lock, span: Span) -> Result<Var, Diagnostic> {
        let argument = match &lock.argument {
            None => String::new(),
            Some(name) => {
                match lock.name.node.as_str() {
                    "ptl" => drop(self.names.page(name)?),
                    "page" => drop(self.names.frame(name)?),
                    _ => {}
                }
                format!("({})", name.node)
            }
        };
        let name = format!("{}{argument}", lock.name.node);
        if !self.locks.contains(&name) {
            let known: Vec<_> = self.locks.iter().map(String::as_str).collect();
            let otherwise = format!("take it before: `lock {name}`");
            let help = did_you_mean(&name, &known, &otherwise);
            return Err(Diagnostic::new(span, format!("nobody ever takes the lock `{name}`"), help));
        }
        Ok(self.state.var(&Key::Lock(name)))
    }
}
