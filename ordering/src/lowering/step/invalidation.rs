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

/// Which caches a step empties.
#[derive(Clone, Copy)]
enum Emptied {
    Cpus,
    Vcpus,
    Devices,
    Iotlbs,
    DeviceTlbs,
    PasidCaches,
}

impl Emptied {
    fn by(verb: Verb) -> Option<Self> {
        match verb {
            Verb::FlushTlb | Verb::FlushTlbMm | Verb::FlushPmd => Some(Self::Cpus),
            Verb::FlushVcpus => Some(Self::Vcpus),
            Verb::Notify | Verb::NotifyMm | Verb::NotifyPmd => Some(Self::Devices),
            Verb::IotlbInv | Verb::IotlbInvPasid => Some(Self::Iotlbs),
            Verb::DevtlbInv | Verb::DevtlbInvPasid => Some(Self::DeviceTlbs),
            Verb::PasidInv => Some(Self::PasidCaches),
            Verb::Lock
            | Verb::Trylock
            | Verb::Unlock
            | Verb::Fence
            | Verb::IrqOff
            | Verb::IrqOn
            | Verb::IpiSync
            | Verb::RcuReadLock
            | Verb::RcuReadUnlock
            | Verb::SynchronizeRcu
            | Verb::PteRead
            | Verb::PteClear
            | Verb::SetPte
            | Verb::PteModify
            | Verb::PmdRead
            | Verb::PmdClear
            | Verb::SetPmd
            | Verb::PmdModify
            | Verb::SetPasid
            | Verb::InvWait
            | Verb::PageRequest
            | Verb::PageResponse
            | Verb::DrainRequests
            | Verb::NotifyStart
            | Verb::NotifyEnd
            | Verb::ChangePte
            | Verb::ZapSpte
            | Verb::SetSpte
            | Verb::Walk
            | Verb::Load
            | Verb::Store
            | Verb::DmaRead
            | Verb::DmaWrite
            | Verb::GupFast
            | Verb::TryGet
            | Verb::Write
            | Verb::Read
            | Verb::Copy
            | Verb::Alloc
            | Verb::Get
            | Verb::Put
            | Verb::Pin
            | Verb::Unpin
            | Verb::Map
            | Verb::Unmap
            | Verb::Free
            | Verb::MarkStable => None,
        }
    }

    /// The levels of them; `leaf` leaves out what is kept of upper entries.
    fn levels(self, leaf: bool) -> &'static [Level] {
        match (self, leaf) {
            (Self::Cpus, false) => &[Level::Tlb, Level::CpuUpper],
            (Self::Cpus, true) => &[Level::Tlb],
            (Self::Vcpus, _) => &[Level::VcpuTlb],
            (Self::Devices, false) => &[Level::Iotlb, Level::DeviceTlb, Level::DeviceUpper],
            (Self::Devices, true) => &[Level::Iotlb, Level::DeviceTlb],
            (Self::Iotlbs, false) => &[Level::Iotlb, Level::DeviceUpper],
            (Self::Iotlbs, true) => &[Level::Iotlb],
            (Self::DeviceTlbs, _) => &[Level::DeviceTlb],
            (Self::PasidCaches, _) => &[],
        }
    }
}

/// What a step empties.
fn levels(step: &Step) -> &'static [Level] {
    Emptied::by(step.verb).expect("a step that empties no caches is lowered elsewhere").levels(step.leaf)
}

impl Emitter<'_> {
    pub(super) fn invalidation(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        if at.step.post {
            return self.posted(at);
        }
        let updates = self.emptied(at)?;
        self.step(vec![at.way(Vec::new(), updates)], at.line);
        Ok(())
    }

    fn posted(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        // What is posted and cannot be done is reported here, and not by the hardware that would do it.
        self.emptied(at)?;
        self.post(at);
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

    pub(super) fn flush(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        if at.step.post {
            return self.posted(at);
        }
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

    pub(super) fn notify_start(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.page(at)?;
        let count = self.state.var(&Key::InProgress(page));
        let most = self.state.domains.most_ranges;
        let mut updates = self.retried(page);
        if !self.hardware.explicit_shadow {
            updates.push(Update::Set(self.state.var(&Key::Spte(page)), NONE));
        }
        updates.push(Update::Increment(count));
        let way = at.way(vec![Guard::Below(count, most)], updates);
        let ways = self.or_out_of_range(way, at.way(vec![Guard::Is(count, most)], Vec::new()));
        self.step(ways, at.line);
        Ok(())
    }

    pub(super) fn notify_end(&mut self, at: &At<'_>) -> Result<(), Diagnostic> {
        let page = self.page(at)?;
        let count = self.state.var(&Key::InProgress(page));
        let mut updates = self.retried(page);
        updates.push(Update::Decrement(count));
        let way = at.way(vec![Guard::IsNot(count, 0)], updates);
        let ways = self.or_out_of_range(way, at.way(vec![Guard::Is(count, 0)], Vec::new()));
        self.step(ways, at.line);
        Ok(())
    }

    /// A fault that began before the end is retried: its sequence number has changed.
    fn retried(&mut self, page: PageId) -> Vec<Update> {
        let users: Vec<UserId> = self.names.users_of(UserKind::Vcpu).collect();
        self.forget(&[page], &[Level::Shadow], &users)
    }
}
