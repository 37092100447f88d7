//! Whether who waits in the model waits on the machine, too.
//!
//! Invariant: only steps are tried that no order of the model takes here: if the machine takes one, it lets somebody pass
//! whom the model holds back, and what it then looks like is nobody's promise. A step that waits changes nothing, which the
//! comparison behind it would show.

use ordering::engine::replay::State;
use ordering::lowering::{Act, Deed, Hop, Key, PageId, Part, Target, UserId};

use super::{Difference, Steered};
use crate::class::{Class, class};
use crate::look::Seen;
use crate::stuck::Stuck;

impl Steered<'_> {
    /// Tries what `agent` cannot do in this state of the model; the step that the machine takes all the same.
    pub(super) fn probe(&self, state: &State, agent: usize) -> Result<(), Difference> {
        let pc = usize::from(state.at[agent].0);
        let Some(instruction) = self.model().agents[agent].program.get(pc) else { return Ok(()) };
        let open: Vec<(Deed<'_>, Class)> = state
            .steps_of(agent, self.model())
            .filter_map(|(step, _)| self.only(agent, pc, step.alternative))
            .map(|deed| (deed, class(deed.part)))
            .collect();
        let mut tried: Vec<(*const Act, Class)> = Vec::new();
        for alternative in 0..instruction.alternatives.len() {
            let Some(deed) = self.only(agent, pc, alternative) else { continue };
            let question = class(deed.part);
            let is_open =
                open.iter().any(|(other, class)| std::ptr::eq(other.act, deed.act) && *class == question);
            let key = (std::ptr::from_ref(deed.act), question);
            if is_open || tried.contains(&key) || !self.tells(deed) {
                continue;
            }
            tried.push(key);
            match self.machine.take(agent, deed) {
                Err(Stuck::Waits(_) | Stuck::Cannot(_)) => {}
                Err(stuck @ (Stuck::Breaks(_) | Stuck::Fails(_))) => return Err(Difference::Refused(stuck)),
                Ok(_) => {
                    let agent = self.model().agents[agent].name.clone();
                    let text = instruction.alternatives[alternative].text.clone();
                    return Err(Difference::Passes { agent, text });
                }
            }
        }
        Ok(())
    }

    /// What the alternative does, if that is one thing.
    fn only(&self, agent: usize, pc: usize, alternative: usize) -> Option<Deed<'_>> {
        let mut deeds = self.lowered.deeds[agent].of(pc, alternative);
        let first = deeds.next()?;
        // A part of what is taken as one says nothing by itself: the machine may take that, and wait for the rest.
        (deeds.next().is_none() && !first.indivisible).then_some(first)
    }

    /// Whether it says anything that the machine takes the step: the model leaves out what nobody could notice.
    fn tells(&self, deed: Deed<'_>) -> bool {
        match deed.act {
            // What is looked at is the model's.
            Act::Decide => return false,
            Act::Step(_) | Act::Assign(_) | Act::Hardware => {}
        }
        match deed.part {
            Part::Walk(user, page, target, hop) => self.walk_tells(user, page, target, hop),
            Part::Get(_)
            | Part::Again
            | Part::Drop
            | Part::Whole
            | Part::Returns(_)
            | Part::Nothing
            | Part::Dirty(..)
            | Part::NotDirty(..)
            | Part::Flush(_)
            | Part::Send(_)
            | Part::Answer(..)
            | Part::ReadPmd(_)
            | Part::ReadPte(_)
            | Part::Translated
            | Part::Answered
            | Part::Sent
            | Part::Perform(..)
            | Part::TimesOut(..)
            | Part::ReachesMemory(_) => true,
        }
    }

    /// A walk that finds what is cached already is left out of the model: it is tried with empty caches only.
    fn walk_tells(&self, user: UserId, page: PageId, target: Target, hop: Hop) -> bool {
        let machine = &self.machine;
        let empty = |key: &Key| machine.look(key) == Some(Seen::Nothing);
        let shadow = machine.caches(user) == ordering::lowering::Caches::Shadow;
        let first = if shadow { Key::Spte(page) } else { Key::Tlb(user, page) };
        let nothing = empty(&first) && empty(&Key::InFlight(user, page));
        // Where caches lose nothing, who finds what he needs in the last one goes no way to it.
        let of_use = machine.scene.options.evict || !machine.is_cached(user, page);
        let (none, cached) = (Some(Seen::Number(0)), Key::PasidCache(user));
        let nowhere = machine.look(&Key::PasidRead(user)) == none;
        match (target, hop) {
            (Target::First, Hop::Fill) => of_use && (machine.scene.options.evict || empty(&first)),
            (Target::Device, Hop::Fill) => of_use,
            (Target::First, Hop::Pasid) => of_use && nothing && machine.look(&cached) == none,
            (Target::First, Hop::Upper) => {
                let pmd = machine.above_for(user, page);
                of_use && nothing && pmd.is_none_or(|pmd| empty(&Key::Pwc(user, pmd)))
            }
            (_, Hop::PasidLow | Hop::PasidHigh) => {
                of_use && nothing && nowhere && machine.look(&cached) == none
            }
            // Who has read one half reads the other, or leaves it.
            (_, Hop::PasidRest | Hop::PasidTorn | Hop::PasidAbsent) => nowhere,
            (_, Hop::Fault) | (Target::Device, Hop::Upper | Hop::Pasid | Hop::Huge) => false,
            (Target::First, Hop::Read) => of_use && nothing,
            (Target::First, Hop::Huge) => {
                let pmd = machine.above_for(user, page);
                let kept = pmd.is_some_and(|pmd| !empty(&Key::Pwc(user, pmd)));
                of_use && nothing && (machine.scene.options.evict || !kept)
            }
            (Target::Device, Hop::Read) => {
                empty(&Key::DeviceTlb(user, page)) && empty(&Key::Completion(user, page))
            }
        }
    }
}
