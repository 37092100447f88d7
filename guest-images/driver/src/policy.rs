//! What a driver invalidates after a change.
//!
//! Invariant: a policy looks at the change alone, and gives a list in the order in which it is to be carried out; the wait
//! behind it is the queue's. A driver with an error is one more policy. Source: VT-d 6.5.2.1 to 6.5.2.6; the order is that
//! of 6.5.2.5: the device's translations after those that it would take them from again.

use crate::descriptor::{Invalidation, Pages};
use crate::entry::DeviceTlb;
use crate::space::{Change, Changed};

/// How much an invalidation of the IOTLB takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Granularity {
    /// Everything.
    Global,
    /// A domain.
    Domain,
    /// A page of a domain.
    Page,
    /// A process.
    Pasid,
    /// A page of a process.
    PageInPasid,
}

/// What is invalidated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// The least that helps.
    Right,
    /// That much of the IOTLB, and of the device's TLB the page.
    AtLeast(Granularity),
    /// Nothing: the device goes on using what was.
    Nothing,
}

/// Invalidations, in their order.
#[derive(Clone, Copy, Debug)]
pub struct List {
    items: [Invalidation; Self::MOST],
    len: usize,
}

impl List {
    const MOST: usize = 8;

    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: [Invalidation::Iotlb; Self::MOST], len: 0 }
    }

    /// The list with one more at its end.
    ///
    /// # Panics
    /// If it is full.
    #[must_use]
    pub fn with(mut self, item: Invalidation) -> Self {
        assert!(self.len < Self::MOST, "a list has at most {} invalidations", Self::MOST);
        self.items[self.len] = item;
        self.len += 1;
        self
    }

    /// What is in it.
    #[must_use]
    pub fn items(&self) -> &[Invalidation] {
        &self.items[..self.len]
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// What it invalidates.
    #[must_use]
    pub fn after(self, change: &Change) -> List {
        let granularity = match self {
            Self::Nothing => return List::new(),
            Self::AtLeast(granularity) => granularity,
            Self::Right => least(change.entry),
        };
        let list = List::new().with(in_iotlb(granularity, change));
        match change.device_tlb {
            DeviceTlb::Off => list,
            DeviceTlb::On => list.with(in_device(change)),
        }
    }
}

/// The least of the IOTLB that a change demands.
#[must_use]
pub const fn least(entry: Changed) -> Granularity {
    match entry {
        Changed::SecondStage => Granularity::Page,
        Changed::FirstStage => Granularity::PageInPasid,
        Changed::BelowFirstStage => Granularity::Domain,
    }
}

/// That much of the IOTLB.
///
/// # Panics
/// If it is to be that of a process and there is none.
#[must_use]
pub fn in_iotlb(granularity: Granularity, change: &Change) -> Invalidation {
    let pasid = || change.pasid.expect("a first stage belongs to a process");
    let pages = Pages { start: change.at, log2: change.pages_log2, hint: change.hint };
    match granularity {
        Granularity::Global => Invalidation::Iotlb,
        Granularity::Domain => Invalidation::IotlbOf(change.domain),
        Granularity::Page => Invalidation::IotlbPages(change.domain, pages),
        Granularity::Pasid => Invalidation::PasidIotlb(change.domain, pasid()),
        Granularity::PageInPasid => Invalidation::PasidIotlbPages(change.domain, pasid(), pages),
    }
}

/// The page in the device's TLB; instead of several, all.
#[must_use]
pub const fn in_device(change: &Change) -> Invalidation {
    match (change.pasid, change.pages_log2) {
        (Some(pasid), 0) => Invalidation::DeviceTlbPageOfPasid(change.source, pasid, change.at),
        (None, 0) => Invalidation::DeviceTlbPage(change.source, change.at),
        (Some(pasid), _) => Invalidation::DeviceTlbOfPasid(change.source, pasid),
        (None, _) => Invalidation::DeviceTlb(change.source),
    }
}

#[cfg(test)]
mod tests;
