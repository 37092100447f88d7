//! One descriptor: its requests, in order.
//!
//! Invariant: the first request that fails ends the descriptor; what was moved before it stays moved. Between two
//! pieces of a long descriptor the engine looks whether it is to give up.

use std::thread;
use std::time::Duration;

use mmu::address::{Access, VirtAddr};
use pcie::{Pasid, RequestOutcome, ResponseCode};

use super::descriptor::{Code, Operation, Place};
use super::run::Engine;
use super::state::Fault;
use crate::pci::endpoint::page_requests::PageGroup;
use crate::upstream::{DmaFault, Remedy};
use crate::worker::Stop;

/// Page requests for one request at most: a page that is granted and goes again and again.
const MOST_PAGE_REQUESTS: u32 = 64;
/// How often the engine looks for an answer to a page request.
const LOOK_FOR_ANSWER: Duration = Duration::from_micros(50);
/// How long it leaves a queue of page requests alone that had no place.
const WAIT_FOR_PLACE: Duration = Duration::from_millis(1);
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

/// What became of a page request that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heard {
    /// Software says that the page is there.
    Granted,
    /// The request had no place, and software never saw it.
    NoPlace,
}

impl Place {
    fn after(self, len_bytes: u32) -> Self {
        Self { address: self.address.offset(len_bytes.into()), ..self }
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
            Operation::Stop { pasid } => self.mark_stop(pasid),
        }
    }

    /// Every earlier descriptor is over, so this one is the last that the process hears of.
    fn mark_stop(&self, pasid: Pasid) -> Result<(), Fault> {
        let fail = |code| Fault { code, address: VirtAddr(0), pasid: Some(pasid), access: Access::Read };
        if !self.endpoint().may_request_pages() {
            return Err(fail(Code::Unsupported));
        }
        self.endpoint().mark_stop(pasid).map_err(|fault| fail(fault.into()))
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

    /// Issues a request, and asks for its pages as often as it takes, if the function may.
    fn request<T>(
        &self,
        place: Place,
        access: Access,
        stop: &Stop,
        mut issue: impl FnMut() -> Result<T, DmaFault>,
    ) -> Result<T, Fault> {
        let mut asked = 0;
        loop {
            let fault = match issue() {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            let address = fault.address().unwrap_or(place.address);
            let fail = |code| Fault { code, address, pasid: place.pasid, access };
            if !may_come(&fault) || !self.endpoint().may_request_pages() {
                return Err(fail(fault.into()));
            }
            if asked == MOST_PAGE_REQUESTS {
                return Err(fail(Code::PageMissing));
            }
            match self.ask_for_page(Place { address, ..place }, access, stop).map_err(fail)? {
                Heard::Granted => asked += 1,
                Heard::NoPlace if self.gives_up(stop) => return Err(fail(Code::Abandoned)),
                Heard::NoPlace => thread::sleep(WAIT_FOR_PLACE),
            }
        }
    }

    /// Asks for a page and waits for the answer.
    fn ask_for_page(&self, place: Place, access: Access, stop: &Stop) -> Result<Heard, Code> {
        let group = self.next_group();
        let asked = self.endpoint().request_page(place.pasid, place.address, access, group);
        match asked.map_err(|_| Code::PageRefused)? {
            RequestOutcome::Accepted => {}
            RequestOutcome::Refused(ResponseCode::Success) => {
                // The same once more, as an answer.
                let _answer = self.endpoint().next_response();
                return Ok(Heard::NoPlace);
            }
            RequestOutcome::Refused(_) => return Err(Code::PageRefused),
        }
        let asked = PageGroup { pasid: place.pasid, group };
        while self.endpoint().awaits(asked) && !self.gives_up(stop) {
            match self.endpoint().next_response() {
                Some(response) if response.group == group && response.pasid == place.pasid => {
                    return self.heed(response.code);
                }
                // An answer to what was abandoned.
                Some(_) => {}
                None => thread::sleep(LOOK_FOR_ANSWER),
            }
        }
        if self.gives_up(stop) {
            self.endpoint().give_up_page_requests();
            return Err(Code::Abandoned);
        }
        Err(Code::PageRefused)
    }

    fn heed(&self, answer: ResponseCode) -> Result<Heard, Code> {
        match answer {
            ResponseCode::Success => return Ok(Heard::Granted),
            ResponseCode::Invalid => {}
            ResponseCode::Failure => self.endpoint().note_page_request_failure(),
        }
        Err(Code::PageRefused)
    }
}

/// Whether the page may be there when it has been asked for. A translation that is refused for good is no missing page.
fn may_come(fault: &DmaFault) -> bool {
    match fault {
        DmaFault::Blocked { remedy, .. } => *remedy == Remedy::PageRequest,
        DmaFault::NotBusMaster | DmaFault::PasidDisabled(_) | DmaFault::Unsupported { .. } => false,
    }
}

fn abandoned() -> Fault {
    Fault { code: Code::Abandoned, address: VirtAddr(0), pasid: None, access: Access::Read }
}

/// Of the bytes as 64-bit words, the last one filled up with zeroes.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0, |sum, chunk| sum.wrapping_add(crate::bus::value_of(chunk)))
}
