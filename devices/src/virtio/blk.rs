//! A disk: sectors of a file of the host.
//!
//! Invariant: each queue has one request at work at a time, through a buffer of `PIECE_BYTES`, whatever its length; so a
//! device takes no more memory than that for each. What was acknowledged on any queue before a flush began is on the
//! host's disk when the flush is acknowledged. Source: VIRTIO 1.2, 5.2.

pub mod disk;

mod request;

use std::sync::Arc;

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO,
    VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;

use super::broken::Broken;
use super::chain::Chain;
use super::identity::Identity;
use super::model::{Model, Models};
use super::service::Queues;
use disk::{Access, Disk, SECTOR_BYTES};
use request::{Header, Operation, SEGMENT_BYTES, Segment, Status};

const QUEUE_ENTRIES: u16 = 256;
/// A driver uses one for each of its processors, as far as they go.
const QUEUES: u16 = 4;
/// The most that is read or written at once.
const PIECE_BYTES: usize = 64 << 10;
/// Segments of one request to discard or to zero.
const MOST_SEGMENTS: u32 = 32;
/// Sectors of each; what a file system cannot make a hole of is written.
const MOST_DISCARDED: u32 = 1 << 22;
const MOST_ZEROED: u32 = 1 << 16;
/// Bytes of a disk's name for itself.
const SERIAL_BYTES: usize = disk::SERIAL_BYTES;

/// The device, on one of its queues.
#[derive(Debug)]
pub struct Blk {
    disk: Arc<Disk>,
    queue: usize,
    piece: Box<[u8]>,
    writes: Writes,
}

/// When a write is to last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writes {
    /// When it is acknowledged: the driver never flushes.
    Through,
    /// When it is flushed.
    Back,
}

/// Why a request is not done.
enum Stop {
    Broken(Broken),
    /// The driver is told.
    Failed(Status),
    /// Nobody waits for it any more.
    GivenUp,
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

impl Blk {
    /// What it is, over `disk`.
    #[must_use]
    pub fn identity(disk: &Disk) -> Identity {
        let read_only = if disk.access() == Access::ReadOnly { 1 << VIRTIO_BLK_F_RO } else { 0 };
        Identity {
            name: "virtio-blk",
            device: super::device(VIRTIO_ID_BLOCK),
            class: [1, 0, 0],
            features: read_only
                | 1 << VIRTIO_BLK_F_SEG_MAX
                | 1 << VIRTIO_BLK_F_BLK_SIZE
                | 1 << VIRTIO_BLK_F_FLUSH
                | 1 << VIRTIO_BLK_F_MQ
                | 1 << VIRTIO_BLK_F_DISCARD
                | 1 << VIRTIO_BLK_F_WRITE_ZEROES,
            queues: vec![QUEUE_ENTRIES; QUEUES.into()],
            config: configuration(disk),
        }
    }

    /// The device over `disk`: a thread for each queue, so that a request that the host keeps waiting does not hold up what
    /// is asked on another.
    #[must_use]
    pub fn models(disk: Arc<Disk>) -> Models {
        Models::ForEach(Box::new(move |queue| Box::new(Self::new(Arc::clone(&disk), queue))))
    }

    fn new(disk: Arc<Disk>, queue: usize) -> Self {
        Self { disk, queue, piece: vec![0; PIECE_BYTES].into_boxed_slice(), writes: Writes::Through }
    }

    fn execute(&mut self, header: Header, chain: &mut Chain, queues: &Queues<'_>) -> Result<(), Stop> {
        if has_data_the_wrong_way(header.operation, chain) {
            return Err(Status::Failed.into());
        }
        match header.operation {
            Operation::Read => self.read(header.sector, chain, queues),
            Operation::Write => self.write(header.sector, chain, queues),
            Operation::Flush => Ok(self.disk.flush()?),
            Operation::Identify => {
                let serial = self.disk.serial();
                let room = usize::try_from(chain.writable.left())
                    .map_or(SERIAL_BYTES, |left| left.min(SERIAL_BYTES));
                Ok(chain.writable.write(queues.view(), &serial[..room])?)
            }
            Operation::Discard | Operation::WriteZeroes => self.change(header.operation, chain, queues),
            Operation::Unknown => Err(Status::Unsupported.into()),
        }
    }

    fn read(&mut self, sector: u64, chain: &mut Chain, queues: &Queues<'_>) -> Result<(), Stop> {
        let mut at = self.disk.place(sector, chain.writable.left())?;
        while chain.writable.left() > 0 {
            let piece = piece(&mut self.piece, chain.writable.left());
            self.disk.read(at, piece)?;
            chain.writable.write(queues.view(), piece)?;
            at += piece.len() as u64;
            look(queues)?;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, chain: &mut Chain, queues: &Queues<'_>) -> Result<(), Stop> {
        let mut at = self.disk.place(sector, chain.readable.left())?;
        while chain.readable.left() > 0 {
            let piece = piece(&mut self.piece, chain.readable.left());
            chain.readable.read(queues.view(), piece)?;
            self.disk.write(at, piece)?;
            at += piece.len() as u64;
            look(queues)?;
        }
        self.settle()
    }

    /// Discards, or writes zeroes.
    fn change(&mut self, operation: Operation, chain: &mut Chain, queues: &Queues<'_>) -> Result<(), Stop> {
        let left = chain.readable.left();
        if left == 0 || !left.is_multiple_of(SEGMENT_BYTES) || left / SEGMENT_BYTES > MOST_SEGMENTS {
            return Err(Status::Failed.into());
        }
        while chain.readable.left() > 0 {
            let segment = Segment::read(chain, queues)?;
            let most = if operation == Operation::Discard { MOST_DISCARDED } else { MOST_ZEROED };
            segment.check(operation, most)?;
            let range = self.disk.range(segment.sector, segment.sectors)?;
            if operation == Operation::Discard {
                self.disk.discard(range)?;
            } else if !self.disk.zero(&range, segment.unmaps())? {
                self.write_zeroes(range.start, range.end, queues)?;
            }
        }
        self.settle()
    }

    fn write_zeroes(&mut self, start: u64, end: u64, queues: &Queues<'_>) -> Result<(), Stop> {
        self.piece.fill(0);
        let mut at = start;
        while at < end {
            let left = usize::try_from(end - at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            self.disk.write(at, &self.piece[..left])?;
            at += left as u64;
            look(queues)?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Stop> {
        match self.writes {
            Writes::Through => Ok(self.disk.flush()?),
            Writes::Back => Ok(()),
        }
    }
}

impl Model for Blk {
    fn start(&mut self, features: u64) {
        let flushes = features >> VIRTIO_BLK_F_FLUSH & 1 != 0;
        self.writes = if flushes { Writes::Back } else { Writes::Through };
    }

    fn serve(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        while let Some(mut chain) = queues.take(self.queue)? {
            let (header, mut answer) = Header::read(&mut chain, queues)?;
            let status = match self.execute(header, &mut chain, queues) {
                Ok(()) => Status::Done,
                Err(Stop::Failed(status)) => status,
                Err(Stop::GivenUp) => return Ok(()),
                Err(Stop::Broken(broken)) => return Err(broken),
            };
            answer.write(queues.view(), &[status as u8])?;
            // Bytes from the first one that may be written on: the status is one of them if all before it were.
            let done = chain.writable.done();
            queues.give_back(self.queue, &chain, if chain.writable.left() == 0 { done + 1 } else { done })?;
        }
        Ok(())
    }
}

/// Whether there is data that the request's operation cannot use, as a buffer to be written in a write: nothing of it
/// is done, and its driver is not to believe that it was. The specification says nothing of it.
fn has_data_the_wrong_way(operation: Operation, chain: &Chain) -> bool {
    match operation {
        Operation::Read | Operation::Identify => chain.readable.left() > 0,
        Operation::Write | Operation::Discard | Operation::WriteZeroes => chain.writable.left() > 0,
        Operation::Flush | Operation::Unknown => false,
    }
}

fn look(queues: &Queues<'_>) -> Result<(), Stop> {
    if queues.gives_up() { Err(Stop::GivenUp) } else { Ok(()) }
}

/// The part of the buffer for what is left.
fn piece(whole: &mut [u8], left: u32) -> &mut [u8] {
    let len = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
    &mut whole[..len]
}

/// The configuration as a driver reads it (VIRTIO 1.2, 5.2.4).
fn configuration(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; 60];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &disk.sectors().to_le_bytes());
    // Buffers of a request, besides its header and its status.
    put(12, &u32::from(QUEUE_ENTRIES - 2).to_le_bytes());
    put(20, &SECTOR_BYTES.to_le_bytes()[..4]);
    put(34, &QUEUES.to_le_bytes());
    for (at, word) in
        [(36, MOST_DISCARDED), (40, MOST_SEGMENTS), (44, 1), (48, MOST_ZEROED), (52, MOST_SEGMENTS)]
    {
        put(at, &word.to_le_bytes());
    }
    // A hole is as good as zeroes.
    put(56, &[1]);
    bytes
}

#[cfg(test)]
mod tests;
