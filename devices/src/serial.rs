//! A 16550 at the first serial port.
//!
//! Invariant: every byte of an access of any width goes to the register that the access names; input that the guest has
//! not taken is refused, so that whoever reads it from the user waits. No processor waits for whoever reads the output:
//! while there is no room, the transmitter says that it is busy, and what is sent in spite of that is lost. Source: the
//! 16550's registers, as `vm-superio` models them, but for a busy transmitter and a carrier that is gone.

use std::io::{self, Sink, Write};

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

/// Offsets of registers.
const INTERRUPT_ENABLE: u8 = 1;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;
const MODEM_STATUS: u8 = 6;
/// Line control: the first two registers are the divisor's.
const DIVISOR_LATCH: u8 = 1 << 7;
/// Modem control: the port hears itself, and its modem status says what it asserts.
const LOOPBACK: u8 = 1 << 4;
/// Line status: the holding register is empty, and the shift register, too.
const TRANSMITTER_EMPTY: u8 = 1 << 5 | 1 << 6;
/// Modem status: the carrier is detected.
const CARRIER: u8 = 1 << 7;

/// Where the port's output goes.
pub trait Transmit: Send {
    /// Takes bytes in their order, and does not wait for whoever reads them.
    fn send(&mut self, bytes: &[u8]);
    /// How many bytes more are not lost.
    fn room_bytes(&self) -> usize;
}

/// The port's output.
pub type Output = Box<dyn Transmit>;

/// The port.
pub struct Serial {
    port: Mutex<Port>,
}

struct Port {
    uart: Uart<Edge, NoEvents, Sender>,
    /// The guest was told that the transmitter is busy, and waits perhaps.
    was_busy: bool,
    /// Nobody will ever offer input again.
    is_hung_up: bool,
    /// Bytes of input that the port keeps at most.
    fifo_bytes: usize,
}

/// What the model of the port writes to.
struct Sender(Output);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transmit for Sink {
    fn send(&mut self, _: &[u8]) {}

    fn room_bytes(&self) -> usize {
        usize::MAX
    }
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
        let uart = Uart::new(Edge(line), Sender(output));
        let fifo_bytes = uart.fifo_capacity();
        Self { port: Mutex::new(Port { uart, was_busy: false, is_hung_up: false, fifo_bytes }) }
    }

    /// An `in` from the port `offset` ports on.
    pub fn read(&self, offset: u8, bytes: &mut [u8]) {
        let mut port = self.port.lock();
        bytes.fill_with(|| port.read(offset));
    }

    /// An `out` to the port `offset` ports on.
    pub fn write(&self, offset: u8, bytes: &[u8]) {
        let mut port = self.port.lock();
        bytes.iter().for_each(|byte| port.write(offset, *byte));
    }

    /// Bytes one after the other for the first register; how many of them it took. Half of the room is left, so that what
    /// is sent byte by byte behind them is lost no sooner than without them.
    pub fn write_string(&self, bytes: &[u8]) -> usize {
        let mut port = self.port.lock();
        let taken = bytes.len().min(port.uart.writer().0.room_bytes() / 2);
        port.write_string(&bytes[..taken]);
        taken
    }

    /// Offers input; how much of it the guest's buffer took.
    pub fn offer(&self, input: &[u8]) -> usize {
        let uart = &mut self.port.lock().uart;
        let room = uart.fifo_capacity().min(input.len());
        if let Err(error) = uart.enqueue_raw_bytes(&input[..room]) {
            // Full is the only way to fail, and there was room.
            log::debug!("serial port: input is offered again: {error:?}");
            return 0;
        }
        room
    }

    /// Input is over: the carrier goes when the guest has taken what there is.
    pub fn hang_up(&self) {
        self.port.lock().is_hung_up = true;
    }

    /// To be called again and again: a guest that was told of a busy transmitter is interrupted when there is room.
    pub fn look(&self) {
        self.port.lock().look();
    }
}

impl Port {
    fn has_room(&self) -> bool {
        self.uart.writer().0.room_bytes() > 0
    }

    fn read(&mut self, offset: u8) -> u8 {
        let value = self.uart.read(offset);
        match offset {
            LINE_STATUS if !self.has_room() => {
                self.was_busy = true;
                value & !TRANSMITTER_EMPTY
            }
            MODEM_STATUS if !self.has_carrier() => value & !CARRIER,
            _ => value,
        }
    }

    /// In loopback nobody is at the other end: drivers look for their own signals there to see whether there is a port.
    fn has_carrier(&mut self) -> bool {
        let has_input = self.uart.fifo_capacity() < self.fifo_bytes;
        !self.is_hung_up || has_input || self.uart.read(MODEM_CONTROL) & LOOPBACK != 0
    }

    fn write(&mut self, offset: u8, value: u8) {
        if let Err(error) = self.uart.write(offset, value) {
            log::debug!("serial port: {value:#04x} is lost: {error:?}");
        }
    }

    /// For the first register. The guest runs behind the last of them, and sees that one's interrupt only.
    fn write_string(&mut self, bytes: &[u8]) {
        let is_sent = self.uart.read(LINE_CONTROL) & DIVISOR_LATCH == 0
            && self.uart.read(MODEM_CONTROL) & LOOPBACK == 0;
        match bytes.split_last() {
            Some((last, others)) if is_sent => {
                self.uart.writer_mut().0.send(others);
                self.write(0, *last);
            }
            _ => bytes.iter().for_each(|byte| self.write(0, *byte)),
        }
    }

    fn look(&mut self) {
        let is_divisor = self.uart.read(LINE_CONTROL) & DIVISOR_LATCH != 0;
        if self.was_busy && !is_divisor && self.has_room() {
            self.was_busy = false;
            // An interrupt that is enabled while its reason is there is raised.
            let enabled = self.uart.read(INTERRUPT_ENABLE);
            self.write(INTERRUPT_ENABLE, enabled);
        }
    }
}

#[cfg(test)]
mod tests;
