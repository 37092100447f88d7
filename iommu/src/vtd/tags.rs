//! How translations are tagged: which of the cache's tags stands for a domain, or for a PASID in a domain.
//!
//! Invariant: two address spaces never share a tag, and an address space keeps its tag for good. When the tags run out,
//! which takes 65,536 address spaces, later ones get none and are not cached.
//! Source: VT-d 6.2.1 (what cached translations are tagged with).

use std::collections::HashMap;
use std::hash::Hash;

use mmu::cache::Tag;
use parking_lot::RwLock;
use pcie::Pasid;

use crate::spec::id::DomainId;

/// What an IOTLB entry and a paging-structure entry are tagged with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpaceKey {
    /// The domain.
    pub domain: DomainId,
    /// The PASID; none for the second stage, which belongs to the domain alone.
    pub pasid: Option<Pasid>,
    /// What translated.
    pub stage: StageKind,
}

/// Which stages a cached translation is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StageKind {
    /// The first.
    First,
    /// The second.
    Second,
    /// Both.
    Nested,
}

/// The tags that are given to domains and PASIDs.
#[derive(Debug)]
pub(crate) struct Tags<K> {
    known: RwLock<HashMap<K, Tag>>,
}

impl<K: Eq + Hash + Copy> Tags<K> {
    pub(crate) fn new() -> Self {
        Self { known: RwLock::default() }
    }

    /// The tag of `key`, a new one if it has none yet.
    pub(crate) fn of(&self, key: K) -> Option<Tag> {
        if let Some(tag) = self.find(key) {
            return Some(tag);
        }
        let mut known = self.known.write();
        let next = Tag(u16::try_from(known.len()).ok()?);
        Some(*known.entry(key).or_insert(next))
    }

    /// The tag of `key`, if it has one.
    pub(crate) fn find(&self, key: K) -> Option<Tag> {
        self.known.read().get(&key).copied()
    }

    /// The keys that `concerns` names, with their tags.
    pub(crate) fn matching(&self, concerns: impl Fn(&K) -> bool) -> Vec<(K, Tag)> {
        self.known.read().iter().filter(|(key, _)| concerns(key)).map(|(key, tag)| (*key, *tag)).collect()
    }
}
