//! Locks: who holds them, and who may release them.
//!
//! Invariant: a lock has one holder, or any number of holders who share it. Who has neither taken nor shared it and
//! releases it breaks the built-in property. Nobody comes before the others: a lock may pass a waiting writer by for
//! ever, so what is proved does not rest on fairness.

use steps::LockMode;

use crate::language::span::{Name, Span};
use crate::language::syntax::Lock;
use crate::language::{Code, Diagnostic, did_you_mean};
use crate::model::{Guard, Update, Var};

use super::super::deed::Part;
use super::super::emitter::Emitter;
use super::super::program::{Goal, Way};
use super::super::state::{Key, number};
use super::At;

impl Emitter<'_> {
    pub(super) fn lock(&mut self, lock: &Lock, mode: LockMode, at: &At<'_>) -> Result<(), Diagnostic> {
        let (way, _) = self.taking(lock, mode, at)?;
        self.step(vec![way], at.line);
        Ok(())
    }

    pub(super) fn trylock(
        &mut self,
        lock: &Lock,
        mode: LockMode,
        label: &Name,
        at: &At<'_>,
    ) -> Result<(), Diagnostic> {
        let (taken, busy) = self.taking(lock, mode, at)?;
        let label = self.out.builder.named(label)?;
        let text = format!("{}: no", at.text);
        let failed = |guard| {
            Way::new(vec![guard], Vec::new(), text.as_str()).to(Goal::Label(label)).part(Part::Nothing)
        };
        let ways = std::iter::once(taken).chain(busy.into_iter().map(failed)).collect();
        self.step(ways, at.line);
        Ok(())
    }

    pub(super) fn unlock(&mut self, lock: &Lock, at: &At<'_>) -> Result<(), Diagnostic> {
        let holder = self.holder(lock, at.span)?;
        let ways = self.release(holder, &lock.text(), at);
        self.step(ways, at.line);
        Ok(())
    }

    /// The way to take the lock, and what keeps this agent from it.
    fn taking(&mut self, lock: &Lock, mode: LockMode, at: &At<'_>) -> Result<(Way, Vec<Guard>), Diagnostic> {
        let (holder, name) = (self.holder(lock, at.span)?, lock.text());
        let busy = self.busy(holder, &name, mode);
        let free = busy.iter().map(|guard| opposite(*guard)).collect();
        Ok((at.way(free, vec![self.take(holder, name, mode)]), busy))
    }

    /// Each of these keeps this agent from taking the lock.
    fn busy(&mut self, holder: Var, name: &str, mode: LockMode) -> Vec<Guard> {
        let me = self.own.agent;
        let in_the_way = |agent: &usize| mode == LockMode::Exclusive || *agent == me;
        let habits = self.scope.habits();
        let shares =
            (0..habits.len()).filter(|agent| habits[*agent].shares.contains(name)).filter(in_the_way);
        let taken = std::iter::once(Guard::IsNot(holder, 0));
        let state = &mut self.state;
        taken
            .chain(shares.map(|agent| Guard::Is(state.var(&Key::Shares(agent, name.to_owned())), 1)))
            .collect()
    }

    fn take(&mut self, holder: Var, name: String, mode: LockMode) -> Update {
        match mode {
            LockMode::Exclusive => Update::Set(holder, number(self.own.agent) + 1),
            LockMode::Shared => Update::Set(self.state.var(&Key::Shares(self.own.agent, name)), 1),
        }
    }

    fn release(&mut self, holder: Var, name: &str, at: &At<'_>) -> Vec<Way> {
        let me = number(self.own.agent) + 1;
        let mut ways = vec![at.way(vec![Guard::Is(holder, me)], vec![Update::Set(holder, 0)])];
        let mut wrong = vec![Guard::IsNot(holder, me)];
        if self.scope.habits()[self.own.agent].shares.contains(name) {
            let shares = self.state.var(&Key::Shares(self.own.agent, name.to_owned()));
            let guard = std::iter::once(Guard::Is(shares, 1)).chain(self.drained());
            ways.push(at.way(guard.collect(), vec![Update::Set(shares, 0)]));
            wrong.push(Guard::IsNot(shares, 1));
        }
        // Where that is no violation, the step goes on, and whoever holds the lock holds it still.
        ways.push(at.way(wrong, Vec::new()).violating(self.scope.properties.unlock));
        ways
    }

    /// The variable that says who holds the lock alone.
    fn holder(&mut self, lock: &Lock, span: Span) -> Result<Var, Diagnostic> {
        if let Some(name) = &lock.argument {
            match lock.name.node.as_str() {
                "ptl" => drop(self.scope.names.page(name)?),
                "page" => drop(self.scope.names.frame(name)?),
                // Any other word is a lock of that name.
                _ => {}
            }
        }
        let name = lock.text();
        if !self.scope.survey.locks.contains(&name) {
            let known: Vec<_> = self.scope.survey.locks.iter().map(String::as_str).collect();
            let otherwise = format!("take it before: `lock {name}`");
            let help = did_you_mean(&name, &known, &otherwise);
            return Err(Diagnostic::new(
                Code::UnknownLock,
                span,
                format!("nobody ever takes the lock `{name}`"),
                help,
            ));
        }
        Ok(self.state.var(&Key::Lock(name)))
    }
}

/// What holds where this guard does not, of the two kinds that locks need.
fn opposite(guard: Guard) -> Guard {
    match guard {
        Guard::Is(var, value) => Guard::IsNot(var, value),
        Guard::IsNot(var, value) => Guard::Is(var, value),
        Guard::Below(..) | Guard::Same(..) | Guard::Differ(..) => {
            panic!("a lock is held or not: {guard:?} has no opposite")
        }
    }
}
