//! Page requests in the queue, and the codes of their answers.
//!
//! Invariant: none. Source: VT-d 7.4.1 (descriptor), 7.7 (response); PCIe 10.4.1.

use mmu::address::VirtAddr;

use super::id::SourceId;
use super::{bit, field, field16, field32};
use crate::pasid::Pasid;

/// Bytes of a descriptor.
pub const REQUEST_BYTES: u64 = 32;

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
    /// What the device wants to see again in the answer (PDP).
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

impl PageRequest {
    /// Whether it only says that the device has stopped using the PASID: last of its group, and asks for nothing.
    #[must_use]
    pub const fn is_stop_marker(&self) -> bool {
        self.last && !self.wants.read && !self.wants.write
    }

    /// The descriptor.
    #[must_use]
    pub fn encode(&self) -> [u64; 4] {
        let Wants { read, write, execute, privileged } = self.wants;
        let pasid = self.pasid.map_or(0, |pasid| 1 << 8 | u64::from(pasid.number()) << 32);
        let low = 1
            | pasid
            | u64::from(self.private_data.is_some()) << 9
            | u64::from(self.source.0) << 16
            | u64::from(execute) << 52
            | u64::from(privileged) << 53;
        let high = u64::from(read)
            | u64::from(write) << 1
            | u64::from(self.last) << 2
            | field(u64::from(self.group), 0, 9) << 3
            | self.address.page().0;
        let [first, second] = self.private_data.unwrap_or_default();
        [low, high, first, second]
    }

    /// Of the descriptor. A PASID that no unit of this program has counts as none.
    #[must_use]
    pub fn decode(words: [u64; 4]) -> Self {
        let [low, high, first, second] = words;
        let pasid = Pasid::new(field32(low, 32, 20)).ok();
        Self {
            source: SourceId(field16(low, 16)),
            pasid: pasid.filter(|_| bit(low, 8)),
            address: VirtAddr(high).page(),
            wants: Wants {
                read: bit(high, 0),
                write: bit(high, 1),
                execute: bit(low, 52),
                privileged: bit(low, 53),
            },
            group: field16(field(high, 3, 9), 0),
            last: bit(high, 2),
            private_data: bit(low, 9).then_some([first, second]),
        }
    }
}
