//! A look at everything that is remembered to be cached.
//!
//! Invariant: it finds only what a cache still holds and the tables deny at this moment. It says nothing of guilt:
//! software may be about to invalidate what it finds.

use mmu::address::Access;
use mmu::cache::Translation;
use pcie::Request;

use crate::stale::unused::Unused;
use crate::stale::watch::{Suspect, Watch};
use crate::vtd::Vtd;

impl Watch {
    /// The translations cached in `unit` that the tables no longer contain, if no use of them was met since; by address.
    pub(crate) fn audit(&self, unit: &Vtd) -> Vec<Unused> {
        let mut unused: Vec<_> =
            self.suspects().iter().filter_map(|suspect| convict(unit, suspect)).collect();
        unused.sort_by_key(|unused| (unused.requester.source.0, unused.page, unused.filled));
        unused
    }
}

fn convict(unit: &Vtd, suspect: &Suspect) -> Option<Unused> {
    let Suspect { requester, held_in, page, cached, space, filled, change } = *suspect;
    let access = if cached.permission.read { Access::Read } else { Access::Write };
    let request = Request { pasid: requester.pasid, address: page, access };
    let now = unit.inspect(requester, &request).translation;
    let agrees = now.is_ok_and(|now| now.physical(page) == cached.physical(page) && allows(now, cached));
    let is_stale = !agrees && unit.holds(held_in, page, cached);
    is_stale.then(|| Unused { requester, holder: held_in.holder(), space, page, cached, now, filled, change })
}

/// Whether the tables allow whatever the cache does.
fn allows(now: Translation, cached: Translation) -> bool {
    let accesses = [Access::Read, Access::Write];
    accesses.iter().all(|&access| now.permission.allows(access) || !cached.permission.allows(access))
}

#[cfg(test)]
mod tests;
