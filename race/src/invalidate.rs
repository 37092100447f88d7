//! Invalidations: whose caches lose what, at once, one after the other, or when the queue comes to it.
//!
//! Invariant: whoever is not reached keeps what it has. An invalidation returns when no access through what is gone is in
//! flight. Source: arch/x86/mm/tlb.c; VT-d 6.5.2; mm/mmu_notifier.c; virt/kvm/kvm_main.c.

use std::sync::atomic::Ordering;

use mmu::pte::Pte;
use ordering::lowering::{AgentId, Caches, Numbers, PageId, Timeout, UserId};
use steps::{CacheKind, Depth, Invalidation, Pages, Reach, Scope};

use crate::machine::Machine;
use crate::stuck::Stuck;

impl Machine {
    /// Empties what `invalidation` reaches, in whosever caches it reaches; `agent` is who asks for it.
    ///
    /// # Errors
    /// [`Stuck::Waits`], with nothing changed, while a device does not answer, or has an access in flight.
    pub(crate) fn invalidate(
        &self,
        invalidation: &Invalidation<Numbers>,
        agent: AgentId,
    ) -> Result<(), Stuck> {
        let users =
            || (0..self.users.len()).map(UserId).filter(|user| self.is_reached(invalidation, agent, *user));
        let pages = self.pages_of(invalidation);
        for user in users() {
            self.has_landed(invalidation, user, &pages)?;
            if self.must_answer(invalidation, user) {
                self.is_plugged_in(user)?;
            }
        }
        users().try_for_each(|user| self.invalidate_of(invalidation, agent, user))
    }

    /// Empties what `invalidation` reaches in the caches of `user`.
    pub(crate) fn invalidate_of(
        &self,
        invalidation: &Invalidation<Numbers>,
        agent: AgentId,
        user: UserId,
    ) -> Result<(), Stuck> {
        if !self.is_reached(invalidation, agent, user) {
            return Ok(());
        }
        if let Some(device) = self.device(user) {
            return device.forget(invalidation, &self.pages_of(invalidation));
        }
        if invalidation.caches() == CacheKind::PasidCaches {
            self.users[user.0].pasid.store(0, Ordering::Release);
            *self.users[user.0].reading.lock() = None;
            return Ok(());
        }
        for page in self.pages_of(invalidation) {
            self.forget(invalidation, user, page);
        }
        Ok(())
    }

    /// Whether `user` is a device that is told to empty its own TLB, and whose answer is waited for.
    fn must_answer(&self, invalidation: &Invalidation<Numbers>, user: UserId) -> bool {
        let asked = matches!(invalidation.caches(), CacheKind::Devices | CacheKind::DeviceTlbs);
        asked && self.scene.users[user.0].ats
    }

    /// The devices that `invalidation` waits for, and that do not answer in time.
    pub(crate) fn late<'a>(
        &'a self,
        invalidation: &'a Invalidation<Numbers>,
        agent: AgentId,
    ) -> impl Iterator<Item = UserId> + 'a {
        let asked = move |user: &UserId| {
            self.is_reached(invalidation, agent, *user) && self.must_answer(invalidation, *user)
        };
        let late = |user: &UserId| match self.scene.options.timeout {
            Timeout::Never => false,
            Timeout::Gone => self.is_plugged_in(*user).is_err(),
            Timeout::Late => true,
        };
        (0..self.users.len()).map(UserId).filter(asked).filter(late)
    }

    fn is_reached(&self, invalidation: &Invalidation<Numbers>, agent: AgentId, user: UserId) -> bool {
        let own = self.scene.agents[agent].user;
        let in_scope = match &invalidation.scope {
            Scope::All => true,
            Scope::Own => own == Some(user),
            Scope::Others => own != Some(user),
            Scope::On(one) => *one == user,
        };
        let bound = match invalidation.reach() {
            Reach::Pasid(pasid) => self.scene.users[user.0].pasid == Some(*pasid),
            Reach::Tag(_) => self.users[user.0].loaded.is_some(),
            Reach::Page(_) | Reach::Pages(..) | Reach::Under(_) | Reach::Mm(_) => true,
        };
        in_scope && bound
    }

    pub(crate) fn pages_of(&self, invalidation: &Invalidation<Numbers>) -> Vec<PageId> {
        let pages = &self.scene.pages;
        let all = (0..pages.len()).map(PageId);
        match invalidation.reach() {
            Reach::Page(page) => vec![*page],
            Reach::Pages(first, last) => (first.0..=last.0).map(PageId).collect(),
            Reach::Under(pmd) => all.filter(|page| pages[page.0].above == Some(*pmd)).collect(),
            Reach::Mm(mm) => all.filter(|page| pages[page.0].home == Some(*mm)).collect(),
            Reach::Pasid(_) | Reach::Tag(_) => all.collect(),
        }
    }

    /// What one user's caches forget of one page.
    fn forget(&self, invalidation: &Invalidation<Numbers>, user: UserId, page: PageId) {
        let caches = self.caches(user);
        let unit = matches!(caches, Caches::Iotlb | Caches::DeviceTlb);
        let upper = invalidation.depth() == Depth::All;
        match invalidation.caches() {
            CacheKind::Cpus if self.users[user.0].loaded.is_some() => {
                self.forget_tagged(user, page, invalidation.tag().copied());
            }
            // What names a tag reaches nobody without tags.
            CacheKind::Cpus if invalidation.tag().is_some() => {}
            CacheKind::Cpus if caches == Caches::Tlb => {
                self.forget_first(user, page, true);
                self.forget_upper(user, page, upper);
            }
            CacheKind::Vcpus if caches == Caches::VcpuTlb => {
                self.forget_first(user, page, true);
                self.forget_upper(user, page, true);
            }
            CacheKind::Devices if unit => {
                self.forget_first(user, page, self.scene.options.inv_drains);
                self.forget_device(user, page);
                self.forget_upper(user, page, upper);
            }
            CacheKind::Iotlbs if unit => {
                self.forget_first(user, page, self.scene.options.inv_drains);
                self.forget_upper(user, page, upper);
            }
            CacheKind::DeviceTlbs => self.forget_device(user, page),
            CacheKind::Cpus
            | CacheKind::Vcpus
            | CacheKind::Devices
            | CacheKind::Iotlbs
            | CacheKind::PasidCaches => {}
        }
    }

    fn forget_first(&self, user: UserId, page: PageId, drains: bool) {
        let hardware = &self.users[user.0];
        hardware.tlb.invalidate(hardware.tag(page), self.layout.page(page).address);
        if drains {
            *hardware.walks[page.0].lock() = None;
        }
    }

    fn forget_device(&self, user: UserId, page: PageId) {
        if self.caches(user) != Caches::DeviceTlb {
            return;
        }
        let hardware = &self.users[user.0];
        hardware.device_tlb.invalidate(hardware.tag(page), self.layout.page(page).address);
        if self.scene.options.ats_drains {
            *hardware.completions[page.0].lock() = None;
        }
    }

    fn forget_upper(&self, user: UserId, page: PageId, upper: bool) {
        if let Some(pmd) = self.above_for(user, page).filter(|_| upper) {
            self.users[user.0].set_upper(pmd, 0);
        }
    }

    /// Opens a range over pages: zaps their shadow entries, and blocks their return.
    pub(crate) fn start_range(&self, pages: &Pages<Numbers>) -> Result<(), Stuck> {
        let is_full = |page: PageId| self.shared.ranges[page.0].lock().open >= self.scene.most_ranges;
        if side_by_side(pages).any(is_full) {
            return Err(self.out_of_range("no more ranges can be open over the page"));
        }
        side_by_side(pages).try_for_each(|page| self.start_over(page))
    }

    fn start_over(&self, page: PageId) -> Result<(), Stuck> {
        let mut ranges = self.shared.ranges[page.0].lock();
        ranges.open += 1;
        ranges.sequence += 1;
        if self.scene.explicit_shadow { Ok(()) } else { self.set_shadow_entry(page, Pte::NONE) }
    }

    /// Closes one; whoever began to fault before its end must begin again.
    pub(crate) fn end_range(&self, pages: &Pages<Numbers>) -> Result<(), Stuck> {
        let all = || side_by_side(pages);
        if all().any(|page| self.shared.ranges[page.0].lock().open == 0) {
            return Err(self.out_of_range("no range is open over the page"));
        }
        all().try_for_each(|page| self.end_over(page))
    }

    fn end_over(&self, page: PageId) -> Result<(), Stuck> {
        let mut ranges = self.shared.ranges[page.0].lock();
        if ranges.open == 0 {
            return Err(self.out_of_range("no range is open over the page"));
        }
        ranges.open -= 1;
        ranges.sequence += 1;
        Ok(())
    }
}

/// The pages of a range: those that are declared one after the other.
fn side_by_side(pages: &Pages<Numbers>) -> impl Iterator<Item = PageId> {
    let (first, last) = match pages {
        Pages::One(page) => (page.0, page.0),
        Pages::To(first, last) => (first.0, last.0),
    };
    (first..=last).map(PageId)
}
