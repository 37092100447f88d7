//! A cache that still holds what its table does not say any more: from where it has it, and since when it is wrong.
//!
//! Invariant: the way of an entry is followed back step by step, as the guards and updates of the steps say; it ends at
//! the table from which it was read.

use crate::lowering::Role;
use crate::model::{Guard, Update, Var};

use super::run::Run;

/// A stale cache in a state of a run.
pub(super) struct Stale {
    pub(super) cache: Var,
    pub(super) table: Var,
    /// The row in which it came into the cache.
    pub(super) filled: usize,
    /// The row in which it was read from the table, if that can be told.
    pub(super) read: usize,
    /// The variables that it came through, each with the row in which it came into that.
    pub(super) through: Vec<(Var, usize)>,
    /// The last row in which the table ceased to agree.
    pub(super) changed: usize,
}

impl Stale {
    /// What is wrong with `cache` before `row`, or with what the walk that filled it went through.
    pub(super) fn of(run: &Run<'_>, cache: Var, row: usize) -> Option<Self> {
        let filled = run.since(cache, row)?;
        let mut stale =
            Self { cache, table: table(run, cache)?, filled, read: filled, through: Vec::new(), changed: 0 };
        // A vCPU's table is a cache itself.
        if *run.role(stale.table) != Role::Table && !stale.agrees(run, row, row) {
            return stale.since(run, row);
        }
        while let Some(source) = source(run, stale.through.last().map_or(cache, |(var, _)| *var), stale.read)
        {
            if *run.role(source) == Role::Table {
                stale.table = source;
                break;
            }
            stale.table = table(run, source).unwrap_or(stale.table);
            stale.read = run.since(source, stale.read)?;
            stale.through.push((source, stale.read));
        }
        if stale.agrees(run, row, row) { stale.behind(run, row) } else { stale.since(run, row) }
    }

    /// Whether the table says at one row what the cache holds at another.
    fn agrees(&self, run: &Run<'_>, holds: usize, says: usize) -> bool {
        let (holds, says) = (run.value(self.cache, holds), run.value(self.table, says));
        run.lowered.roles.agree(self.cache, holds, says)
    }

    /// With the row in which the table ceased to agree.
    fn since(mut self, run: &Run<'_>, row: usize) -> Option<Self> {
        let ceased = |at: &usize| self.agrees(run, row, *at) && !self.agrees(run, row, at + 1);
        self.changed = (0..row).rev().find(ceased)?;
        Some(self)
    }

    /// The table agrees. If the walk that read it went through a stale cache, that one is to blame as long as it is
    /// there, then what it has left behind here.
    fn behind(mut self, run: &Run<'_>, row: usize) -> Option<Self> {
        let above = run
            .goes_through(self.read)
            .find(|above| *above != self.cache && !self.through.iter().any(|(known, _)| known == above))?;
        if run.since(above, row).is_none_or(|since| since < self.read) {
            return Self::of(run, above, row);
        }
        let own = Self::of(run, above, self.read)?;
        self.through.push((above, own.filled));
        Some(Self { table: own.table, changed: own.changed, ..self })
    }
}

/// What a cache is a copy of.
fn table(run: &Run<'_>, cache: Var) -> Option<Var> {
    match run.role(cache) {
        Role::Cache { table, .. } => *table,
        _ => None,
    }
}

/// Where the step of `row` had the value that it wrote into `var`.
fn source(run: &Run<'_>, var: Var, row: usize) -> Option<Var> {
    let way = run.way(row);
    let copied = way.updates.iter().find_map(|update| match update {
        Update::Copy { to, from } if *to == var => Some(*from),
        _ => None,
    });
    let size = |var: Var| run.model().variables[usize::from(var.0)].values.len();
    let is_source = |guard: &Guard| match *guard {
        Guard::Is(other, value) => {
            let role = matches!(run.role(other), Role::Table | Role::Cache { .. } | Role::OnTheWay);
            let holds = role && other != var && value != 0 && size(other) == size(var);
            holds.then_some(other)
        }
        _ => None,
    };
    copied.or_else(|| way.guard.iter().rev().find_map(is_source))
}
