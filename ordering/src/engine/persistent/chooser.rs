//! The persistent set of a state.
//!
//! Invariant: what is chosen is closed: whom a member drags in is a member.

use super::super::cases::{Outlook, Switch, Tally};
use super::super::tables::{Entry, Tables};
use super::super::word::Word;
use super::{Agents, Later, Next};

/// Sets that are built in a state at most: each may come to all agents.
const TRIES: u32 = 8;

/// Chooses the agents whose steps are tried.
pub(in super::super) struct Chooser<'t, W> {
    tables: &'t Tables<W>,
    views: Vec<View>,
    /// What each agent can do from its place on.
    later: Vec<Later<W>>,
    /// Agents that can take a step back in their program.
    goes_back: Agents,
    violating: Agents,
}

/// What matters about an agent.
#[derive(Clone, Copy)]
struct View {
    /// How many steps it can take.
    count: u32,
    /// Whom it drags in.
    dragged: Agents,
}

impl<'t, W: Word> Chooser<'t, W> {
    pub(in super::super) fn new(tables: &'t Tables<W>) -> Self {
        let agents = tables.counters.len();
        Self {
            tables,
            views: vec![View { count: 0, dragged: 0 }; agents],
            later: vec![Later::NONE; agents],
            goes_back: 0,
            violating: 0,
        }
    }

    /// Of the first persistent sets that do not go back, the one with the fewest steps, or all agents; `at` is where they are.
    pub(in super::super) fn choose(&mut self, state: W, at: &[u32]) -> Agents {
        let mut fewest = match self.look_at(state, at) {
            Sight::Alone(agent) => return agent,
            Sight::Steps(all) => all,
        };
        let (mut best, mut tries) = (Agents::MAX, 0);
        for start in 0..at.len() {
            if tries == TRIES {
                break;
            }
            // A set has at least the steps of the agent that it is built from.
            let own = self.views[start].count;
            let promising = own != 0 && own < fewest;
            tries += u32::from(promising);
            if let Some((set, count)) = promising.then(|| self.closure(start, fewest, at)).flatten() {
                (best, fewest) = (set, count);
            }
        }
        best
    }

    /// Agents that can break a property by a step from the state that was last chosen for, as far as they were looked at.
    pub(in super::super) fn violating(&self) -> Agents {
        self.violating
    }

    /// The smallest persistent set with this agent, and its steps; none if it goes back or has as many as `limit`.
    #[inline]
    fn closure(&self, start: usize, limit: u32, at: &[u32]) -> Option<(Agents, u32)> {
        let (mut set, mut done, mut steps): (Agents, Agents, u32) = (1 << start, 0, 0);
        while set & !done != 0 {
            let member = (set & !done).trailing_zeros() as usize;
            done |= 1 << member;
            let (dragged, count) = match self.views.get(member) {
                Some(view) => (view.dragged, view.count),
                None => (self.tables.dependence.observed(member, at, &self.later), 0),
            };
            (set, steps) = (set | dragged, steps + count);
            if steps >= limit || set & self.goes_back != 0 {
                return None;
            }
        }
        Some((set, steps))
    }

    /// Finds out who can do what, until there is somebody who has one step that concerns nobody.
    #[inline]
    fn look_at(&mut self, state: W, at: &[u32]) -> Sight {
        let (mut by_one, mut by_several) = (W::ZERO, W::ZERO);
        for (later, &place) in self.later.iter_mut().zip(at) {
            *later = self.tables.dependence.later(place, state);
            by_several = by_several | by_one & later.changes;
            by_one = by_one | later.changes;
        }
        let (mut steps, mut bit): (_, Agents) = (0, 1);
        (self.goes_back, self.violating) = (0, 0);
        for (agent, ((view, later), &place)) in self.views.iter_mut().zip(&self.later).zip(at).enumerate() {
            let changed_by_others = by_several | by_one & !later.changes;
            let (next, tally) = self.tables.next(place, state, changed_by_others);
            *view = View {
                count: tally.of(Tally::CHOICE),
                dragged: self.tables.dependence.dragged(agent, place, &next, &self.later),
            };
            if tally == Tally::CHOICE && view.dragged & !bit == 0 {
                return Sight::Alone(bit);
            }
            steps += view.count;
            self.goes_back |= if tally.of(Tally::BACK) == 0 { 0 } else { bit };
            self.violating |= if tally.of(Tally::VIOLATING) == 0 { 0 } else { bit };
            bit <<= 1;
        }
        Sight::Steps(steps)
    }
}

/// What there is to see.
enum Sight {
    /// This agent has one step that is a persistent set: there is none with fewer.
    Alone(Agents),
    /// So many steps of all agents.
    Steps(u32),
}

impl<W: Word> Tables<W> {
    /// What an agent at this place can do next.
    #[inline]
    fn next(&self, place: u32, state: W, changed_by_others: W) -> (Next<W>, Tally) {
        let summed = self.summed(place, state, changed_by_others, |switch| *switch.outlook(state));
        if summed.1.of(Tally::TESTED) == 0 {
            summed
        } else {
            self.next_tested(place, state, changed_by_others)
        }
    }

    /// The same where some ways have to be tested.
    #[cold]
    fn next_tested(&self, place: u32, state: W, changed_by_others: W) -> (Next<W>, Tally) {
        self.summed(place, state, changed_by_others, |switch| {
            let outlook = *switch.outlook(state);
            match switch.choices(state) {
                [only] if outlook.tally == Tally::TESTED => self.ways[only.way as usize].outlook(state),
                _ => outlook,
            }
        })
    }

    #[inline(always)]
    fn summed(
        &self,
        place: u32,
        state: W,
        changed_by_others: W,
        outlook: impl Fn(&Switch<W>) -> Outlook<W>,
    ) -> (Next<W>, Tally) {
        let (mut reads, mut sets, mut clears, mut tally) = (W::ZERO, W::ZERO, W::ZERO, Tally::default());
        for switch in self.cases.at(place) {
            let outlook = outlook(switch);
            reads = reads | outlook.reads(changed_by_others);
            sets = sets | outlook.sets;
            clears = clears | outlook.clears;
            tally = tally.and(outlook.tally);
        }
        (Next { reads, writes: sets | clears, changes: sets & !state | clears & state }, tally)
    }
}

impl<W: Word> Entry<W> {
    /// What a way that is tested lets its agent do.
    fn outlook(&self, state: W) -> Outlook<W> {
        if !self.guard.holds(state) {
            return Outlook { deciding: [self.guard.hindrance(state); _], ..Outlook::NONE };
        }
        let (after, writes) = (self.apply(state), self.writes());
        Outlook {
            deciding: [self.reads(); _],
            sets: after & writes,
            clears: !after & writes,
            tally: self.tally(),
        }
    }
}
