//! Requests: who asks, for what, and whether it is translated ahead.
//!
//! Invariant: none. Source: PCI Express 4.0, 2.2.4 (requests), 6.20 (PASID), 10.3 (ATS).

use mmu::address::{Access, VirtAddr};

use crate::id::SourceId;
use crate::pasid::Pasid;

/// Who asks, and in whose name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Requester {
    /// The function.
    pub source: SourceId,
    /// The process, if the request carries a PASID.
    pub pasid: Option<Pasid>,
}

/// An access as a device issues it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// In whose name, if it carries a PASID.
    pub pasid: Option<Pasid>,
    /// Where.
    pub address: VirtAddr,
    /// For what.
    pub access: Access,
}

/// Whether a device translates ahead (the ATS capability's Enable bit, which all of its ports share).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ats {
    /// Every request is untranslated.
    #[default]
    Disabled,
    /// Requests go through the device's TLB.
    Enabled,
}
