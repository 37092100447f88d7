//! Why a device cannot go on with what its driver put into memory.
//!
//! Invariant: whatever a ring holds is either a chain or one of these. Source: VIRTIO 1.2, 2.1.1 (DEVICE_NEEDS_RESET), 2.7.5
//! (descriptors), 2.7.6 (the available ring).

use thiserror::Error;

use crate::upstream::DmaFault;

/// What is wrong with a ring.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Broken {
    /// The function may not reach memory. That is no mistake of the ring's.
    #[error("it is no bus master")]
    NotBusMaster,
    /// Something lies where the device reaches nothing.
    #[error("{0}")]
    Unreachable(String),
    /// The available index is further on than there are entries, or went back.
    #[error("its available index jumps: more entries than the ring has")]
    IndexJumps,
    /// A chain begins outside of the table.
    #[error("entry {head} is offered, and there are {size}")]
    NoSuchHead {
        /// Where it is said to begin.
        head: u16,
        /// How many there are.
        size: u16,
    },
    /// A descriptor leads outside of its table.
    #[error("a descriptor leads to entry {next}, which its table does not have")]
    NoSuchNext {
        /// Where it leads.
        next: u16,
    },
    /// A chain is longer than the ring, as one is that leads back to itself.
    #[error("a chain has more than {most} descriptors: it is a circle, or too long")]
    TooManyDescriptors {
        /// How many it may have.
        most: u16,
    },
    /// More bytes than a chain may have.
    #[error("a chain has 4 GiB or more")]
    TooManyBytes,
    /// A table of descriptors in a table of descriptors, or one that is no table.
    #[error("a table of descriptors is empty, no multiple of 16 bytes, or in another such table")]
    BadTable,
    /// A buffer of no bytes.
    #[error("a descriptor has no bytes")]
    EmptyDescriptor,
    /// A buffer for the device to read behind one for it to write.
    #[error("a descriptor to be read comes behind one to be written")]
    OutOfOrder,
    /// A request without what every request of the device has.
    #[error("a request {0}")]
    NoRequest(&'static str),
    /// A queue that is used where it cannot be.
    #[error("a ring is not aligned, or has no size")]
    BadPlace,
}

impl Broken {
    /// What a request means that reached nothing.
    #[must_use]
    pub fn of(fault: &DmaFault) -> Self {
        match fault {
            DmaFault::NotBusMaster => Self::NotBusMaster,
            DmaFault::PasidDisabled(_) | DmaFault::Unsupported { .. } | DmaFault::Blocked { .. } => {
                Self::Unreachable(fault.to_string())
            }
        }
    }
}
