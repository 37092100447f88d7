//! Steps that empty caches: the CPUs' TLBs, the devices' and the shadow page table.
//!
//! Invariant: who is told forgets the page at once, and (unless an option says otherwise) also what a walk in flight
//! has read. Nobody else forgets anything.

use crate::language::Diagnostic;
use crate::language::syntax::{Step, UserKind};
use crate::language::vocabulary::Verb;
use crate::model::{Guard, Update};

use super::super::agent::Emitter;
use super::super::habits::Section;
use super::super::hardware::Level;
use super::super::names::{PageId, UserId};
use super::super::options::Flush;
use super::super::program::Way;
use super::super::round::Party;
use super::super::state::{Key, NONE};
use super::At;

/// What a step empties; `leaf` leaves out what is kept of upper entries.
fn levels(step: &Step) -> &'static [Level] {
    let all: &[Level] = match step.verb {
        Verb::FlushTlb | Verb::FlushTlbMm | Verb::FlushPmd => &[Level::Tlb, Level::CpuUpper],
        Verb::FlushVcpus => return &[Level::VcpuTlb],
        Verb::IotlbInv | Verb::IotlbInvPasid => &[Level::Iotlb, Level::DeviceUpper],
        Verb::DevtlbInv | Verb::DevtlbInvPasid => return &[Level::DeviceTlb],
        _ => &[Level::Iotlb, Level::DeviceTlb, Level::DeviceUpper],
    };
    if step.leaf { &all[..all.len() - 1] } else { all }
}

impl Emitter<'_> {
    pub(super) fn invalidation(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        if at.step.post {
            // What is posted and cannot be done is reported here, and not by the hardware that would do it.
            self.emptied(at)?;
            self.post(at);
            return Ok(());
        }
        match at.step.verb {
            Verb::FlushTlb | Verb::FlushTlbMm | Verb::FlushPmd => self.flush(at)?,
            Verb::NotifyStart | Verb::NotifyEnd => {
                let page = self.page(at)?;
                let ways = self.range_ways(page, at);
                self.step(ways, at.line);
            }
            _ => {
                let updates = self.emptied(at)?;
                self.step(vec![at.way(Vec::new(), updates)], at.line);
            }
        }
        Ok(())
    }

    /// What a step that empties caches changes.
    pub(in super::super) fn emptied(&mut self, at: &At<'_>) -> Result<Vec<Update>, Diagnostic> {
        let (pages, users) = self.reach(at)?;
        if at.step.verb == Verb::PasidInv {
            let caches = users.into_iter().map(|user| self.state.var(&Key::PasidCache(user)));
            return Ok(caches.map(|cache| Update::Set(cache, 0)).collect());
        }
        Ok(self.forget(&pages, levels(at.step), &users))
    }

    fn flush(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let (pages, users) = self.reach(at)?;
        let levels = levels(at.step);
        let cpus: Vec<UserId> = self.names.users_of(UserKind::Cpu).collect();
        match self.options.flush {
            Flush::Ipi => {
                let mut answers = self.interrupted();
                for answer in &mut answers {
                    if let Party::Cpu(cpu) = answer.party {
                        answer.updates = self.forget(&pages, levels, &[cpu]);
                    }
                }
                self.round(answers, &[Section::Interrupts], at);
            }
            Flush::Split if cpus.len() > 1 => {
                for (index, cpu) in cpus.iter().enumerate() {
                    let shown = format!("{}: {} of {}", at.step.text, index + 1, cpus.len());
                    let mut way = Way::new(Vec::new(), self.forget(&pages, levels, &[*cpu]), shown);
                    if index + 1 == cpus.len() {
                        way = way.happening(at.happening());
                    }
                    self.step(vec![way], at.line);
                }
            }
            Flush::Split | Flush::Whole => {
                let updates = self.forget(&pages, levels, &users);
                self.step(vec![at.way(Vec::new(), updates)], at.line);
            }
        }
        Ok(())
    }

    fn range_ways(&mut self, page: PageId, at: &At<'_>) -> Vec<Way> {
        let count = self.state.var(&Key::InProgress(page));
        let most = self.state.domains.most_ranges;
        // A fault that began before the end is retried: its sequence number has changed.
        let users: Vec<UserId> = self.names.users_of(UserKind::Vcpu).collect();
        let mut updates = self.forget(&[page], &[Level::Shadow], &users);
        let (guard, outside, change) = if at.step.verb == Verb::NotifyStart {
            if !self.hardware.explicit_shadow {
                updates.push(Update::Set(self.state.var(&Key::Spte(page)), NONE));
            }
            (Guard::Below(count, most), Guard::Is(count, most), Update::Increment(count))
        } else {
            (Guard::IsNot(count, 0), Guard::Is(count, 0), Update::Decrement(count))
        };
        updates.push(change);
        let way = |guard, updates| at.way(vec![guard], updates);
        self.or_out_of_range(way(guard, updates), way(outside, Vec::new()))
    }
}
