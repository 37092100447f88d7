//! Page requests: what a device asks software for, and the answers.
//!
//! Invariant: none. Source: PCI Express 4.0, 10.4.1 (request), 10.4.2 (response and its codes), 10.4.1.2.1 (stop marker).

use mmu::address::VirtAddr;

use crate::id::SourceId;
use crate::pasid::Pasid;

/// What a device asks software for: pages that it wants to use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PageRequest {
    /// Who asks.
    pub source: SourceId,
    /// In whose name.
    pub pasid: Option<Pasid>,
    /// The page.
    pub address: VirtAddr,
    /// What for. A stop marker asks for nothing.
    pub wants: Wants,
    /// PRGI: the group, below 512.
    pub group: u16,
    /// LPIG: the last of its group.
    pub last: bool,
    /// What the device wants to see again in the answer, which some units carry for it.
    pub private_data: Option<[u64; 2]>,
}

/// What a page is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Wants {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
    /// As supervisor.
    pub privileged: bool,
}

/// The answer to a page request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResponseCode {
    /// 0: the pages are there.
    Success,
    /// 1: they cannot be had.
    Invalid,
    /// 0xf, and every reserved code: stop asking.
    Failure,
}

impl ResponseCode {
    /// The field.
    #[must_use]
    pub const fn encode(self) -> u64 {
        match self {
            Self::Success => 0,
            Self::Invalid => 1,
            Self::Failure => 0xf,
        }
    }

    /// Of the field.
    #[must_use]
    pub const fn decode(code: u64) -> Self {
        match code {
            0 => Self::Success,
            1 => Self::Invalid,
            _ => Self::Failure,
        }
    }
}

/// What became of a page request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestOutcome {
    /// It is on its way to software.
    Accepted,
    /// It is not; the answer, if one is owed, is this.
    Refused(ResponseCode),
}

/// The answer to a page request, or to a group of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PageGroupResponse {
    /// Who asked.
    pub source: SourceId,
    /// In whose name, if the answer carries the PASID.
    pub pasid: Option<Pasid>,
    /// PRGI: the group.
    pub group: u16,
    /// The answer.
    pub code: ResponseCode,
}

impl PageRequest {
    /// Whether it only says that the device has stopped using the PASID: last of its group, and asks for nothing.
    #[must_use]
    pub const fn is_stop_marker(&self) -> bool {
        self.last && !self.wants.read && !self.wants.write
    }
}
