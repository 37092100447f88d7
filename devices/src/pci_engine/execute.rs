//! One descriptor: its requests, in order.
//!
//! Invariant: the first request that fails ends the descriptor; what was moved before it stays moved. Between two
//! pieces of a long descriptor the engine looks whether it is to give up.

use mmu::address::Access;

use super::descriptor::{Code, Operation, Place};
use super::run::Engine;
use super::state::Fault;
use crate::upstream::{Address, DmaFault};
use crate::worker::Stop;

/// Bytes moved at a time.
const PIECE_BYTES: usize = 4096;

/// What a descriptor has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Done {
    /// What its operation yields.
    pub(super) result: u64,
    /// Bytes moved.
    pub(super) bytes: u32,
}

impl Place {
    fn after(self, len_bytes: u32) -> Self {
        Self { address: Address(self.address.0.wrapping_add(len_bytes.into())), ..self }
    }
}

impl Engine {
    /// Executes `operation`; `done` says how far it came, also if it fails.
    pub(super) fn execute(&self, operation: Operation, done: &mut Done, stop: &Stop) -> Result<(), Fault> {
        match operation {
            Operation::Nothing => Ok(()),
            Operation::Read { source, len_bytes } => {
                self.each_piece(len_bytes, done, stop, |piece, at, done| {
                    self.read(source.after(at), piece, stop)?;
                    done.result = sum(piece).wrapping_add(done.result);
                    Ok(())
                })
            }
            Operation::Write { destination, len_bytes, word } => {
                self.each_piece(len_bytes, done, stop, |piece, at, _| {
                    piece
                        .iter_mut()
                        .zip(word.to_le_bytes().into_iter().cycle())
                        .for_each(|(to, from)| *to = from);
                    self.write(destination.after(at), piece, stop)
                })
            }
            Operation::Copy { source, destination, len_bytes } => {
                self.each_piece(len_bytes, done, stop, |piece, at, _| {
                    self.read(source.after(at), piece, stop)?;
                    self.write(destination.after(at), piece, stop)
                })
            }
            Operation::Atomic { destination, operation } => {
                done.result = self.request(destination, Access::Write, stop, || {
                    self.endpoint().atomic(destination.pasid, destination.address, operation)
                })?;
                done.bytes = 8;
                Ok(())
            }
        }
    }

    /// Calls `step` with each piece and its offset, until one fails.
    fn each_piece(
        &self,
        len_bytes: u32,
        done: &mut Done,
        stop: &Stop,
        mut step: impl FnMut(&mut [u8], u32, &mut Done) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut buffer = [0; PIECE_BYTES];
        while done.bytes < len_bytes {
            if self.gives_up(stop) {
                return Err(abandoned());
            }
            let left = usize::try_from(len_bytes - done.bytes).unwrap_or(PIECE_BYTES);
            let piece = &mut buffer[..left.min(PIECE_BYTES)];
            step(piece, done.bytes, done)?;
            // At most 4096.
            done.bytes += u32::try_from(piece.len()).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) fn read(&self, from: Place, bytes: &mut [u8], stop: &Stop) -> Result<(), Fault> {
        self.request(from, Access::Read, stop, || self.endpoint().read(from.pasid, from.address, bytes))
    }

    pub(super) fn write(&self, to: Place, bytes: &[u8], stop: &Stop) -> Result<(), Fault> {
        self.request(to, Access::Write, stop, || self.endpoint().write(to.pasid, to.address, bytes))
    }

    fn request<T>(
        &self,
        place: Place,
        access: Access,
        _stop: &Stop,
        mut issue: impl FnMut() -> Result<T, DmaFault>,
    ) -> Result<T, Fault> {
        issue().map_err(|fault| Fault {
            code: fault.into(),
            address: fault.address().unwrap_or(place.address),
            pasid: place.pasid,
            access,
        })
    }
}

fn abandoned() -> Fault {
    Fault { code: Code::Abandoned, address: Address(0), pasid: None, access: Access::Read }
}

/// Of the bytes as 64-bit words, the last one filled up with zeroes.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0, |sum, chunk| sum.wrapping_add(crate::bus::value_of(chunk)))
}
