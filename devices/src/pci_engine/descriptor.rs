//! A descriptor: 64 bytes that say what to do.
//!
//! Invariant: `Descriptor::decode` takes any 64 bytes; what it does not understand is a [`Code`]. Layout:
//! `docs/dma-engine.md`.

use mmu::address::VirtAddr;
use pcie::Pasid;

use super::register::MOST_BYTES_LOG2;
use crate::upstream::{Atomic, DmaFault};

/// Bytes of a descriptor.
pub const LEN_BYTES: usize = 64;
/// Most bytes that one moves.
pub const MOST_BYTES: u32 = 1 << MOST_BYTES_LOG2;

/// Flags.
mod flag {
    /// The source is an address of the process that PASID names.
    pub(super) const SOURCE_PASID: u8 = 1 << 0;
    /// The same of the destination.
    pub(super) const DESTINATION_PASID: u8 = 1 << 1;
    /// The same of the completion record.
    pub(super) const COMPLETION_PASID: u8 = 1 << 2;
    /// Writes a completion record.
    pub(super) const COMPLETION: u8 = 1 << 3;
    /// Interrupts at the end.
    pub(super) const INTERRUPT: u8 = 1 << 4;
    pub(super) const ALL: u8 = 0b1_1111;
}

/// How a descriptor ended, in completion records and in the fault register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// As it should.
    Done = 0,
    /// An unknown operation, an unknown flag, or a reserved field that is not 0.
    BadDescriptor = 1,
    /// More bytes than a descriptor may move.
    BadLength = 2,
    /// A word that is not aligned to 8 bytes.
    Misaligned = 3,
    /// The remapping unit blocked it.
    Blocked = 4,
    /// Nothing is there that takes it.
    Unsupported = 5,
    /// Bus mastering is off.
    NotBusMaster = 6,
    /// It names a process, but the PASID capability is not enabled.
    PasidDisabled = 7,
    /// A page was asked for and refused.
    PageRefused = 8,
    /// A page was asked for and granted again and again, and is still not there.
    PageMissing = 9,
    /// The engine was reset or stopped meanwhile.
    Abandoned = 10,
}

impl From<DmaFault> for Code {
    fn from(fault: DmaFault) -> Self {
        match fault {
            DmaFault::NotBusMaster => Self::NotBusMaster,
            DmaFault::PasidDisabled(_) => Self::PasidDisabled,
            DmaFault::Unsupported { .. } => Self::Unsupported,
            DmaFault::Blocked { .. } => Self::Blocked,
        }
    }
}

/// A place in memory, in whose name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) pasid: Option<Pasid>,
    pub(super) address: VirtAddr,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// Nothing.
    Nothing,
    /// Reads bytes; the result is the sum of them as 64-bit words, the last one filled up with zeroes.
    Read { source: Place, len_bytes: u32 },
    /// Writes a 64-bit word again and again.
    Write { destination: Place, len_bytes: u32, word: u64 },
    /// Copies bytes, ascending.
    Copy { source: Place, destination: Place, len_bytes: u32 },
    /// One atomic operation; the result is what stood there before.
    Atomic { destination: Place, operation: Atomic },
    /// Says that the engine has stopped using a process.
    Stop { pasid: Pasid },
}

/// A descriptor that was understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Descriptor {
    pub(super) operation: Result<Operation, Code>,
    pub(super) completion: Option<Place>,
    /// The vector to interrupt with.
    pub(super) interrupt: Option<u16>,
}

/// The fields, as they lie there.
struct Fields {
    operation: u8,
    flags: u8,
    vector: u16,
    /// None if it names no process of any unit.
    pasid: Option<Pasid>,
    source: u64,
    destination: u64,
    len_bytes: u32,
    reserved: u32,
    operand: u64,
    compare: u64,
    completion: u64,
    reserved_2: u64,
}

impl Fields {
    fn of(bytes: &[u8; LEN_BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self {
            operation: bytes[0],
            flags: bytes[1],
            vector: u16::from_le_bytes([bytes[2], bytes[3]]),
            pasid: Pasid::new(half(0x04)).ok(),
            source: word(0x08),
            destination: word(0x10),
            len_bytes: half(0x18),
            reserved: half(0x1c),
            operand: word(0x20),
            compare: word(0x28),
            completion: word(0x30),
            reserved_2: word(0x38),
        }
    }

    fn place(&self, address: u64, flag: u8) -> Place {
        let pasid = self.pasid.filter(|_| self.flags & flag != 0);
        Place { pasid, address: VirtAddr(address) }
    }

    fn is_sound(&self) -> bool {
        self.flags & !flag::ALL == 0 && self.reserved == 0 && self.reserved_2 == 0 && self.pasid.is_some()
    }

    fn operation(&self) -> Result<Operation, Code> {
        let source = self.place(self.source, flag::SOURCE_PASID);
        let destination = self.place(self.destination, flag::DESTINATION_PASID);
        let len_bytes = self.len_bytes;
        let (word, compare) = (self.operand, self.compare);
        let atomic = |operation| Operation::Atomic { destination, operation };
        let operation = match self.operation {
            0 => Operation::Nothing,
            1 => Operation::Read { source, len_bytes },
            2 => Operation::Write { destination, len_bytes, word },
            3 => Operation::Copy { source, destination, len_bytes },
            4 => atomic(Atomic::FetchAdd(word)),
            5 => atomic(Atomic::Swap(word)),
            6 => atomic(Atomic::CompareAndSwap { compare, swap: word }),
            7 => Operation::Stop { pasid: self.pasid.ok_or(Code::BadDescriptor)? },
            _ => return Err(Code::BadDescriptor),
        };
        match operation {
            _ if !self.is_sound() => Err(Code::BadDescriptor),
            Operation::Atomic { .. } if !self.destination.is_multiple_of(8) => Err(Code::Misaligned),
            Operation::Read { .. } | Operation::Write { .. } | Operation::Copy { .. }
                if len_bytes > MOST_BYTES =>
            {
                Err(Code::BadLength)
            }
            operation => Ok(operation),
        }
    }
}

impl Descriptor {
    pub(super) fn decode(bytes: &[u8; LEN_BYTES]) -> Self {
        let fields = Fields::of(bytes);
        let has = |flag| fields.flags & flag != 0;
        Self {
            operation: fields.operation(),
            completion: has(flag::COMPLETION)
                .then(|| fields.place(fields.completion, flag::COMPLETION_PASID)),
            interrupt: has(flag::INTERRUPT).then_some(fields.vector),
        }
    }
}
