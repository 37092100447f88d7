//! What a check has to say: that it held, what it used stale on purpose, or why it failed.
//!
//! Invariant: a name of [`Missing`] stands for invalidations in the order in which they are to be carried out.

use core::fmt;

use crate::descriptor::Hint;
use crate::engine::Outcome;
use crate::id::Iova;
use crate::space::{Change, Changed};

/// What a check that passed has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Nothing more.
    Held,
    /// It used stale translations at these addresses.
    Stale([Option<Iova>; 2], Missing),
    /// The machine or the architecture does not have it.
    Absent(&'static str),
}

/// Invalidations, by what they are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing(pub &'static str);

/// Who holds a stale translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// The unit.
    Unit,
    /// The device.
    Device,
}

impl Missing {
    /// The least after the change of a page table's entry.
    #[must_use]
    pub const fn after(change: &Change, holder: Holder) -> Self {
        Self(match (change.entry, change.hint, holder) {
            (Changed::SecondStage, Hint::LeavesOnly, Holder::Unit) => "iotlb-page",
            (Changed::SecondStage, Hint::LeavesOnly, Holder::Device) => "iotlb-page+device-tlb",
            (Changed::SecondStage, Hint::EveryLevel, Holder::Unit) => "iotlb-tables",
            (Changed::SecondStage, Hint::EveryLevel, Holder::Device) => "iotlb-tables+device-tlb",
            (Changed::FirstStage, Hint::LeavesOnly, Holder::Unit) => "pasid-iotlb-page",
            (Changed::FirstStage, Hint::LeavesOnly, Holder::Device) => "pasid-iotlb-page+device-tlb",
            (Changed::FirstStage, Hint::EveryLevel, Holder::Unit) => "pasid-iotlb-tables",
            (Changed::FirstStage, Hint::EveryLevel, Holder::Device) => "pasid-iotlb-tables+device-tlb",
            (Changed::BelowFirstStage, _, Holder::Unit) => "iotlb-domain",
            (Changed::BelowFirstStage, _, Holder::Device) => "iotlb-domain+device-tlb",
        })
    }
}

/// Why a check failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// When.
    pub when: &'static str,
    /// Where.
    pub at: Iova,
    /// What was found.
    pub found: Outcome,
    /// What was expected.
    pub expected: u64,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => Ok(()),
            Self::Absent(why) => write!(f, ": not there, {why}"),
            Self::Stale(addresses, Missing(missing)) => {
                f.write_str(": stale")?;
                addresses.iter().flatten().try_for_each(|address| write!(f, " {address}"))?;
                write!(f, " missing {missing}")
            }
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { when, at, found, expected } = self;
        match found {
            Ok(word) => write!(f, "{when}: {word:#x} at {at}, not {expected:#x}"),
            Err(code) => write!(f, "{when}: code {code} at {at}, not {expected:#x}"),
        }
    }
}
