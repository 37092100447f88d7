//! DMA that has been translated and has not landed: its device knows where it leads, and goes there later.
//!
//! Invariant: what is in flight is an address of memory, and lands there whatever is mapped by then. Who empties the cache
//! that translated it waits until it has landed: the unit for what it translated itself, a device with a TLB of its own
//! for what came out of that. Source: VT-d 6.5.2.3 (drain of relevant reads and writes), PCIe 10.3 (ATS).

use std::sync::atomic::Ordering;

use mmu::address::{Access, Pfn};
use ordering::lowering::{AgentId, Caches, Numbers, PageId, Part, UserId};
use steps::{CacheKind, Invalidation};

use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    /// Translates an access to `page`, and leaves it in flight.
    pub(crate) fn depart(&self, agent: AgentId, page: PageId, access: Access) -> Result<(), Stuck> {
        let user = self.own(agent)?;
        let mut flight = self.held[agent].flights[page.0].lock();
        if flight.is_some() {
            return Err(Stuck::Waits("an access of the agent has not landed"));
        }
        *flight = Some(self.led_to(user, page, access)?);
        Ok(())
    }

    /// Where what is cached leads an access.
    fn led_to(&self, user: UserId, page: PageId, access: Access) -> Result<Pfn, Stuck> {
        if let Some(device) = self.device(user) {
            return device.led_to(page, access);
        }
        let tlb = self.front(user).ok_or_else(|| Stuck::Cannot(format!("{user} is no device")))?;
        let found =
            tlb.using(self.users[user.0].tag(page), self.layout.page(page).address, access, |found| {
                found.pfn
            });
        found.ok_or(Stuck::Waits("no cached translation serves the access"))
    }

    /// What is in flight to `page` lands: what is read, if it is a read.
    pub(crate) fn land(
        &self,
        agent: AgentId,
        page: PageId,
        access: Access,
        value: u32,
    ) -> Result<Option<u64>, Stuck> {
        let mut flight = self.held[agent].flights[page.0].lock();
        let place = flight.ok_or(Stuck::Waits("nothing of the agent is in flight"))?;
        let frame = self.coding.frame(place);
        let frame = frame.ok_or_else(|| Stuck::Cannot(format!("{place:?} is no frame of the scenario")))?;
        let read = self.access(frame, access, value)?;
        *flight = None;
        Ok(read)
    }

    /// That nothing is in flight which `user` has translated for `pages`, as far as the invalidation waits for that.
    pub(crate) fn has_landed(
        &self,
        invalidation: &Invalidation<Numbers>,
        user: UserId,
        pages: &[PageId],
    ) -> Result<(), Stuck> {
        let options = &self.scene.options;
        let drains = match (invalidation.caches(), self.caches(user)) {
            (CacheKind::Devices | CacheKind::Iotlbs, Caches::Iotlb) => options.inv_drains,
            (CacheKind::Devices | CacheKind::DeviceTlbs, Caches::DeviceTlb) => options.ats_drains,
            (
                CacheKind::Cpus
                | CacheKind::Vcpus
                | CacheKind::Devices
                | CacheKind::Iotlbs
                | CacheKind::DeviceTlbs
                | CacheKind::PasidCaches,
                _,
            ) => false,
        };
        let flies =
            |agent: AgentId| pages.iter().any(|page| self.held[agent].flights[page.0].lock().is_some());
        match drains && self.running_on(user).any(flies) {
            true => Err(Stuck::Waits("what the device has translated has not landed")),
            false => Ok(()),
        }
    }

    fn running_on(&self, user: UserId) -> impl Iterator<Item = AgentId> {
        (0..self.held.len()).filter(move |agent| self.scene.agents[*agent].user == Some(user))
    }

    /// Takes a device away: what it has in flight never lands, and it answers nothing.
    pub(crate) fn unplug(&self, user: UserId) {
        self.users[user.0].gone.store(true, Ordering::Release);
        if let Some(device) = self.device(user) {
            device.falls_silent();
        }
        for agent in self.running_on(user) {
            self.held[agent].flights.iter().for_each(|flight| *flight.lock() = None);
        }
    }

    /// A device that was taken away does nothing.
    pub(crate) fn is_plugged_in(&self, user: UserId) -> Result<(), Stuck> {
        match self.users[user.0].gone.load(Ordering::Acquire) {
            true => Err(Stuck::Waits("the device was taken away")),
            false => Ok(()),
        }
    }

    /// Which CPU, vCPU or device takes a part of a step.
    pub(crate) fn who_acts(&self, agent: AgentId, part: Part) -> Option<UserId> {
        if let Part::Walk(user, ..) = part {
            return Some(user);
        }
        self.scene.agents.get(agent).and_then(|agent| agent.user)
    }
}
