//! What a port that is watched has seen to be true: pages, routes that let addresses pass, and the words that make the
//! tables say so.
//!
//! Invariant: while the words of a proof and of its route stand, the tables translate the page to what the proof says. So
//! a hit that says the same is not stale, whatever was changed, invalidated and filled in between; no proof need ever
//! be taken back. A hit without a proof is looked at the long way, which may leave one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mmu::address::Pfn;
use mmu::cache::{Permission, Translation};
use mmu::memory::PhysicalMemory;
use pcie::{Pasid, Request};

use crate::vtd::options::Watching;
use crate::vtd::port::memo::Memo;
use crate::vtd::trail::Word;
use crate::vtd::walk::{Path, identity};

/// Pages that a port has proofs for at most; those of two pages that meet in one place take turns.
const PROOFS: usize = 1 << 11;
/// Pages below one table.
const NEIGHBOURS: u64 = 1 << 9;
/// Tables whose pages share what they rest on besides the leaf.
const TABLES: usize = 1 << 4;
/// Routes that let addresses pass and are known to be right, one for each PASID modulo this.
const PASSING: usize = 1 << 3;

/// What one port has seen to be true, and since when.
#[derive(Debug)]
pub(super) struct Vigil {
    proofs: Box<[Proof; PROOFS]>,
    /// What proofs of late rest on besides their leaves.
    shared: [Arc<[[Word; 3]]>; TABLES],
    /// Whose route lets addresses pass by right, and in which epoch it was found.
    passing: [Option<(Option<Pasid>, u64)>; PASSING],
    /// It looks at one request in so many.
    one_in: u32,
    /// Requests since it last looked; 0 while it looks.
    turn: u32,
}

/// Why a page's translation is not stale. A use reads one, so it fills a line of the processor's cache and no more.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Proof {
    subject: Subject,
    /// The epoch of the route; 0 if there is no proof, as epochs count from 1.
    found_in: u64,
    frame: Pfn,
    leaf: Word,
    /// Of the route and above the leaf; neighbouring pages share it. Three together, because most routes have three words,
    /// and so have most tables above the last one.
    rest: Arc<[[Word; 3]]>,
    permission: Permission,
}

/// Which page, and whose, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Subject(u64);

impl Subject {
    /// An address that translates is canonical: its bit 63, which has no room, is its bit 62.
    #[inline(always)]
    fn of(request: &Request) -> Self {
        Self(request.address.page().0 << 1 | request.pasid.map_or(0, |pasid| u64::from(pasid.number()) + 1))
    }
}

impl Proof {
    /// Whether all that it and its route rest on still says what it said, word by word.
    fn stands_in_lent(&self, memory: &PhysicalMemory) -> bool {
        self.rest.iter().flatten().all(|word| word.stands_in(memory)) && self.leaf.stands_in(memory)
    }
}

impl Vigil {
    /// None if nothing is watched.
    pub(super) fn new(watching: Watching) -> Option<Self> {
        let one_in = match watching {
            Watching::Off => return None,
            Watching::EveryUse => 1,
            Watching::Sampled(one_in) => one_in.get(),
        };
        let shared = std::array::from_fn(|_| Arc::default());
        Some(Self {
            proofs: Box::new(std::array::from_fn(|_| Proof::default())),
            shared,
            passing: [None; PASSING],
            one_in,
            turn: one_in - 1,
        })
    }

    /// To be told of each request.
    #[inline(always)]
    pub(super) fn count(&mut self) {
        if self.one_in != 1 {
            self.turn = if self.turn + 1 == self.one_in { 0 } else { self.turn + 1 };
        }
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
        found_in: u64,
        request: &Request,
        hit: Translation,
    ) -> bool {
        let proof = &self.proofs[index(request)];
        let words = memory.words();
        proof.subject == Subject::of(request)
            && proof.found_in == found_in
            && proof.frame == hit.physical(request.address).pfn()
            && proof.permission.allows(request.access)
            && all_stand(&proof.rest, words)
            && proof.leaf.stands(words)
    }

    /// The same where memory is lent, which has no words.
    pub(super) fn vouches_in_lent(
        &self,
        memory: &PhysicalMemory,
        memo: &Memo,
        request: &Request,
        hit: Translation,
    ) -> bool {
        let passes = self.passing[passing_index(memo)] == Some((memo.requester.pasid, memo.found_in));
        if passes && hit == identity(request.address) {
            return memo.stands_in_lent(memory);
        }
        let proof = &self.proofs[index(request)];
        proof.subject == Subject::of(request)
            && proof.found_in == memo.found_in
            && proof.frame == hit.physical(request.address).pfn()
            && proof.permission.allows(request.access)
            && proof.stands_in_lent(memory)
    }

    /// The same for a route that lets addresses pass, whatever the page is.
    #[inline(always)]
    pub(super) fn vouches_for_passing(&self, memory: &PhysicalMemory, memo: &Memo) -> bool {
        let words = memory.words();
        self.passing[passing_index(memo)] == Some((memo.requester.pasid, memo.found_in)) && memo.stands(words)
    }

    /// The tables say `translation` for the request, by `path`.
    pub(super) fn learn(&mut self, memo: &Memo, request: &Request, translation: Translation, path: &Path) {
        // By another route they may say something else.
        if path.stages != memo.space.stages {
            return;
        }
        let walked = path.walk.words();
        // Where nothing is walked the route's last word says so.
        let Some((leaf, above)) = walked.split_last().or(memo.words.last().map(|[.., last]| (last, &[][..])))
        else {
            return;
        };
        if walked.is_empty() {
            self.passing[passing_index(memo)] = Some((memo.requester.pasid, memo.found_in));
        }
        self.proofs[index(request)] = Proof {
            subject: Subject::of(request),
            found_in: memo.found_in,
            frame: translation.physical(request.address).pfn(),
            leaf: *leaf,
            rest: self.share(request, &threes(&[&memo.trail.words(), above].concat())),
            permission: translation.permission,
        };
    }

    /// `rest`, and the same one for pages below the same table.
    fn share(&mut self, request: &Request, rest: &[[Word; 3]]) -> Arc<[[Word; 3]]> {
        let place = &mut self.shared[(request.address.vpn() / NEIGHBOURS) as usize % TABLES];
        if **place != *rest {
            *place = rest.into();
        }
        Arc::clone(place)
    }
}

/// Three together; the last ones fill up.
fn threes(words: &[Word]) -> Box<[[Word; 3]]> {
    let at = |place: usize| words[place.min(words.len() - 1)];
    (0..words.len()).step_by(3).map(|first| std::array::from_fn(|place| at(first + place))).collect()
}

#[inline(always)]
fn all_stand(threes: &[[Word; 3]], words: &[AtomicU64]) -> bool {
    // Not the method `all`, which becomes a call of its own.
    for [first, second, third] in threes {
        if !(first.stands(words) && second.stands(words) && third.stands(words)) {
            return false;
        }
    }
    true
}

#[inline(always)]
fn passing_index(memo: &Memo) -> usize {
    memo.requester.pasid.map_or(0, |pasid| pasid.number() as usize % PASSING)
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
