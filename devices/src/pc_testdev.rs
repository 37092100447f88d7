//! `pc-testdev`: what kvm-unit-tests expect of a machine beside a debug exit.
//!
//! Invariant: it is memory behind ports and addresses, and 24 lines to the I/O APIC; nothing else of the machine changes.
//! Its ports that unmap a page of the hypervisor are not there. Source: the device of this name in QEMU, and its users in
//! kvm-unit-tests (lib/x86/apic.c, lib/x86/io.c, x86/emulator.c).

use std::ops::Range;

use parking_lot::Mutex;

use crate::bus::{Registers, Width, value_of};
use crate::interrupt::{Level, Line};

/// A word in four ports, and the same word where accesses of more than a byte come as bytes.
pub const WORD_PORTS: [u16; 2] = [0xe0, 0xe8];
/// Ports of each.
pub const WORD_BYTES: u16 = 4;
/// What is written here comes out of the serial port.
pub const OUTPUT_PORT: u16 = 0xf1;
/// A port for each line.
pub const LINE_PORT: u16 = 0x2000;
/// Memory that every access leaves the guest for.
pub const ADDRESS: u64 = 0xff00_0000;
/// Bytes of it.
pub const LEN_BYTES: u32 = 0x1_0000;

/// The device.
pub struct PcTestdev {
    word: Mutex<[u8; WORD_BYTES as usize]>,
    memory: Mutex<Vec<u8>>,
    lines: Vec<Line>,
}

impl PcTestdev {
    /// A device with these lines, the first one at [`LINE_PORT`].
    #[must_use]
    pub fn new(lines: Vec<Line>) -> Self {
        Self { word: Mutex::default(), memory: Mutex::new(vec![0; LEN_BYTES as usize]), lines }
    }

    /// An `in` from byte `offset` of the word.
    pub fn read_word(&self, offset: u16, bytes: &mut [u8]) {
        let word = self.word.lock();
        let indices = indices(offset, bytes.len());
        for (byte, at) in bytes.iter_mut().zip(indices) {
            *byte = word[at];
        }
    }

    /// An `out` to byte `offset` of the word.
    pub fn write_word(&self, offset: u16, bytes: &[u8]) {
        let mut word = self.word.lock();
        for (byte, at) in bytes.iter().zip(indices(offset, bytes.len())) {
            word[at] = *byte;
        }
    }

    /// An `out` to the port of line `number`: high by anything but 0.
    pub fn write_line(&self, number: u16, bytes: &[u8]) {
        let Some(line) = self.lines.get(usize::from(number)) else { return };
        for byte in bytes {
            line.set(if *byte == 0 { Level::Low } else { Level::High });
        }
    }

    /// How many lines it has.
    #[must_use]
    pub fn lines(&self) -> u16 {
        u16::try_from(self.lines.len()).unwrap_or(u16::MAX)
    }
}

impl Registers for PcTestdev {
    fn read(&self, offset: u64, width: Width) -> u64 {
        let memory = self.memory.lock();
        span(offset, width).and_then(|span| memory.get(span)).map_or(width.ones(), value_of)
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        let mut memory = self.memory.lock();
        let bytes = span(offset, width).and_then(|span| memory.get_mut(span)).unwrap_or_default();
        for (to, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
            *to = from;
        }
    }
}

/// Which bytes of the word an access of `len` bytes moves. More than the word has are a string of accesses to one byte.
fn indices(offset: u16, len: usize) -> impl Iterator<Item = usize> {
    let step = if len > usize::from(WORD_BYTES) { 0 } else { 1 };
    (0..len).map(move |number| (usize::from(offset) + number * step) % usize::from(WORD_BYTES))
}

fn span(offset: u64, width: Width) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(width.bytes().into())?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::PcTestdev;
    use crate::bus::{Registers, Width};
    use crate::interrupt::{Level, Pin, Pins, Wire};

    #[derive(Default)]
    struct Seen(Mutex<Vec<(u8, Level)>>);

    impl Pins for Seen {
        fn set(&self, pin: Pin, level: Level) {
            self.0.lock().push((pin.0, level));
        }
    }

    #[test]
    fn the_word_is_reached_by_every_part_of_it() {
        let device = PcTestdev::new(Vec::new());
        device.write_word(0, &[0x78, 0x56, 0x34, 0x12]);
        device.write_word(2, &[0xaa]);
        let mut bytes = [0; 4];
        device.read_word(1, &mut bytes);
        assert_eq!(bytes, [0x56, 0xaa, 0x12, 0x78]);
        let mut string = [0; 6];
        device.read_word(1, &mut string);
        assert_eq!(string, [0x56; 6], "a string instruction reads one port");
        device.write_word(u16::MAX, &[1, 2, 3, 4, 5]);
        device.read_word(0, &mut bytes);
        assert_eq!(bytes, [0x78, 0x56, 0xaa, 5]);
    }

    #[test]
    fn a_line_is_as_high_as_was_written() {
        let seen = Arc::new(Seen::default());
        let lines = (5..7).map(|pin| Wire::new(seen.clone(), Pin(pin)).line()).collect();
        let device = PcTestdev::new(lines);
        device.write_line(1, &[1]);
        device.write_line(1, &[0]);
        device.write_line(2, &[1]);
        assert_eq!(*seen.0.lock(), [(6, Level::High), (6, Level::Low)]);
        assert_eq!(device.lines(), 2);
    }

    #[test]
    fn its_memory_keeps_what_was_stored_and_ends() {
        let device = PcTestdev::new(Vec::new());
        device.write(0xfff8, Width::Qword, 0x0123_4567_89ab_cdef);
        assert_eq!(device.read(0xfffa, Width::Word), 0x89ab);
        device.write(0xfffc, Width::Qword, 0);
        assert_eq!(device.read(0xfff8, Width::Qword), 0x0123_4567_89ab_cdef);
        assert_eq!(device.read(0xffff, Width::Word), 0xffff);
        device.write(u64::MAX, Width::Byte, 1);
        assert_eq!(device.read(u64::MAX, Width::Byte), 0xff);
    }
}
