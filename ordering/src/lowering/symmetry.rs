//! Which agents are alike: one program over variables of their own, with the hardware that acts on those by itself.
//!
//! Invariant: what is found is a guess from programs; the explorer holds it against the whole model and drops it if
//! anything tells the agents apart, so a wrong one costs states and never a verdict.

use std::collections::BTreeMap;

use crate::model::{Agent, Alternative, Guard, Member, Symmetry, Update, Var};

/// The groups of agents that are alike, each agent and each variable in one member at most.
pub(super) fn of(agents: &[Agent]) -> Vec<Symmetry> {
    let mut found: Vec<Symmetry> = Vec::new();
    for first in 0..agents.len() {
        let members = like(agents, first);
        let known = || found.iter().flat_map(|symmetry| &symmetry.members);
        if members.len() > 1 && members.iter().all(|member| known().all(|other| member.is_apart_from(other)))
        {
            found.push(Symmetry { members });
        }
    }
    found
}

/// An agent with what belongs to it, and those behind it that are like it.
fn like(agents: &[Agent], first: usize) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for other in first + 1..agents.len() {
        let Some((own, theirs)) = exchange(agents, first, other) else { continue };
        if members.is_empty() {
            members.push(own.clone());
        }
        if members[0] == own && members.iter().all(|member| member.is_apart_from(&theirs)) {
            members.push(theirs);
        }
    }
    members
}

/// Two agents with what belongs to each, if one program becomes the other.
fn exchange(agents: &[Agent], first: usize, other: usize) -> Option<(Member, Member)> {
    let mut renaming = Renaming::default().with(&agents[first], &agents[other])?;
    let mut pairs = BTreeMap::from([(first, other)]);
    for one in first + 1..agents.len() {
        let free = |agent: usize| pairs.iter().all(|(&one, &other)| agent != one && agent != other);
        if !free(one) || !renaming.concerns(&agents[one]) {
            continue;
        }
        let mut partners = (0..agents.len()).filter(|&partner| partner != one && free(partner));
        let extended =
            partners.find_map(|partner| Some((partner, renaming.with(&agents[one], &agents[partner])?)));
        if let Some((partner, extended)) = extended {
            renaming = extended;
            pairs.insert(one, partner);
        }
    }
    let (own, theirs) = renaming.apart()?;
    let (agents, partners) = pairs.into_iter().unzip();
    Some((Member { agents, vars: own }, Member { agents: partners, vars: theirs }))
}

impl Member {
    fn is_apart_from(&self, other: &Self) -> bool {
        self.agents.iter().all(|agent| !other.agents.contains(agent))
            && self.vars.iter().all(|var| !other.vars.contains(var))
    }
}

/// Some agents' variables by those of others.
#[derive(Clone, Default)]
struct Renaming(BTreeMap<Var, Var>);

impl Renaming {
    /// It and how one program becomes the other, if that fits.
    fn with(&self, one: &Agent, other: &Agent) -> Option<Self> {
        let mut renaming = self.clone();
        let same = one.spontaneous == other.spontaneous
            && one.program.len() == other.program.len()
            && one.program.iter().zip(&other.program).all(|(one, other)| {
                one.may_end == other.may_end
                    && one.alternatives.len() == other.alternatives.len()
                    && one.alternatives.iter().zip(&other.alternatives).all(|pair| renaming.alternative(pair))
            });
        same.then_some(renaming)
    }

    /// Whether the agent uses one of the variables that get another name.
    fn concerns(&self, agent: &Agent) -> bool {
        let renamed = |var: Var| self.0.get(&var).is_some_and(|other| *other != var);
        let mut ways = agent.program.iter().flat_map(|instruction| &instruction.alternatives);
        ways.any(|way| {
            let guards = way.guard.iter().flat_map(Guard::reads).flatten();
            let updates =
                way.updates.iter().flat_map(|update| [Some(update.written()), update.read()]).flatten();
            guards.chain(updates).any(renamed)
        })
    }

    /// The variables that are not shared, of both in the same order; none if one agent uses the other's.
    fn apart(self) -> Option<(Vec<Var>, Vec<Var>)> {
        let (own, theirs): (Vec<Var>, Vec<Var>) = self.0.iter().filter(|(one, other)| one != other).unzip();
        let meant_once = |index: usize| !theirs[..index].contains(&theirs[index]);
        let apart = theirs.iter().all(|var| !self.0.contains_key(var));
        (apart && (0..theirs.len()).all(meant_once)).then_some((own, theirs))
    }

    fn alternative(&mut self, (one, other): (&Alternative, &Alternative)) -> bool {
        one.next == other.next
            && one.violates == other.violates
            && one.guard.len() == other.guard.len()
            && one.updates.len() == other.updates.len()
            && one.guard.iter().zip(&other.guard).all(|(one, other)| self.guard(*one, *other))
            && one.updates.iter().zip(&other.updates).all(|(one, other)| self.update(*one, *other))
    }

    fn guard(&mut self, one: Guard, other: Guard) -> bool {
        match one {
            Guard::Is(one, value) => {
                matches!(other, Guard::Is(other, wanted) if value == wanted && self.var(one, other))
            }
            Guard::IsNot(one, value) => {
                matches!(other, Guard::IsNot(other, wanted) if value == wanted && self.var(one, other))
            }
            Guard::Below(one, value) => {
                matches!(other, Guard::Below(other, wanted) if value == wanted && self.var(one, other))
            }
            Guard::Same(one, left) => {
                matches!(other, Guard::Same(other, right) if self.var(one, other) && self.var(left, right))
            }
            Guard::Differ(one, left) => {
                matches!(other, Guard::Differ(other, right) if self.var(one, other) && self.var(left, right))
            }
        }
    }

    fn update(&mut self, one: Update, other: Update) -> bool {
        match one {
            Update::Set(one, value) => {
                matches!(other, Update::Set(other, wanted) if value == wanted && self.var(one, other))
            }
            Update::Copy { to, from } => matches!(other, Update::Copy { to: other, from: theirs }
                if self.var(to, other) && self.var(from, theirs)),
            Update::Increment(one) => matches!(other, Update::Increment(other) if self.var(one, other)),
            Update::Decrement(one) => matches!(other, Update::Decrement(other) if self.var(one, other)),
        }
    }

    fn var(&mut self, one: Var, other: Var) -> bool {
        *self.0.entry(one).or_insert(other) == other
    }
}
