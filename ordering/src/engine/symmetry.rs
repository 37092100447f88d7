//! Interchangeable parts: which declared symmetries really are, and the one state that stands for all exchanges.
//!
//! Invariant: a symmetry is used only if exchanging two neighbours among its members, their agents and their
//! variables, gives literally the same model (up to the order of guards and of updates in one alternative). What is declared
//! wrongly costs states, never the verdict.

use super::layout::Field;
use super::word::Word;
use crate::model::{Agent, Alternative, Check, Guard, Member, Model, Symmetry, Update, Var};

/// The declared symmetries that hold.
pub(super) fn that_hold(model: &Model) -> Vec<&Symmetry> {
    model.symmetries.iter().filter(|symmetry| holds(model, symmetry)).collect()
}

fn holds(model: &Model, symmetry: &Symmetry) -> bool {
    symmetry.members.len() > 1
        && symmetry.members.windows(2).all(|pair| Exchange::of(model, &pair[0], &pair[1]).keeps(model))
}

/// Exchanges two members of a symmetry.
struct Exchange<'s> {
    one: &'s Member,
    other: &'s Member,
    /// By variable, the one that takes its place.
    vars: Vec<Var>,
}

impl<'s> Exchange<'s> {
    fn of(model: &Model, one: &'s Member, other: &'s Member) -> Self {
        let all = (0..).map(Var).take(model.variables.len());
        Self { one, other, vars: all.map(|var| exchanged(var, &one.vars, &other.vars)).collect() }
    }

    fn keeps(&self, model: &Model) -> bool {
        let alike = |(one, other): (&Var, &Var)| {
            let (one, other) = (&model.variables[usize::from(one.0)], &model.variables[usize::from(other.0)]);
            one.initial == other.initial && one.values.len() == other.values.len()
        };
        let agent = |index| self.keeps_agent(&model.agents[index], &model.agents[self.agent(index)]);
        let formula = |check: &Check| match check {
            Check::Always(any) | Check::Finally(any) => self.keeps_formula(any),
            Check::Step | Check::Deadlock | Check::Livelock => true,
        };
        self.one.vars.iter().zip(&self.other.vars).all(alike)
            && (0..model.agents.len()).all(agent)
            && model.properties.iter().all(|property| formula(&property.check))
    }

    fn keeps_agent(&self, agent: &Agent, image: &Agent) -> bool {
        let same = |(one, other): (&Alternative, &Alternative)| {
            one.next == other.next
                && one.violates == other.violates
                && self.keeps_guards(&one.guard, &other.guard)
                && self.keeps_updates(&one.updates, &other.updates)
        };
        agent.spontaneous == image.spontaneous
            && agent.program.len() == image.program.len()
            && agent.program.iter().zip(&image.program).all(|(one, other)| {
                one.may_end == other.may_end
                    && one.alternatives.len() == other.alternatives.len()
                    && one.alternatives.iter().zip(&other.alternatives).all(same)
            })
    }

    fn keeps_formula(&self, any: &[Vec<Guard>]) -> bool {
        let mut images: Vec<_> = any.iter().map(|all| self.guards(all)).collect();
        let mut originals: Vec<_> = any.iter().map(|all| sorted(all, guard_key)).collect();
        images.sort_unstable();
        originals.sort_unstable();
        images == originals
    }

    fn agent(&self, index: usize) -> usize {
        exchanged(index, &self.one.agents, &self.other.agents)
    }

    fn var(&self, var: Var) -> Var {
        self.vars[usize::from(var.0)]
    }

    /// Most stand in one order in both, and are not sorted.
    fn keeps_guards(&self, one: &[Guard], other: &[Guard]) -> bool {
        let in_order = || one.iter().zip(other).all(|(one, other)| self.guard(one) == *other);
        one.len() == other.len() && (in_order() || self.guards(one) == sorted(other, guard_key))
    }

    fn keeps_updates(&self, one: &[Update], other: &[Update]) -> bool {
        let in_order = || one.iter().zip(other).all(|(one, other)| self.update(one) == *other);
        let images = || one.iter().map(|update| self.update(update)).collect::<Vec<_>>();
        one.len() == other.len() && (in_order() || sorted(&images(), update_key) == sorted(other, update_key))
    }

    fn guards(&self, guards: &[Guard]) -> Vec<GuardKey> {
        sorted(&guards.iter().map(|guard| self.guard(guard)).collect::<Vec<_>>(), guard_key)
    }

    fn guard(&self, guard: &Guard) -> Guard {
        match *guard {
            Guard::Is(var, value) => Guard::Is(self.var(var), value),
            Guard::IsNot(var, value) => Guard::IsNot(self.var(var), value),
            Guard::Same(one, other) => Guard::Same(self.var(one), self.var(other)),
            Guard::Differ(one, other) => Guard::Differ(self.var(one), self.var(other)),
            Guard::Below(var, bound) => Guard::Below(self.var(var), bound),
        }
    }

    fn update(&self, update: &Update) -> Update {
        match *update {
            Update::Set(var, value) => Update::Set(self.var(var), value),
            Update::Copy { to, from } => Update::Copy { to: self.var(to), from: self.var(from) },
            Update::Increment(var) => Update::Increment(self.var(var)),
            Update::Decrement(var) => Update::Decrement(self.var(var)),
        }
    }
}

/// What takes an item's place when those of one list and of the other are exchanged.
fn exchanged<T: Copy + PartialEq>(item: T, one: &[T], other: &[T]) -> T {
    let at = |list: &[T]| list.iter().position(|&listed| listed == item);
    match (at(one), at(other)) {
        (Some(index), _) => other[index],
        (_, Some(index)) => one[index],
        _ => item,
    }
}

type GuardKey = (u8, Var, u32);
type UpdateKey = (u8, Var, u32);

fn sorted<T, K: Ord>(items: &[T], key: fn(&T) -> K) -> Vec<K> {
    let mut keys: Vec<K> = items.iter().map(key).collect();
    keys.sort_unstable();
    keys
}

fn guard_key(guard: &Guard) -> GuardKey {
    match *guard {
        Guard::Is(var, value) => (0, var, value),
        Guard::IsNot(var, value) => (1, var, value),
        Guard::Same(one, other) => (2, one.min(other), u32::from(one.max(other).0)),
        Guard::Differ(one, other) => (3, one.min(other), u32::from(one.max(other).0)),
        Guard::Below(var, bound) => (4, var, bound),
    }
}

fn update_key(update: &Update) -> UpdateKey {
    match *update {
        Update::Set(var, value) => (0, var, value),
        Update::Copy { to, from } => (1, to, u32::from(from.0)),
        Update::Increment(var) => (2, var, 0),
        Update::Decrement(var) => (3, var, 0),
    }
}

/// The members of a symmetry, as they lie in a state.
#[derive(Clone, Debug)]
pub(super) struct Alike<W> {
    /// For each member, its block.
    blocks: Vec<Field>,
    /// The bits of each block.
    masks: Vec<W>,
    /// The agents of each member; those at the same place of two members are exchanged.
    agents: Vec<Vec<usize>>,
}

impl<W: Word> Alike<W> {
    pub(super) fn of(symmetry: &Symmetry, blocks: &[Field]) -> Self {
        Self {
            blocks: blocks.to_vec(),
            masks: blocks.iter().map(|block| block.mask()).collect(),
            agents: symmetry.members.iter().map(|member| member.agents.clone()).collect(),
        }
    }

    /// Of the members whose agents all have a new number, if there are several, with those numbers.
    pub(super) fn among(&self, number: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        let mut among = Self { blocks: Vec::new(), masks: Vec::new(), agents: Vec::new() };
        for ((block, mask), agents) in self.blocks.iter().zip(&self.masks).zip(&self.agents) {
            let Some(agents) = agents.iter().map(|&agent| number(agent)).collect() else { continue };
            among.blocks.push(*block);
            among.masks.push(*mask);
            among.agents.push(agents);
        }
        (among.blocks.len() > 1).then_some(among)
    }

    /// Where neighbours have the same contents, what one agent can do is what its like can do: of those that move,
    /// the first is made to stand for all. `times` says for each agent for how many it stands.
    #[inline]
    pub(super) fn gather(&self, state: W, moves: impl Fn(usize) -> bool, times: &mut [u32]) {
        for (last, pair) in self.blocks.windows(2).enumerate().rev() {
            if block(state, pair[0]) != block(state, pair[1]) {
                continue;
            }
            for (&first, &second) in self.agents[last].iter().zip(&self.agents[last + 1]) {
                if moves(first) && moves(second) {
                    times[first] += std::mem::take(&mut times[second]);
                }
            }
        }
    }

    #[inline]
    fn sort(&self, state: W, changed: W) -> W {
        match self.blocks.as_slice() {
            &[one, other] => sort_two(state, one, other).0,
            blocks => self.sort_many(state, changed, blocks),
        }
    }

    /// Insertion from the first block that changed on, until what comes behind the last one is in its place.
    fn sort_many(&self, mut state: W, changed: W, blocks: &[Field]) -> W {
        let is_changed = |mask: &W| *mask & changed != W::ZERO;
        let Some(first) = self.masks.iter().position(is_changed) else { return state };
        for index in first.max(1)..blocks.len() {
            let mut moved = false;
            for pair in blocks[..=index].windows(2).rev() {
                let (after, exchanged) = sort_two(state, pair[0], pair[1]);
                if !exchanged {
                    break;
                }
                (state, moved) = (after, true);
            }
            if !moved && !self.masks[index..].iter().any(is_changed) {
                break;
            }
        }
        state
    }
}

/// The state with the blocks of each symmetry in ascending order, if they were before the bits that are `changed`.
#[inline]
pub(super) fn canonical<W: Word>(state: W, changed: W, symmetries: &[Alike<W>]) -> W {
    if symmetries.is_empty() {
        return state;
    }
    symmetries.iter().fold(state, |state, alike| alike.sort(state, changed))
}

#[inline]
fn block<W: Word>(state: W, block: Field) -> W {
    state >> block.shift & block.low_mask()
}

/// The state with the two in order, and whether that is another one.
#[inline]
fn sort_two<W: Word>(state: W, one: Field, other: Field) -> (W, bool) {
    let low = one.low_mask::<W>();
    let (first, second) = (state >> one.shift & low, state >> other.shift & low);
    if first <= second {
        return (state, false);
    }
    let rest = state & !(low << one.shift | low << other.shift);
    (rest | second << one.shift | first << other.shift, true)
}
