//! Store buffers: x86-TSO.
//!
//! Invariant: a buffer is a queue of four places, each with what is stored to (0: the place is empty) and the value; the
//! agent sees its newest store, and everybody else sees memory. Source: docs/language.md, "What a table cannot say".

use super::Promela;
use super::command::Command;
use crate::oracle::entry::Target;
use crate::oracle::flow::{Act, Place};
use crate::oracle::program::{Change, Statement};
use crate::oracle::step::{Access, Lock, Step};

const SLOTS: usize = 4;

/// What a plain store is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    Var(usize),
    Pte(usize),
    Pmd(usize),
    Lock(usize),
}

impl Cell {
    const fn key(self) -> usize {
        match self {
            Self::Var(var) => 1 + var,
            Self::Pte(page) => 10 + page,
            Self::Pmd(pmd) => 20 + pmd,
            Self::Lock(lock) => 30 + lock,
        }
    }

    pub(super) fn memory(self) -> String {
        match self {
            Self::Var(var) => format!("x[{var}]"),
            Self::Pte(page) => format!("pte[{page}]"),
            Self::Pmd(pmd) => format!("pmd[{pmd}]"),
            Self::Lock(lock) => format!("lkx[{lock}]"),
        }
    }
}

impl<'s> Promela<'s> {
    pub(super) fn is_tso(&self) -> bool {
        self.option("memory", "tso")
    }

    /// What the agent sees: its newest store to this, or memory.
    pub(super) fn seen(&self, agent: usize, cell: Cell) -> String {
        if !self.is_tso() || agent >= self.scenario.agents.len() {
            return cell.memory();
        }
        (0..SLOTS).fold(cell.memory(), |older, slot| {
            let place = agent * SLOTS + slot;
            format!("(bk[{place}] == {} -> bv[{place}] : {older})", cell.key())
        })
    }

    pub(super) fn is_empty(agent: usize) -> String {
        format!("bn[{agent}] == 0")
    }

    /// A variable that one agent alone mentions is a register.
    fn is_register(&self, var: usize) -> bool {
        let name = format!("x{var}");
        let mentions = self.scenario.agents.iter().filter(|agent| {
            let text = crate::oracle::program::rows(&agent.body);
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
        });
        mentions.count() < 2
    }

    fn push(&mut self, agent: usize, cell: Cell, value: &str) -> String {
        if !self.stores.contains(&(agent, cell)) {
            self.stores.push((agent, cell));
        }
        let place = format!("{} + bn[{agent}]", agent * SLOTS);
        // The value first: it may be what the agent sees.
        format!("bv[{place}] = {value}; bk[{place}] = {}; bn[{agent}] = bn[{agent}] + 1", cell.key())
    }

    /// The act as a plain store, if it is one; what else it does is done at once.
    pub(super) fn plain_store(&mut self, agent: usize, place: &Place<'s>) -> Option<Command> {
        if !self.is_tso() {
            return None;
        }
        let base = Self::command(agent, place, place.then);
        let room = format!("bn[{agent}] < {SLOTS}");
        match &place.act {
            Act::Assign(var, change @ (Change::Set(_) | Change::Copy(_))) if !self.is_register(*var) => {
                let value = self.assigned(agent, *var, change);
                let inside = self.inside(*var, &value);
                let push = self.push(agent, Cell::Var(*var), &value);
                let text = Statement::Assign(*var, (*change).clone()).line();
                Some(self.in_range(base, &inside).when(&room).named(&text).effect(&push))
            }
            Act::Step(step @ Step::SetPte(page, entry)) => {
                let orig = self.orig(agent, page.0);
                let new = self.entry(agent, *page, entry);
                let unless = Self::unless(entry);
                let base = self.comes_to_entry(base, page.0, &unless);
                let push = self.push(agent, self.pte_cell(*page), "tmp");
                let stores = format!("if :: ({unless}) -> {orig} = tmp; {push} :: else -> skip fi");
                let lines = [format!("tmp = {new}"), stores, "tmp = 0".to_owned()];
                Some(base.when(&room).named(&step.to_string()).effects(&lines))
            }
            Act::Step(step @ Step::SetPmd(pmd, entry)) => {
                let orig = self.orig_pmd(agent, *pmd);
                let new = self.things().expression(entry, &orig, &|handle| format!("h[{handle}]"));
                let push = self.push(agent, Cell::Pmd(*pmd), "tmp");
                let lines = [format!("tmp = {new}"), format!("{orig} = tmp"), push, "tmp = 0".to_owned()];
                Some(base.when(&room).named(&step.to_string()).effects(&lines))
            }
            Act::Step(step @ Step::Unlock(lock)) => {
                let cell = Cell::Lock(Self::lock(*lock));
                let held = format!("{} == {}", self.seen(agent, cell), agent + 1);
                let mut push = self.push(agent, cell, "0");
                let base = match self.option("unlock", "off") {
                    true => {
                        push = format!("if :: ({held}) -> {push} :: else -> skip fi");
                        base
                    }
                    false => base.bad(&format!("!({held})")),
                };
                let shared = Self::holds_shared(agent, *lock);
                Some(base.when(&room).when(&format!("!({shared})")).named(&step.to_string()).effect(&push))
            }
            Act::Step(_)
            | Act::Trylock(..)
            | Act::Assign(..)
            | Act::Test(_)
            | Act::When(_)
            | Act::Atomic(_) => None,
        }
    }

    /// Whether the agent stores plainly: then it can keep those waiting who want its buffer empty.
    pub(super) fn has_buffer(&self, agent: usize) -> bool {
        let plain = |act: &Act<'_>| match act {
            Act::Step(Step::SetPte(..) | Step::SetPmd(..) | Step::Unlock(_)) => true,
            Act::Assign(var, Change::Set(_) | Change::Copy(_)) => !self.is_register(*var),
            Act::Assign(_, Change::Add(_) | Change::Subtract(_))
            | Act::Step(_)
            | Act::Trylock(..)
            | Act::Test(_)
            | Act::When(_)
            | Act::Atomic(_) => false,
        };
        self.is_tso() && self.flows[agent].places().iter().any(|place| plain(&place.act))
    }

    fn holds_shared(agent: usize, lock: Lock) -> String {
        format!("(lks[{}] & {}) != 0", Self::lock(lock), 1 << agent)
    }

    /// The unlock of a lock that is held shared is no plain store.
    pub(super) fn locked_unlock(&mut self, agent: usize, place: &Place<'s>) {
        if let Act::Step(step @ Step::Unlock(lock)) = &place.act {
            let command = self.simple(Self::command(agent, place, place.then), agent, step);
            let shared = Self::holds_shared(agent, *lock);
            self.commands.push(command.when(&shared).when(&Self::is_empty(agent)));
        }
    }

    /// Whether the act waits until its agent's buffer is empty.
    pub(super) fn waits_for_buffer(&self, act: &Act<'_>) -> bool {
        match act {
            Act::Test(_) | Act::When(_) => false,
            Act::Assign(_, Change::Add(_) | Change::Subtract(_)) => true,
            Act::Assign(..) => false,
            Act::Trylock(..) | Act::Atomic(_) => true,
            Act::Step(step) => !matches!(
                step,
                Step::Read(_)
                    | Step::PteRead(_)
                    | Step::PmdRead(_)
                    | Step::IrqOff
                    | Step::IrqOn
                    | Step::RcuReadLock
                    | Step::RcuReadUnlock
                    | Step::Access { how: Access::Walk | Access::Read | Access::Write(_), .. }
                    | Step::PageRequest(_)
            ),
        }
    }

    /// Stores reach memory.
    pub(super) fn buffers(&mut self) {
        for (agent, cell) in self.stores.clone() {
            let first = agent * SLOTS;
            let mut command = Command::default()
                .when(&format!("bn[{agent}] > 0 && bk[{first}] == {}", cell.key()))
                .effect(&format!("{} = bv[{first}]", cell.memory()));
            for slot in 1..SLOTS {
                let (here, behind) = (first + slot - 1, first + slot);
                command = command
                    .effect(&format!("bk[{here}] = bk[{behind}]"))
                    .effect(&format!("bv[{here}] = bv[{behind}]"));
            }
            let last = first + SLOTS - 1;
            self.commands.push(
                command
                    .effect(&format!("bk[{last}] = 0"))
                    .effect(&format!("bv[{last}] = 0"))
                    .effect(&format!("bn[{agent}] = bn[{agent}] - 1")),
            );
        }
    }

    /// When a step through this entry does anything: with an empty handle it does not.
    pub(super) fn unless(entry: &crate::oracle::entry::Entry) -> String {
        match entry.target {
            Target::Handle(handle) => format!("h[{handle}] != 0"),
            Target::Nothing
            | Target::Marker
            | Target::Frame(_)
            | Target::Slot(_)
            | Target::Table(_)
            | Target::Orig => "true".to_owned(),
        }
    }
}
