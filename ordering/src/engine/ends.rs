//! In what states the runs of a model end, and what breaks on their way: all of it, not only what comes first.
//!
//! Invariant: an end is found if and only if a run has it. States are not made one because their agents are alike, since
//! who is looked at is told apart; what is looked at is never dropped; and persistent sets leave out no end, because a
//! formula that reads what is looked at and always holds makes the end one of the observers that they mind. They are not
//! used where a property holds always: a run ends with what breaks it, so who breaks it could hide what others do.

use std::collections::BTreeSet;

use super::expand::Expander;
use super::layout::Slot;
use super::livelock;
use super::options::{Bound, Options, PersistentSets, Reduction, Reductions};
use super::plan::{Plan, Violations};
use super::search::{End, Searched};
use super::tables::Tables;
use super::too_large::TooLarge;
use super::word::Word;
use super::{Width, compile_until};
use crate::model::{Check, Guard, Model, Property, PropertyId, Var};

/// Different ends of one model at most, of those that have ended and of those that are stuck; of more the least are kept,
/// so that it does not depend on who finds them.
pub(crate) const MOST_ENDS: usize = 1 << 16;

/// What is looked at when a run has ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// What tells ends apart.
    pub at: Vec<Var>,
    /// What must be 0: else the run has not ended yet, such as a store buffer.
    pub settled: Vec<Var>,
}

/// How a run can end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Final {
    /// What is looked at, in the order of [`Look::at`].
    pub values: Vec<u32>,
    /// The properties that do not hold there.
    pub broken: Vec<PropertyId>,
}

/// Why not all ends are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shortfall {
    /// The search hit a limit.
    Search(Bound),
    /// There are more than `MOST_ENDS`.
    TooMany,
}

/// The ends of the runs of a model.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    /// All agents whose end is awaited have ended.
    pub ended: BTreeSet<Final>,
    /// Some have not, and nobody can take a step.
    pub stuck: BTreeSet<Final>,
    /// A step or a state breaks this, and the run ends with it.
    pub broken: BTreeSet<PropertyId>,
    /// A run can come to where it goes on for ever, and never ends.
    pub endless: bool,
    /// Why not all are known, if so. Those that are there are ends all the same.
    pub shortfall: Option<Shortfall>,
    /// States found.
    pub states: usize,
}

impl Ends {
    /// Of a model that was not packed in time.
    #[must_use]
    pub fn stopped() -> Self {
        Self { shortfall: Some(Shortfall::Search(Bound::Stopped)), ..Self::default() }
    }
}

/// All ends of the runs of a model.
///
/// # Errors
/// If the model is not well formed, if a state takes more than 127 bits, or if it was told to stop before it was packed.
pub fn ends(model: &Model, look: &Look, options: &Options) -> Result<Ends, TooLarge> {
    let mut model = model.clone();
    // Holds always: what it reads is what everybody who looks at the end sees.
    let read = look.at.iter().chain(&look.settled).map(|var| vec![Guard::Is(*var, 0)]);
    let holds = read.chain([Vec::new()]).collect();
    model.properties.push(Property { text: "finally".to_owned(), check: Check::Finally(holds), line: 0 });
    let packed = compile_until(&model, options.stop)?;
    Ok(match &packed.tables {
        Width::Narrow(tables) => ends_of(tables, look, options),
        Width::Wide(tables) => ends_of(tables, look, options),
    })
}

fn ends_of<W: Word>(tables: &Tables<W>, look: &Look, options: &Options) -> Ends {
    let options = &Options { reductions: kept(options.reductions, tables), ..*options };
    let (plan, bound) = options.plan::<W>();
    let plan = Plan { violations: Violations::Pass, ..plan };
    let searched = Searched::run(tables, &plan);
    let mut seen = Seen::nothing(tables, look);
    let mut shortfall = match searched.end {
        End::Exhausted | End::Broken(_) => None,
        End::Full => Some(Shortfall::Search(bound)),
        End::Stopped => Some(Shortfall::Search(Bound::Stopped)),
    };
    let mut expander = plan.without_persistent_sets().expander(tables);
    for state in (0..=searched.depth()).flat_map(|depth| searched.states_at(depth)) {
        if plan.is_stopped() {
            shortfall = Some(Shortfall::Search(Bound::Stopped));
            break;
        }
        seen.add(state, &mut expander);
    }
    if seen.too_many {
        shortfall = shortfall.or(Some(Shortfall::TooMany));
    }
    let endless = match shortfall {
        None => livelock::hopeless(tables, &plan, &searched),
        Some(_) => Some(None),
    };
    if endless.is_none() {
        shortfall = Some(Shortfall::Search(Bound::Stopped));
    }
    let endless = matches!(endless, Some(Some(_)));
    Ends { endless, shortfall, states: searched.states, ..seen.ends() }
}

/// The reductions that leave out no end.
fn kept<W: Word>(asked: Reductions, tables: &Tables<W>) -> Reductions {
    let persistent_sets = match asked.persistent_sets {
        PersistentSets::On | PersistentSets::Asked { .. } if !tables.properties.hold_always() => {
            PersistentSets::On
        }
        PersistentSets::On | PersistentSets::Asked { .. } | PersistentSets::Off => PersistentSets::Off,
    };
    Reductions { symmetry: Reduction::Off, persistent_sets, ..asked }
}

/// What was seen, packed: what is looked at, and the properties that do not hold.
struct Seen<'s, W> {
    tables: &'s Tables<W>,
    look: &'s Look,
    /// The bits of what is looked at.
    at: W,
    ended: BTreeSet<(W, Vec<PropertyId>)>,
    stuck: BTreeSet<(W, Vec<PropertyId>)>,
    broken: BTreeSet<PropertyId>,
    /// Whether some ends were left out.
    too_many: bool,
}

impl<'s, W: Word> Seen<'s, W> {
    fn nothing(tables: &'s Tables<W>, look: &'s Look) -> Self {
        let slot = |var: &Var| tables.layout.slots[usize::from(var.0)].mask::<W>();
        let at = look.at.iter().fold(W::ZERO, |mask, var| mask | slot(var));
        let (ended, stuck, broken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { tables, look, at, ended, stuck, broken, too_many: false }
    }

    fn add(&mut self, state: W, expander: &mut Expander<'_, W>) {
        let properties = &self.tables.properties;
        if let Some(broken) = properties.always_broken(state) {
            self.broken.insert(broken);
            return;
        }
        let at = state & self.at;
        let has_ended = properties.ended(state);
        if has_ended && self.look.settled.iter().all(|var| self.value(state, *var) == 0) {
            self.too_many |= insert(&mut self.ended, (at, properties.finally_broken(state).collect()));
        }
        let before = expander.transitions;
        expander.expand(state, 0, |_| {});
        // It notes one thing that is broken; each of them is wanted.
        if expander.broken.take().is_some() {
            self.broken.extend(expander.steps(state).iter().filter_map(|(entry, _)| entry.violates));
        }
        if expander.transitions == before && !has_ended {
            self.too_many |= insert(&mut self.stuck, (at, properties.stuck(state).into_iter().collect()));
        }
    }

    fn value(&self, state: W, var: Var) -> u32 {
        match &self.tables.layout.slots[usize::from(var.0)] {
            Slot::Constant(value) => *value,
            Slot::Coded(field, codes) => codes[field.read(state) as usize],
        }
    }

    fn ends(self) -> Ends {
        let shown = |seen: &BTreeSet<(W, Vec<PropertyId>)>| {
            let one = |(state, broken): &(W, Vec<PropertyId>)| Final {
                values: self.look.at.iter().map(|var| self.value(*state, *var)).collect(),
                broken: broken.clone(),
            };
            seen.iter().map(one).collect()
        };
        Ends {
            ended: shown(&self.ended),
            stuck: shown(&self.stuck),
            broken: self.broken.clone(),
            ..Ends::default()
        }
    }
}

/// Inserts an end; whether there are too many, and one was left out.
fn insert<W: Word>(ends: &mut BTreeSet<(W, Vec<PropertyId>)>, end: (W, Vec<PropertyId>)) -> bool {
    ends.insert(end);
    let is_over = ends.len() > MOST_ENDS;
    if is_over {
        ends.pop_last();
    }
    is_over
}
