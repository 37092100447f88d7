//! What a port that is watched has seen to be true: pages, and the words that make the tables say so.
//!
//! Invariant: while the words of a proof and of its route stand, the tables translate the page to what the proof says. So
//! a hit that says the same is not stale, whatever was changed, invalidated and filled in between; no proof need ever
//! be taken back. A hit without a proof is looked at the long way, which may leave one.

use std::sync::atomic::AtomicU64;

use mmu::address::{Pfn, VirtAddr};
use mmu::cache::{Permission, Translation};
use mmu::memory::PhysicalMemory;

use crate::pasid::Pasid;
use crate::stale::watch::Watching;
use crate::vtd::port::Request;
use crate::vtd::port::memo::Memo;
use crate::vtd::trail::Witness;
use crate::vtd::walk::Path;

/// Pages that a port has proofs for at most; those of two pages that meet in one place take turns.
const PROOFS: usize = 1 << 11;

/// See the module.
#[derive(Debug)]
pub(super) struct Vigil {
    proofs: Box<[Option<Proof>]>,
    /// It looks at one request in so many.
    one_in: u32,
    /// Requests since it last looked; 0 while it looks.
    turn: u32,
}

/// Why a page's translation is not stale.
#[derive(Clone, Debug)]
struct Proof {
    page: VirtAddr,
    pasid: Option<Pasid>,
    /// The epoch of the route.
    found_in: u64,
    frame: Pfn,
    permission: Permission,
    words: Box<[Witness]>,
}

impl Vigil {
    /// None if nothing is watched.
    pub(super) fn new(watching: Watching) -> Option<Self> {
        let one_in = match watching {
            Watching::Off => return None,
            Watching::EveryUse => 1,
            Watching::Sampled(one_in) => one_in.get(),
        };
        Some(Self { proofs: vec![None; PROOFS].into(), one_in, turn: one_in - 1 })
    }

    /// To be told of each request.
    #[inline(always)]
    pub(super) fn count(&mut self) {
        self.turn = if self.turn + 1 == self.one_in { 0 } else { self.turn + 1 };
    }

    /// Whether it looks at this request.
    #[inline(always)]
    pub(super) fn is_looking(&self) -> bool {
        self.turn == 0
    }

    /// Whether it knows without looking further that `hit` is what the tables say.
    #[inline(always)]
    pub(super) fn vouches(
        &self,
        memory: &PhysicalMemory,
        memo: &Memo,
        request: &Request,
        hit: Translation,
    ) -> bool {
        let Some(proof) = &self.proofs[index(request)] else { return false };
        proof.page == request.address.page()
            && proof.pasid == request.pasid
            && proof.found_in == memo.found_in
            && proof.frame == hit.physical(request.address).pfn()
            && proof.permission.allows(request.access)
            && stand(&memo.words, memory.words())
            && stand(&proof.words, memory.words())
    }

    /// The tables say `translation` for the request, by `path`.
    pub(super) fn learn(&mut self, memo: &Memo, request: &Request, translation: Translation, path: &Path) {
        // By another route they may say something else.
        if path.stages == memo.space.stages {
            self.proofs[index(request)] = Some(Proof {
                page: request.address.page(),
                pasid: request.pasid,
                found_in: memo.found_in,
                frame: translation.physical(request.address).pfn(),
                permission: translation.permission,
                words: path.walk.witnesses(),
            });
        }
    }
}

#[inline(always)]
fn stand(witnesses: &[Witness], words: &[AtomicU64]) -> bool {
    // Not `all`, which becomes a call of its own.
    for witness in witnesses {
        if !witness.stands(words) {
            return false;
        }
    }
    true
}

/// Neighbouring pages lie beside each other, those of different PASIDs apart.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "only the low bits count")]
fn index(request: &Request) -> usize {
    let apart = request.pasid.map_or(0, |pasid| pasid.number() as usize * 67);
    (request.address.vpn() as usize).wrapping_add(apart) % PROOFS
}

#[cfg(test)]
mod tests;
