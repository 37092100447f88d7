//! A cache that still holds what its table does not say any more: from where it has it, and since when it is wrong.
//!
//! Invariant: the way of an entry is followed back step by step, as the guards and updates of the steps say; it ends at
//! the table from which it was read. What memory says of a page is said by all tables on the way to it.

use crate::lowering::{Cached, Copied, Role};
use crate::model::{Guard, Update, Var};

use super::run::Run;

/// How a cache is compared with its tables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By what it allows.
    Allowing,
    /// Bit by bit.
    Whole,
}

/// A stale cache in a state of a run.
pub(super) struct Stale {
    pub(super) cache: Var,
    /// The table that says something else.
    pub(super) table: Var,
    /// The row in which it came into the cache.
    pub(super) filled: usize,
    /// The row in which it was read from the table, if that can be told.
    pub(super) read: usize,
    /// The variables that it came through, each with the row in which it came into that.
    pub(super) through: Vec<(Var, usize)>,
    /// The last row in which the tables ceased to agree; none: they never did.
    pub(super) changed: Option<usize>,
    pub(super) how: How,
}

impl Stale {
    /// What is wrong with `cache` before `row`, or with what the walk that filled it went through.
    pub(super) fn of(run: &Run<'_>, cache: Var, row: usize, how: How) -> Option<Self> {
        let (filled, mut backing) = (run.since(cache, row)?, run.cached(cache)?);
        let entry = backing.sources().last()?.var;
        let mut stale =
            Self { cache, table: entry, filled, read: filled, through: Vec::new(), changed: None, how };
        // A vCPU's table is a cache itself.
        if run.cached(entry).is_some() && !stale.agrees(run, backing, row, row) {
            return stale.since(run, backing, row);
        }
        while let Some(source) = source(run, stale.through.last().map_or(cache, |(var, _)| *var), stale.read)
        {
            match run.role(source) {
                Role::Table => break,
                Role::Cache(cached) => backing = cached,
                Role::OnTheWay(_) => {}
                Role::Buffer(_)
                | Role::Event
                | Role::References(_)
                | Role::Counted(_)
                | Role::Handle(_)
                | Role::Remembered { .. }
                | Role::Section { .. }
                | Role::Queue
                | Role::Other => unreachable!("an entry comes from tables, caches and walks alone"),
            }
            stale.read = run.since(source, stale.read)?;
            stale.through.push((source, stale.read));
        }
        if stale.agrees(run, backing, row, row) {
            return None;
        }
        stale.behind(run, row).or_else(|stale| stale.since(run, backing, row).ok_or(())).ok()
    }

    /// Whether the tables say at one row what the cache holds at another.
    fn agrees(&self, run: &Run<'_>, backing: &Cached, holds: usize, says: usize) -> bool {
        let Some(says) = backing.says(&run.state(says).values) else { return true };
        let (holds, of) = (run.value(self.cache, holds), backing.of);
        match self.how {
            How::Allowing => run.lowered.roles.agree(of, holds, says),
            How::Whole => holds == says,
        }
    }

    /// With the row in which the tables ceased to agree.
    fn since(mut self, run: &Run<'_>, backing: &Cached, row: usize) -> Option<Self> {
        let ceased =
            |at: &usize| self.agrees(run, backing, row, *at) && !self.agrees(run, backing, row, at + 1);
        self.changed = (0..row).rev().find(ceased);
        let Some(changed) = self.changed else {
            // Bits that no table ever had are what the hardware has added.
            self.table = backing.sources().last()?.var;
            return (self.how == How::Allowing && backing.of == Copied::Leaf).then_some(self);
        };
        let moved = |var: Var| run.value(var, changed) != run.value(var, changed + 1);
        self.table = backing.sources().map(|source| source.var).find(|var| moved(*var))?;
        Some(self)
    }

    /// If the walk that read it went through a stale cache, that one is to blame as long as it is there, then what it
    /// has left behind here.
    fn behind(mut self, run: &Run<'_>, row: usize) -> Result<Self, Self> {
        let known = |above: Var| self.cache == above || self.through.iter().any(|(var, _)| *var == above);
        let found = run.goes_through(self.read).filter(|above| !known(*above));
        let Some((above, own)) =
            found.filter_map(|above| Some((above, Self::of(run, above, self.read, self.how)?))).next()
        else {
            return Err(self);
        };
        if run.since(above, row).is_none_or(|since| since < self.read) {
            return Self::of(run, above, row, self.how).ok_or(self);
        }
        self.through.push((above, own.filled));
        Ok(Self { table: own.table, changed: own.changed, ..self })
    }
}

/// Where the step of `row` had the value that it wrote into `var`.
fn source(run: &Run<'_>, var: Var, row: usize) -> Option<Var> {
    let way = run.way(row);
    let is_source = |other: Var| {
        let role = matches!(run.role(other), Role::Table | Role::Cache(_) | Role::OnTheWay(_));
        role && other != var && size(run, other) == size(run, var)
    };
    let copied = way.updates.iter().find_map(|update| match update {
        Update::Copy { to, from } if *to == var && is_source(*from) => Some(*from),
        Update::Copy { .. } | Update::Set(..) | Update::Increment(_) | Update::Decrement(_) => None,
    });
    let held = |guard: &Guard| match *guard {
        Guard::Is(other, value) if value != 0 && is_source(other) => Some(other),
        Guard::Is(..) | Guard::IsNot(..) | Guard::Same(..) | Guard::Differ(..) | Guard::Below(..) => None,
    };
    copied.or_else(|| way.guard.iter().rev().find_map(held))
}

fn size(run: &Run<'_>, var: Var) -> usize {
    run.model().variables[usize::from(var.0)].values.len()
}
