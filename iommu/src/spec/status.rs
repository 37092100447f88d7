//! The registers that the unit reports with: FSTS, ICS, PRS, IQERCD, and the control word of the three events.
//!
//! Invariant: all status bits named here are cleared by writing 1, except [`FAULT_PENDING`], which follows the fault
//! records. Source: VT-d 11.4.7 (FSTS, FECTL), 11.4.9 (ICS, IECTL, IQERCD), 11.4.10 (PRS, PECTL).

use pcie::SourceId;

/// FSTS.PFO: a fault was not recorded for want of a free record.
pub const FAULT_OVERFLOW: u32 = 1 << 0;
/// FSTS.PPF: a fault record is in use.
pub const FAULT_PENDING: u32 = 1 << 1;
/// FSTS.IQE: the invalidation queue stands at a descriptor that cannot be executed.
pub const QUEUE_ERROR: u32 = 1 << 4;
/// FSTS.ICE: a device answered an invalidation wrongly.
pub const COMPLETION_ERROR: u32 = 1 << 5;
/// FSTS.ITE: a device did not answer an invalidation in time.
pub const TIME_OUT_ERROR: u32 = 1 << 6;
/// Where FSTS.FRI lies, the index of the oldest fault record in use.
pub const FAULT_INDEX_SHIFT: u32 = 8;

/// ICS.IWC: a wait descriptor with the interrupt flag is complete.
pub const WAIT_COMPLETE: u32 = 1;

/// PRS.PPR: a page request is in the queue.
pub const REQUEST_PENDING: u32 = 1;
/// PRS.PRO: a page request did not fit into the queue.
pub const REQUEST_OVERFLOW: u32 = 1 << 1;

/// IM of FECTL, IECTL, PECTL: the event's interrupt is masked. 1 after reset.
pub const EVENT_MASKED: u32 = 1 << 31;
/// IP of the same: an interrupt waits for the mask to go.
pub const EVENT_PENDING: u32 = 1 << 30;

/// IQERCD.IQEI: why the queue stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueError {
    /// IQT lies outside the queue.
    Tail,
    /// The descriptor lies outside memory.
    Fetch,
    /// Its type is unknown.
    Type,
    /// A reserved field, or a number that the unit does not have.
    Reserved,
    /// The queue's width does not suit the mode: scalable mode needs 256 bits, and is needed for them.
    Width,
    /// IQT lies between two descriptors of 256 bits.
    Alignment,
    /// RTADDR asks for a mode that the unit does not have.
    Mode,
}

impl QueueError {
    /// The value of IQERCD.
    #[must_use]
    pub const fn encode(self) -> u64 {
        match self {
            Self::Tail => 1,
            Self::Fetch => 2,
            Self::Type => 3,
            Self::Reserved => 4,
            Self::Width => 5,
            Self::Alignment => 6,
            Self::Mode => 7,
        }
    }
}

/// The value of IQERCD for a device that did not answer.
#[must_use]
pub const fn time_out(source: SourceId) -> u64 {
    (source.0 as u64) << 32
}
