//! DMA that is translated and has not landed (`option dma = split`): the device has the frame, and uses it later.
//!
//! Invariant: who invalidates what translated an access waits until that has landed, unless an option says otherwise: the
//! IOMMU for what it translated itself, a device with a TLB of its own for what came out of that. Source: VT-d 6.5.2.3
//! (drain reads, drain writes), PCIe ATS (completions of invalidations).

use crate::model::{Guard, Update, Var};

use super::access::Access;
use super::emitter::Emitter;
use super::hardware::{Caches, Level};
use super::names::{FrameId, PageId, UserId};
use super::program::Way;
use super::state::{Key, NONE};
use steps::table::Verb;

impl Emitter<'_> {
    /// What the agent's access to `page` has been translated to, if landing is a step of its own.
    pub(super) fn dma(&mut self, user: UserId, page: PageId) -> Option<Var> {
        (self.is_device(user) && self.scope.options.split_dma)
            .then(|| self.state.var(&Key::Dma(self.own.agent, page)))
    }

    /// What an access does at `frame` when what it was translated to lands there.
    pub(super) fn landing(
        &mut self,
        (flight, translation): (Var, u32),
        frame: FrameId,
        page: PageId,
        access: Access,
        step: (Verb, &str),
    ) -> Vec<Way> {
        let translated = [Guard::Is(flight, translation)];
        let mut ways = self.at_frame(frame, Some(page), access, &translated, step);
        ways.iter_mut().for_each(|way| way.updates.push(Update::Set(flight, NONE)));
        ways
    }

    /// That nothing is in flight which the `levels` of `users` have translated for `pages`, as far as they wait for that.
    pub(super) fn landed(&mut self, pages: &[PageId], levels: &[Level], users: &[UserId]) -> Vec<Guard> {
        if !self.scope.options.split_dma {
            return Vec::new();
        }
        let drained = users.iter().filter(|user| levels.iter().any(|level| self.drains(**user, *level)));
        let drained: Vec<UserId> = drained.copied().collect();
        let (habits, scenario) = (self.scope.habits(), self.scope.scenario);
        let mut found = Vec::new();
        for (page, user) in pages.iter().flat_map(|page| drained.iter().map(move |user| (page, user))) {
            let name = &scenario.pages[page.0].node;
            let accessing = (0..habits.len()).filter(|agent| habits[*agent].accesses(*user, name));
            found.extend(accessing.map(|agent| Guard::Is(self.state.var(&Key::Dma(agent, *page)), NONE)));
        }
        found
    }

    /// Whether an invalidation of `level` waits for the accesses of `user`. An IOMMU cannot see when what a device
    /// translated itself has landed.
    fn drains(&self, user: UserId, level: Level) -> bool {
        match (level, self.scope.hardware.of(user)) {
            (Level::Iotlb, Caches::Iotlb) => self.scope.options.inv_drains,
            (Level::DeviceTlb, Caches::DeviceTlb) => self.scope.options.ats_drains,
            (
                Level::Tlb
                | Level::VcpuUpper
                | Level::VcpuTlb
                | Level::Shadow
                | Level::Iotlb
                | Level::DeviceTlb
                | Level::CpuUpper
                | Level::DeviceUpper,
                _,
            ) => false,
        }
    }
}
