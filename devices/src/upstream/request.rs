//! Who asks, for what, where, and why it was refused.
//!
//! Invariant: an [`Address`] is what a device put on the bus; only an [`Upstream`](super::Upstream) knows what it
//! means. Source: PCI Express 4.0, 2.2.6.2 (requester id), 6.20 (PASID), 6.15 (atomics).

use std::fmt;

use mmu::address::PAGE_SIZE;
use thiserror::Error;

/// A function's bus, device and function number in 16 bits: how the bus names who asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SourceId(u16);

/// A process address space id, 20 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pasid(u32);

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Requester {
    /// The function.
    pub source: SourceId,
    /// The process it works for, if it says so.
    pub pasid: Option<Pasid>,
}

/// Where a device reads or writes, as it says it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub u64);

/// What is to be moved.
#[derive(PartialEq, Eq, Debug)]
pub enum Transfer<'a> {
    /// Memory into these bytes.
    Read(&'a mut [u8]),
    /// These bytes into memory.
    Write(&'a [u8]),
    /// One atomic operation on the aligned 64-bit word there; what stood there before goes to `before`.
    Atomic {
        /// Which operation.
        operation: Atomic,
        /// Where the old value goes.
        before: &'a mut u64,
    },
}

/// An operation on a 64-bit word that nothing can come between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Atomic {
    /// Adds, and wraps around.
    FetchAdd(u64),
    /// Replaces.
    Swap(u64),
    /// Replaces if `compare` stands there.
    CompareAndSwap {
        /// What is expected.
        compare: u64,
        /// What replaces it.
        swap: u64,
    },
}

/// Why a request moved nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DmaFault {
    /// The function may not be bus master.
    #[error("bus mastering is off in the command register")]
    NotBusMaster,
    /// The function may not name a process.
    #[error("{0} was given, but the PASID capability is not enabled")]
    PasidDisabled(Pasid),
    /// Nothing is there, or nothing that takes such a request.
    #[error("{address} takes no such request of {len_bytes} bytes")]
    Unsupported {
        /// Where.
        address: Address,
        /// How much.
        len_bytes: usize,
    },
    /// The remapping unit translates it for nobody, or not for this.
    #[error("the remapping unit blocks {address}")]
    Blocked {
        /// Where.
        address: Address,
    },
}

impl DmaFault {
    /// Where it happened, if it was somewhere.
    #[must_use]
    pub const fn address(&self) -> Option<Address> {
        match self {
            Self::Unsupported { address, .. } | Self::Blocked { address } => Some(*address),
            Self::NotBusMaster | Self::PasidDisabled(_) => None,
        }
    }
}

impl SourceId {
    /// The function of those numbers; none if `device` is 32 or more, or `function` 8 or more.
    #[must_use]
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device < 32 && function < 8 {
            Some(Self((bus as u16) << 8 | (device as u16) << 3 | function as u16))
        } else {
            None
        }
    }

    /// The function that these 16 bits name.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The 16 bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Its bus.
    #[must_use]
    pub const fn bus(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// Its device number, below 32.
    #[must_use]
    pub const fn device(self) -> u8 {
        self.0.to_be_bytes()[1] >> 3
    }

    /// Its function number, below 8.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.0.to_be_bytes()[1] & 7
    }
}

impl Pasid {
    /// The PASID of the low 20 bits of `bits`.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & 0xf_ffff)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Requester {
    /// The function itself, for no process.
    #[must_use]
    pub const fn plain(source: SourceId) -> Self {
        Self { source, pasid: None }
    }
}

impl Address {
    /// The address `len_bytes` on.
    ///
    /// # Errors
    /// [`DmaFault::Unsupported`] if that is beyond the last one.
    pub fn after(self, len_bytes: usize) -> Result<Self, DmaFault> {
        let next = u64::try_from(len_bytes).ok().and_then(|len| self.0.checked_add(len));
        next.map(Self).ok_or(DmaFault::Unsupported { address: self, len_bytes })
    }

    /// Bytes from here to the end of the 4 KiB page.
    #[must_use]
    pub const fn left_in_page(self) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "at most a page")]
        let left = (PAGE_SIZE - self.0 % PAGE_SIZE) as usize;
        left
    }
}

impl Transfer<'_> {
    /// How many bytes it moves.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        match self {
            Self::Read(bytes) => bytes.len(),
            Self::Write(bytes) => bytes.len(),
            Self::Atomic { .. } => size_of::<u64>(),
        }
    }
}

impl Atomic {
    /// What stands there afterwards, if `before` stood there.
    #[must_use]
    pub const fn apply(self, before: u64) -> u64 {
        match self {
            Self::FetchAdd(value) => before.wrapping_add(value),
            Self::Swap(value) => value,
            Self::CompareAndSwap { compare, swap } if before == compare => swap,
            Self::CompareAndSwap { .. } => before,
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus(), self.device(), self.function())
    }
}

impl fmt::Display for Pasid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PASID {:#x}", self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iova:{:#x}", self.0)
    }
}
