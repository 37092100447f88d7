//! Sections that others wait for, and the rounds in which they wait.
//!
//! Invariant: all are asked in one step; each answers once, when nobody who runs there is in a section that is waited for.
//! Source: kernel/smp.c smp_call_function_many_cond; kernel/rcu/tree.c synchronize_rcu.

use ordering::lowering::{AgentId, Part, Party, UserId};
use steps::Section;

use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    /// A part of a round of `agent`: all that are asked are asked, or one of them answers and does `what` on his CPU.
    pub(crate) fn round(
        &self,
        agent: AgentId,
        part: Part,
        sections: &[Section],
        what: impl Fn(UserId) -> Result<(), Stuck>,
    ) -> Result<Part, Stuck> {
        match part {
            Part::Send(list) => {
                self.outside(agent, sections)?;
                let asked = self.deeds_asked(agent, list);
                self.shared.awaited.lock().extend(asked.iter().map(|party| (agent, *party)));
            }
            Part::Answer(party, _) => {
                if !self.shared.awaited.lock().contains(&(agent, party)) {
                    return Err(Stuck::Waits("this answer is not awaited"));
                }
                for other in self.behind(party) {
                    self.outside(other, sections)?;
                    self.drained(other)?;
                }
                if let Party::Cpu(cpu) = party {
                    what(cpu)?;
                }
                let mut awaited = self.shared.awaited.lock();
                awaited.remove(&(agent, party));
                return Ok(Part::Answer(party, !awaited.iter().any(|(sender, _)| *sender == agent)));
            }
            // Nobody is there who could not answer at once.
            Part::Whole => {
                self.outside(agent, sections)?;
                (0..self.users.len()).map(UserId).try_for_each(what)?;
            }
            Part::Returns(_)
            | Part::Nothing
            | Part::Walk(..)
            | Part::Dirty(..)
            | Part::NotDirty(..)
            | Part::Flush(_)
            | Part::ReadPmd(_)
            | Part::ReadPte(_)
            | Part::Get(_)
            | Part::Again
            | Part::Drop
            | Part::Translated
            | Part::Answered
            | Part::Sent
            | Part::Perform(..)
            | Part::TimesOut(..)
            | Part::ReachesMemory(_) => return Err(Stuck::Cannot(format!("{part:?} is no part of a round"))),
        }
        Ok(part)
    }

    /// Who are asked at once, by the number of the list.
    fn deeds_asked(&self, agent: AgentId, list: u32) -> &[Party] {
        &self.asked[agent][list as usize]
    }

    fn outside(&self, agent: AgentId, sections: &[Section]) -> Result<(), Stuck> {
        let entered = self.held[agent].sections.lock();
        match sections.iter().any(|section| entered.contains(section)) {
            true => Err(Stuck::Waits("somebody is where others wait for him")),
            false => Ok(()),
        }
    }

    /// That no interrupt waits for the agent's CPU: it would come before the CPU can switch interrupts off.
    pub(crate) fn undisturbed(&self, agent: AgentId) -> Result<(), Stuck> {
        let waits = |party: &Party| match party {
            Party::Cpu(_) | Party::CpuOf(_) => self.behind(*party).contains(&agent),
            Party::Reader(_) => false,
        };
        match self.shared.awaited.lock().iter().any(|(sender, party)| *sender != agent && waits(party)) {
            true => Err(Stuck::Waits("an interrupt waits for its CPU")),
            false => Ok(()),
        }
    }

    pub(crate) fn enter_section(&self, agent: AgentId, section: Section) -> Result<(), Stuck> {
        if self.held[agent].sections.lock().contains(&section) {
            return Err(self.out_of_range("the section was begun already"));
        }
        if section == Section::Interrupts {
            self.undisturbed(agent)?;
        }
        self.held[agent].sections.lock().insert(section);
        Ok(())
    }

    pub(crate) fn leave_section(&self, agent: AgentId, section: Section) -> Result<(), Stuck> {
        match self.held[agent].sections.lock().remove(&section) {
            true => Ok(()),
            false => Err(self.out_of_range("the section was not begun")),
        }
    }
}
