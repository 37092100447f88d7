//! The port with an output that is full now and then, and with input that ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{CARRIER, DIVISOR_LATCH, INTERRUPT_ENABLE, LINE_CONTROL, LINE_STATUS, LOOPBACK, MODEM_CONTROL};
use super::{MODEM_STATUS, Serial, TRANSMITTER_EMPTY, Transmit};
use crate::interrupt::{Level, Pin, Pins, Wire};

const TRANSMITTER_INTERRUPT: u8 = 1 << 1;
/// The FIFO control register, or which interrupt it is when it is read.
const INTERRUPT_IDENTIFICATION: u8 = 2;

/// A paper with room for some bytes more.
#[derive(Clone, Default)]
struct Paper {
    sent: Arc<Mutex<Vec<u8>>>,
    room: Arc<AtomicUsize>,
}

impl Transmit for Paper {
    fn send(&mut self, bytes: &[u8]) {
        let room = self.room.load(Ordering::Relaxed).min(bytes.len());
        self.sent.lock().extend_from_slice(&bytes[..room]);
        self.room.fetch_sub(room, Ordering::Relaxed);
    }

    fn room_bytes(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }
}

/// How often the line went up.
#[derive(Default)]
struct Edges(AtomicUsize);

impl Pins for Edges {
    fn set(&self, _: Pin, level: Level) {
        self.0.fetch_add(usize::from(level == Level::High), Ordering::Relaxed);
    }
}

fn port(room: usize) -> (Serial, Paper, Arc<Edges>) {
    let (paper, edges) = (Paper::default(), Arc::new(Edges::default()));
    paper.room.store(room, Ordering::Relaxed);
    let line = Wire::new(edges.clone(), Pin(4)).line();
    (Serial::new(line, Box::new(paper.clone())), paper, edges)
}

fn read(port: &Serial, offset: u8) -> u8 {
    let mut byte = [0];
    port.read(offset, &mut byte);
    byte[0]
}

#[test]
fn the_transmitter_is_busy_while_there_is_no_room_and_what_is_sent_then_is_lost() {
    let (port, paper, _) = port(2);
    assert_eq!(read(&port, LINE_STATUS) & TRANSMITTER_EMPTY, TRANSMITTER_EMPTY);
    port.write(0, b"abc");
    assert_eq!(read(&port, LINE_STATUS) & TRANSMITTER_EMPTY, 0);
    paper.room.store(1, Ordering::Relaxed);
    assert_eq!(read(&port, LINE_STATUS) & TRANSMITTER_EMPTY, TRANSMITTER_EMPTY);
    port.write(0, b"d");
    assert_eq!(*paper.sent.lock(), b"abd");
}

#[test]
fn whoever_was_told_of_a_busy_transmitter_is_interrupted_when_there_is_room() {
    let (port, paper, edges) = port(1);
    port.write(INTERRUPT_ENABLE, &[TRANSMITTER_INTERRUPT]);
    port.write(0, b"a");
    let interrupted = || edges.0.load(Ordering::Relaxed);
    read(&port, INTERRUPT_IDENTIFICATION);
    let before = interrupted();
    port.look();
    assert_eq!(interrupted(), before, "nobody was told anything");
    read(&port, LINE_STATUS);
    port.look();
    assert_eq!(interrupted(), before, "there is no room yet");
    paper.room.store(1, Ordering::Relaxed);
    port.write(LINE_CONTROL, &[DIVISOR_LATCH]);
    port.look();
    assert_eq!((interrupted(), read(&port, INTERRUPT_ENABLE)), (before, 0), "the divisor stays as it is");
    port.write(LINE_CONTROL, &[0]);
    port.look();
    port.look();
    assert_eq!(interrupted(), before + 1);
}

#[test]
fn a_string_leaves_half_of_the_room() {
    let (port, paper, edges) = port(9);
    port.write(INTERRUPT_ENABLE, &[TRANSMITTER_INTERRUPT]);
    read(&port, INTERRUPT_IDENTIFICATION);
    let before = edges.0.load(Ordering::Relaxed);
    assert_eq!(port.write_string(b"abcdefghij"), 4);
    assert_eq!(edges.0.load(Ordering::Relaxed), before + 1, "the transmitter is empty again");
    assert_eq!(port.write_string(b"efg"), 2);
    assert_eq!((port.write_string(b""), &**paper.sent.lock()), (0, &b"abcdef"[..]));
    paper.room.store(1, Ordering::Relaxed);
    assert_eq!(port.write_string(b"g"), 0, "it is sent as a byte");
}

#[test]
fn a_string_is_sent_only_where_its_bytes_are() {
    let (port, paper, _) = port(100);
    port.write(LINE_CONTROL, &[DIVISOR_LATCH]);
    assert_eq!(port.write_string(b"abc"), 3);
    assert_eq!((read(&port, 0), paper.sent.lock().len()), (b'c', 0), "it is the divisor");
    port.write(LINE_CONTROL, &[0]);
    port.write(MODEM_CONTROL, &[LOOPBACK]);
    assert_eq!(port.write_string(b"abc"), 3);
    let back = [read(&port, 0), read(&port, 0), read(&port, 0)];
    assert_eq!((back, paper.sent.lock().len()), (*b"abc", 0), "it comes back");
}

#[test]
fn the_carrier_goes_when_all_input_was_taken() {
    let (port, ..) = port(1);
    assert_eq!(port.offer(&[7; 100]), 64);
    port.hang_up();
    assert_eq!(read(&port, MODEM_STATUS) & CARRIER, CARRIER);
    (0..64).for_each(|_| assert_eq!(read(&port, 0), 7));
    assert_eq!(read(&port, MODEM_STATUS) & CARRIER, 0);
}

/// As Xen looks for the port: request to send and the second output, looped back, are clear to send and the carrier.
#[test]
fn a_port_that_hung_up_is_still_found_by_its_loopback() {
    let (port, ..) = port(1);
    port.hang_up();
    port.write(MODEM_CONTROL, &[LOOPBACK | 0b1010]);
    assert_eq!(read(&port, MODEM_STATUS) & 0xf0, 0x90);
    port.write(MODEM_CONTROL, &[0b1010]);
    assert_eq!(read(&port, MODEM_STATUS) & CARRIER, 0);
}
