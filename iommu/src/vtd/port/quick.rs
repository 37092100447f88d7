//! The common case of an access: a hit that serves, under a route that is known, and is known not to be stale.
//!
//! Invariant: what is not that leaves nothing behind, and goes the long way. Nothing here stores a request: it stays in
//! registers, and is handed to what is compiled apart in its parts.

use mmu::address::{Access, PhysAddr, VirtAddr};
use mmu::cache::{CachePort, Ongoing, Section, Translation};
use pcie::{Msi, Pasid, Request};

use crate::vtd::port::Wiring;
use crate::vtd::walk::identity;

impl Wiring {
    /// The access by the common case, announced to `cache` and left in flight; none if it is not that.
    #[inline(always)]
    pub(super) fn attempt(&mut self, cache: &mut CachePort, request: Request) -> Option<(Ongoing, PhysAddr)> {
        let section = cache.enter();
        let address = self.quick(&section, request)?;
        Some((section.leave_ongoing(), address))
    }

    /// The common case: a hit that serves, under a route that is known, and is known not to be stale if somebody wants
    /// to know. Everything else goes the long way, which starts over.
    #[inline(always)]
    pub(super) fn quick(&mut self, section: &Section<'_>, request: Request) -> Option<PhysAddr> {
        let shortcut = self.memos.shortcut(&self.unit, request.pasid)?;
        if Msi::is_address(request.address.0) {
            return None;
        }
        if shortcut.is_identity {
            return self.pass(request);
        }
        match section.lookup_page(shortcut.tag, request.address) {
            Some(hit) => self.quick_hit(request, hit, shortcut.valid_in),
            None => {
                let hit = section.lookup_large(shortcut.tag, request.address)?;
                let Request { pasid, address, access } = request;
                self.quick_large(pasid, address, access, hit, shortcut.valid_in)
            }
        }
    }

    /// A hit that was found, whose size the compiler knows.
    #[inline(always)]
    fn quick_hit(&mut self, request: Request, hit: Translation, found_in: u64) -> Option<PhysAddr> {
        if !hit.serves(request.access) {
            return None;
        }
        let Some(vigil) = &mut self.vigil else { return Some(hit.physical(request.address)) };
        vigil.count();
        let passes = !vigil.is_looking() || vigil.vouches(&self.memory, found_in, &request, hit);
        passes.then_some(hit.physical(request.address))
    }

    #[inline(never)]
    fn quick_large(
        &mut self,
        pasid: Option<Pasid>,
        address: VirtAddr,
        access: Access,
        hit: Translation,
        found_in: u64,
    ) -> Option<PhysAddr> {
        self.quick_hit(Request { pasid, address, access }, hit, found_in)
    }

    /// An address that passes as it is.
    #[inline(always)]
    fn pass(&mut self, request: Request) -> Option<PhysAddr> {
        if let Some(vigil) = &mut self.vigil {
            vigil.count();
            let memo = self.memos.behind_shortcut(request.pasid)?;
            if vigil.is_looking() && !vigil.vouches_for_passing(&self.unit.memory, memo) {
                return None;
            }
        }
        Some(PhysAddr(request.address.0))
    }

    /// What is behind [`quick`](Self::quick) where memory is lent and has no words to look at: nobody else pays for it.
    #[cold]
    pub(super) fn quick_in_lent(&mut self, section: &Section<'_>, request: &Request) -> Option<PhysAddr> {
        let memory = &self.unit.memory;
        if !memory.words().is_empty() || Msi::is_address(request.address.0) {
            return None;
        }
        let shortcut = self.memos.shortcut(&self.unit, request.pasid)?;
        let memo = self.memos.behind_shortcut(request.pasid)?;
        let vigil = self.vigil.as_ref()?;
        let hit = if shortcut.is_identity {
            identity(request.address)
        } else {
            section.lookup(shortcut.tag, request.address).filter(|hit| hit.serves(request.access))?
        };
        vigil.vouches_in_lent(memory, memo, request, hit).then(|| hit.physical(request.address))
    }
}
