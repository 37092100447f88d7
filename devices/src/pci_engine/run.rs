//! The engine's thread: one entry of the ring after the other.
//!
//! Invariant: HEAD passes an entry after its completion record is written, and its interrupt leaves after that. A
//! completion record's status is written last, as one word, so that whoever sees it sees the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use mmu::address::{Access, VirtAddr};
use parking_lot::{Condvar, Mutex, MutexGuard};
use pcie::Pasid;

use super::VECTORS;
use super::descriptor::{Code, Descriptor, LEN_BYTES, Place};
use super::execute::Done;
use super::register as r;
use super::state::{Fault, Next, State};
use crate::pci::Endpoint;
use crate::pci::capability::msix::{Table, Vector};
use crate::worker::{Stop, Worker, wait_until};

/// In a completion record's status word: it is there. Above it the code (bits 15:8) and the bytes moved (63:32).
const PRESENT: u64 = 1;

/// What software's side and the thread share.
pub(super) struct Engine {
    endpoint: Arc<Endpoint>,
    state: Mutex<State>,
    /// The thread has put the registers back.
    is_reset: Condvar,
    table: Table,
    /// Page requests so far; their groups' numbers come from it.
    page_requests: AtomicU16,
}

impl Engine {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            state: Mutex::new(State::new()),
            is_reset: Condvar::new(),
            table: Table::new(VECTORS),
            page_requests: AtomicU16::new(0),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// A number for a group of page requests, below 512.
    pub(super) fn next_group(&self) -> u16 {
        self.page_requests.fetch_add(1, Ordering::Relaxed) % 512
    }

    /// The thread.
    pub(super) fn run(&self, stop: &Stop) {
        while !stop.is_requested() {
            let next = self.state().next();
            match next {
                Next::Nothing => thread::park(),
                Next::Reset => {
                    *self.state() = State::new();
                    self.is_reset.notify_all();
                    self.drive_interrupt();
                }
                Next::Halt => self.halt(),
                Next::Execute { pasid, entry, index } => self.serve(pasid, entry, index, stop),
            }
        }
    }

    /// The function was reset. Returns when the thread has left what it was doing and the registers are put back: it looks
    /// for that between two pieces of a descriptor, and while it waits for a page.
    pub(super) fn reset(&self, worker: &Worker<()>) {
        let mut state = self.state();
        state.ask_for_reset();
        let worker = std::slice::from_ref(worker);
        wait_until(worker, |state: &State| !state.is_resetting(), &mut state, &self.is_reset, None);
        drop(state);
        self.table.reset();
    }

    /// Whether to leave the descriptor at hand.
    pub(super) fn gives_up(&self, stop: &Stop) -> bool {
        stop.is_requested() || self.state().is_resetting()
    }

    fn serve(&self, pasid: Option<Pasid>, entry: VirtAddr, index: u16, stop: &Stop) {
        self.state().begin();
        let mut bytes = [0; LEN_BYTES];
        if let Err(fault) = self.read(Place { pasid, address: entry }, &mut bytes, stop) {
            self.state().note(&fault);
            return self.halt();
        }
        let descriptor = Descriptor::decode(&bytes);
        let (code, done) = self.carry_out(&descriptor, entry, stop);
        if self.gives_up(stop) {
            return;
        }
        if let Err(fault) = self.complete(&descriptor, code, done, stop) {
            self.state().note(&fault);
            return self.halt();
        }
        self.state().finish(index, code);
        self.tell(&descriptor, code);
    }

    fn carry_out(&self, descriptor: &Descriptor, entry: VirtAddr, stop: &Stop) -> (Code, Done) {
        let mut done = Done::default();
        let failed = match descriptor.operation {
            Ok(operation) => self.execute(operation, &mut done, stop).err(),
            Err(code) => Some(Fault { code, address: entry, pasid: None, access: Access::Read }),
        };
        let Some(fault) = failed else { return (Code::Done, done) };
        if fault.code != Code::Abandoned {
            log::debug!("{}: {fault:?}", self.endpoint.source());
            self.state().note(&fault);
        }
        (fault.code, done)
    }

    fn complete(&self, descriptor: &Descriptor, code: Code, done: Done, stop: &Stop) -> Result<(), Fault> {
        let Some(place) = descriptor.completion else { return Ok(()) };
        let status = PRESENT | (code as u64) << 8 | u64::from(done.bytes) << 32;
        self.write(place, &done.result.to_le_bytes(), stop)?;
        let behind = Place { address: place.address.offset(8), ..place };
        self.write(behind, &status.to_le_bytes(), stop)
    }

    fn tell(&self, descriptor: &Descriptor, code: Code) {
        if let Some(vector) = descriptor.interrupt {
            self.state().ask(r::INTERRUPT_DONE);
            self.interrupt(Vector(vector));
        } else if code != Code::Done {
            self.interrupt(Vector(0));
        }
    }

    fn halt(&self) {
        log::info!("{}: the DMA engine has halted", self.endpoint.source());
        self.state().halt();
        self.interrupt(Vector(0));
    }

    /// By MSI-X with that vector; else by MSI or the line, if a reason is enabled.
    fn interrupt(&self, vector: Vector) {
        if self.endpoint.uses_msix() {
            self.endpoint.raise_vector(&self.table, vector);
            return;
        }
        // Held throughout, so that the line does not go up after software has taken the reason away.
        let state = self.state();
        if state.interrupts() {
            self.endpoint.raise();
        }
    }

    /// The line follows what software acknowledges and enables.
    pub(super) fn drive_interrupt(&self) {
        let state = self.state();
        if state.interrupts() {
            self.endpoint.hold_line();
        } else {
            self.endpoint.lower();
        }
    }
}
