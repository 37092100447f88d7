//! What tables and caches hold during a run.
//!
//! Invariant: a lane is there for each cache that holds something at some time, for each table behind one of them, and for
//! each table that changes; a segment ends where what is held changes, or becomes stale, or is so no longer.

use ordering::lowering::{Cached, Gate, Key, Role};
use ordering::model::Var;

use super::parts::{Kind, Lane, Segment};
use super::places::{Place, place};
use super::states::{How, NOTHING, States};

/// All lanes, and the variable of each: by page, tables before caches.
pub(super) fn lanes(states: &States<'_>) -> (Vec<Lane>, Vec<Var>) {
    let of = |var: Var| place(states, var).map(|place| (var, place));
    let all: Vec<(Var, Place)> = states.vars().filter_map(of).collect();
    let is_table = |place: &Place| place.kind == Kind::Table;
    let holds = |var: Var| (0..=states.rows()).any(|row| states.value(var, row) != NOTHING);
    let caches = all.iter().filter(|(var, place)| !is_table(place) && holds(*var));
    let behind: Vec<Var> = caches.clone().flat_map(|(var, _)| tables(states, *var)).collect();
    let shows = |var: Var| behind.contains(&var) || changes(states, var);
    let shown = caches.chain(all.iter().filter(|(var, place)| is_table(place) && shows(*var)));
    let mut shown: Vec<&(Var, Place)> = shown.collect();
    shown.sort_by_key(|(var, place)| (place.group, place.kind, *var));
    let lanes = shown.iter().map(|(var, place)| lane(states, *var, place)).collect();
    (lanes, shown.iter().map(|(var, _)| *var).collect())
}

fn changes(states: &States<'_>, var: Var) -> bool {
    (1..=states.rows()).any(|row| states.value(var, row - 1) != states.value(var, row))
}

/// The tables behind a cache; the shadow page table is a cache of the primary one.
pub(super) fn tables(states: &States<'_>, var: Var) -> Vec<Var> {
    let sources =
        cached(states, var).into_iter().flat_map(|cached| cached.sources().map(|source| source.var));
    let primary = |var: Var| match cached(states, var) {
        Some(_) => tables(states, var),
        None => vec![var],
    };
    sources.flat_map(primary).collect()
}

/// What stands behind a cache, or behind the one that a walk on its way will fill.
fn cached<'a>(states: &States<'a>, var: Var) -> Option<&'a Cached> {
    let known = |key: Key| states.known(&key);
    let key = states.key(var);
    let filled = if let Key::InFlight(user, page) = key {
        known(Key::Tlb(*user, *page)).or_else(|| known(Key::Spte(*page)))?
    } else if let Key::Completion(user, page) = key {
        known(Key::DeviceTlb(*user, *page))?
    } else {
        var
    };
    if let Role::Cache(cached) = states.role(filled) { Some(cached) } else { None }
}

/// What says something else than a cache holds.
#[derive(Clone, Copy)]
pub(super) enum Blamed<'a> {
    /// The upper entry: a walk that has read it is behind that one alone.
    Upper(&'a Gate),
    /// The tables behind a cache.
    Tables(&'a Cached),
}

/// Which tables behind a row do not say that `var` may hold `value`. What a vCPU's TLB holds may still stand in the shadow
/// page table, and not in the primary one.
pub(super) fn blamed<'a>(states: &States<'a>, var: Var, value: u32, row: usize) -> Option<Blamed<'a>> {
    if let Role::OnTheWay(Some(gate)) = states.role(var)
        && gate.opens == Some(value)
    {
        return Some(Blamed::Upper(gate)).filter(|blamed| blamed.disagrees(states, value, row));
    }
    let mut behind = cached(states, var);
    while let Some(cached) = behind {
        let blamed = Blamed::Tables(cached);
        if blamed.disagrees(states, value, row) {
            return Some(blamed);
        }
        behind = cached.entry.as_ref().and_then(|entry| self::cached(states, entry.var));
    }
    None
}

impl Blamed<'_> {
    /// Whether they say something else behind a row.
    pub(super) fn disagrees(self, states: &States<'_>, value: u32, row: usize) -> bool {
        let values = states.values(row);
        match self {
            Self::Upper(gate) => Some(values[usize::from(gate.source.var.0)]) != gate.opens,
            Self::Tables(cached) => cached.says(values).is_some_and(|says| match states.how {
                How::Allowing => !states.lowered.roles.agree(cached.of, value, says),
                How::Whole => value != says,
            }),
        }
    }
}

fn lane(states: &States<'_>, var: Var, place: &Place) -> Lane {
    let is_table = place.kind == Kind::Table;
    let mut segments: Vec<Segment> = Vec::new();
    let mut last = None;
    for row in 0..=states.rows() {
        let value = states.value(var, row);
        let held = is_table || value != NOTHING;
        let now = held.then(|| (value, !is_table && blamed(states, var, value, row).is_some()));
        if now == last {
            continue;
        }
        if let Some(open) = segments.last_mut().filter(|_| last.is_some()) {
            open.to = Some(row);
        }
        let holds = states.shown(var, value);
        segments.extend(now.map(|(_, stale)| Segment {
            from: row,
            to: None,
            holds: holds.to_owned(),
            stale,
        }));
        last = now;
    }
    let rows = || 1..=states.rows();
    Lane {
        name: states.name(var).to_owned(),
        what: place.what.clone(),
        kind: place.kind,
        segments,
        emptied: rows().filter(|row| !is_table && states.empties(*row, var)).collect(),
        used: rows().filter(|row| !is_table && states.uses(*row, var)).collect(),
    }
}
