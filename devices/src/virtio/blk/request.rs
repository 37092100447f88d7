//! Requests to a disk, as a driver lays them out.
//!
//! Invariant: a request has a header and a byte for its status, wherever its buffers begin and end; one without is none.
//! Source: VIRTIO 1.2, 5.2.6.

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
    VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};

use crate::virtio::broken::Broken;
use crate::virtio::chain::{Buffers, Chain};
use crate::virtio::service::Queues;

const HEADER_BYTES: usize = 16;
/// Bytes of a segment to discard or to zero.
pub(super) const SEGMENT_BYTES: u32 = 16;
/// In a segment's flags: zeroes may be a hole.
const UNMAP: u32 = 1;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Read,
    Write,
    Flush,
    /// What the disk calls itself.
    Identify,
    Discard,
    WriteZeroes,
    /// Something that was not offered.
    Unknown,
}

/// What a driver is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Status {
    Done = low(VIRTIO_BLK_S_OK),
    Failed = low(VIRTIO_BLK_S_IOERR),
    Unsupported = low(VIRTIO_BLK_S_UNSUPP),
}

const fn low(word: u32) -> u8 {
    word.to_le_bytes()[0]
}

/// The beginning of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) operation: Operation,
    pub(super) sector: u64,
}

impl Header {
    /// Takes header and room for the status from the chain; the data is what is left of it.
    pub(super) fn read(chain: &mut Chain, queues: &Queues<'_>) -> Result<(Self, Buffers), Broken> {
        let mut bytes = [0; HEADER_BYTES];
        chain.readable.read(queues.view(), &mut bytes)?;
        let answer = chain.writable.split_last().ok_or(Broken::NoRequest("has no room for its status"))?;
        let [a, b, c, d, _, _, _, _, sector @ ..] = bytes;
        let operation = match u32::from_le_bytes([a, b, c, d]) {
            VIRTIO_BLK_T_IN => Operation::Read,
            VIRTIO_BLK_T_OUT => Operation::Write,
            VIRTIO_BLK_T_FLUSH => Operation::Flush,
            VIRTIO_BLK_T_GET_ID => Operation::Identify,
            VIRTIO_BLK_T_DISCARD => Operation::Discard,
            VIRTIO_BLK_T_WRITE_ZEROES => Operation::WriteZeroes,
            _ => Operation::Unknown,
        };
        Ok((Self { operation, sector: u64::from_le_bytes(sector) }, answer))
    }
}

/// A run of sectors to discard or to zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) sector: u64,
    pub(super) sectors: u32,
    flags: u32,
}

impl Segment {
    /// The next one of the chain.
    pub(super) fn read(chain: &mut Chain, queues: &Queues<'_>) -> Result<Self, Broken> {
        let mut bytes = [0; SEGMENT_BYTES as usize];
        chain.readable.read(queues.view(), &mut bytes)?;
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, flags @ ..] = bytes;
        Ok(Self {
            sector: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            sectors: u32::from_le_bytes([n0, n1, n2, n3]),
            flags: u32::from_le_bytes(flags),
        })
    }

    /// Whether it is one that may be asked for.
    pub(super) fn check(&self, operation: Operation, most: u32) -> Result<(), Status> {
        let known = if operation == Operation::WriteZeroes { UNMAP } else { 0 };
        if self.flags & !known != 0 {
            return Err(Status::Unsupported);
        }
        if self.sectors <= most { Ok(()) } else { Err(Status::Failed) }
    }

    /// Whether a hole will do.
    pub(super) const fn unmaps(&self) -> bool {
        self.flags & UNMAP != 0
    }
}
