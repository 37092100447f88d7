//! Ports of a PC's chipset, which are on no bus.
//!
//! Invariant: any access of any width is harmless: each byte of it, or none, goes to the register that its port names.

use std::sync::Arc;

use devices::port92::{self, Port92, Request};
use devices::pvpanic;

use super::ending::{End, Ending};

/// The devices behind the ports.
pub(super) struct Chipset {
    port92: Port92,
    end: Arc<End>,
}

impl Chipset {
    /// All in the state that firmware would leave them in.
    pub(super) fn new(end: Arc<End>) -> Self {
        Self { port92: Port92::default(), end }
    }

    /// Answers an `in`; none if the port is not of the chipset.
    pub(super) fn read(&self, port: u16, bytes: &mut [u8]) -> Option<()> {
        match port {
            port92::PORT => bytes.fill_with(|| self.port92.read()),
            pvpanic::PORT => bytes.fill(pvpanic::SUPPORTED),
            _ => return None,
        }
        Some(())
    }

    /// Takes an `out`; none if the port is not of the chipset.
    pub(super) fn write(&self, port: u16, bytes: &[u8]) -> Option<()> {
        match port {
            port92::PORT => bytes.iter().for_each(|byte| self.write_port92(*byte)),
            pvpanic::PORT => bytes.iter().for_each(|byte| self.write_pvpanic(*byte)),
            _ => return None,
        }
        Some(())
    }

    fn write_port92(&self, value: u8) {
        match self.port92.write(value) {
            Request::Nothing => {}
            Request::Reset => self.end.finish(Ending::Reset),
        }
    }

    fn write_pvpanic(&self, value: u8) {
        match pvpanic::event(value) {
            Some(pvpanic::Event::Panicked) => self.end.finish(Ending::Panicked),
            Some(pvpanic::Event::CrashLoaded) => log::warn!("the guest panicked; its crash kernel goes on"),
            None => {}
        }
    }
}
