//! A 16550 at the first serial port.
//!
//! Invariant: every byte of an access of any width goes to the register that the access names; input that the guest has
//! not taken is refused, so that whoever reads it from the user waits. Source: the 16550's registers, as `vm-superio`
//! models them.

use std::io::Write;

use parking_lot::Mutex;
use thiserror::Error;
use vm_superio::serial::NoEvents;
use vm_superio::{Serial as Uart, Trigger};

use crate::interrupt::Line;

/// Its first port.
pub const PORT: u16 = 0x3f8;
/// How many ports it takes.
pub const PORTS: u16 = 8;
/// The input of the I/O APIC that it interrupts by.
pub const PIN: u8 = 4;

/// The port's output.
pub type Output = Box<dyn Write + Send>;

/// The port.
pub struct Serial {
    uart: Mutex<Uart<Edge, NoEvents, Output>>,
}

/// A 16550 interrupts by an edge.
struct Edge(Line);

/// Never.
#[derive(Clone, Copy, Debug, Error)]
#[error("an edge cannot fail")]
pub struct Infallible;

impl Trigger for Edge {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        self.0.pulse();
        Ok(())
    }
}

impl Serial {
    /// A port that writes to `output` and interrupts by `line`.
    #[must_use]
    pub fn new(line: Line, output: Output) -> Self {
        Self { uart: Mutex::new(Uart::new(Edge(line), output)) }
    }

    /// An `in` from the port `offset` ports on.
    pub fn read(&self, offset: u8, bytes: &mut [u8]) {
        let mut uart = self.uart.lock();
        bytes.fill_with(|| uart.read(offset));
    }

    /// An `out` to the port `offset` ports on.
    pub fn write(&self, offset: u8, bytes: &[u8]) {
        let mut uart = self.uart.lock();
        for byte in bytes {
            if let Err(error) = uart.write(offset, *byte) {
                log::debug!("serial port: {byte:#04x} is lost: {error:?}");
            }
        }
    }

    /// Offers input; how much of it the guest's buffer took.
    pub fn offer(&self, input: &[u8]) -> usize {
        let mut uart = self.uart.lock();
        let room = uart.fifo_capacity().min(input.len());
        // Full is the only other way to fail, and there was room.
        uart.enqueue_raw_bytes(&input[..room]).unwrap_or(0)
    }

    /// Whether input would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.uart.lock().fifo_capacity() > 0
    }
}
