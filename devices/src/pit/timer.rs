//! Three counters behind their ports: halves of counts, latches, read-back, the gate of channel 2.
//!
//! Invariant: any byte may be written to any port at any time. Source: Intel 82C54, "Programming the 82C54", "Read
//! operations".

use super::counter::{Counter, Digits, Level, Mode, Ticks};

/// Bits of port 0x61: gate of channel 2, what software may write, a bit that toggles, output of channel 2.
const GATE: u8 = 1 << 0;
const WRITABLE: u8 = 0x0f;
const REFRESH: u8 = 1 << 4;
const OUTPUT: u8 = 1 << 5;
/// A request for memory refresh comes every 15 µs.
const REFRESH_TICKS: u64 = 18;

/// Bits of a read-back command, both low active.
const KEEP_COUNT: u8 = 1 << 5;
const KEEP_STATUS: u8 = 1 << 4;
/// In the two bits that choose a channel: read-back; in the next two: latch the count.
const READ_BACK: u8 = 3;
const LATCH: u8 = 0;
/// Bits of a status: the output, a count that was not loaded.
const STATUS_OUTPUT: u8 = 1 << 7;
const STATUS_NULL: u8 = 1 << 6;

/// Which counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Channel {
    Interrupt = 0,
    Refresh = 1,
    Speaker = 2,
}

const CHANNELS: [Channel; 3] = [Channel::Interrupt, Channel::Refresh, Channel::Speaker];

impl Channel {
    /// The one whose port it is.
    pub(super) fn at(offset: u16) -> Option<Self> {
        CHANNELS.get(usize::from(offset)).copied()
    }
}

/// Which halves of a count go over the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Halves {
    Low = 1,
    High = 2,
    Both = 3,
}

#[derive(Clone, Copy, Debug)]
struct Port {
    counter: Counter,
    halves: Halves,
    /// The low half of a count whose high half is to follow.
    written: Option<u8>,
    /// A high half that the next read gets.
    to_read: Option<u8>,
    count: Option<u16>,
    status: Option<u8>,
}

/// The chip.
#[derive(Debug)]
pub(super) struct Timer {
    ports: [Port; 3],
    /// What was written to port 0x61.
    gate: u8,
}

impl Default for Timer {
    fn default() -> Self {
        Self { ports: [Port::new(Level::High), Port::new(Level::High), Port::new(Level::Low)], gate: 0 }
    }
}

impl Timer {
    pub(super) fn read(&mut self, channel: Channel, now: Ticks) -> u8 {
        self.ports[channel as usize].read(now)
    }

    pub(super) fn write(&mut self, channel: Channel, value: u8, now: Ticks) {
        self.ports[channel as usize].write(value, now);
    }

    /// A control word.
    pub(super) fn control(&mut self, value: u8, now: Ticks) {
        if value >> 6 == READ_BACK {
            for channel in CHANNELS.into_iter().filter(|channel| value >> (*channel as u8 + 1) & 1 != 0) {
                self.ports[channel as usize].read_back(value, now);
            }
        } else if let Some(channel) = Channel::at((value >> 6).into()) {
            self.ports[channel as usize].control(value, now);
        }
    }

    pub(super) fn read_gate(&self, now: Ticks) -> u8 {
        let output = self.ports[Channel::Speaker as usize].counter.output(now);
        let refresh = (now.0 / REFRESH_TICKS).is_multiple_of(2);
        self.gate | if refresh { 0 } else { REFRESH } | if output == Level::High { OUTPUT } else { 0 }
    }

    pub(super) fn write_gate(&mut self, value: u8, now: Ticks) {
        self.gate = value & WRITABLE;
        let level = if value & GATE == 0 { Level::Low } else { Level::High };
        self.ports[Channel::Speaker as usize].counter.set_gate(level, now);
    }

    /// When channel 0 interrupts first after `seen`, if it does.
    pub(super) fn next_interrupt(&self, seen: Ticks) -> Option<Ticks> {
        self.ports[Channel::Interrupt as usize].counter.next_rise(seen)
    }
}

impl Port {
    fn new(gate: Level) -> Self {
        let counter = Counter::new(gate);
        Self { counter, halves: Halves::Both, written: None, to_read: None, count: None, status: None }
    }

    fn control(&mut self, value: u8, now: Ticks) {
        let halves = match value >> 4 & 3 {
            LATCH => {
                self.count.get_or_insert(self.counter.count(now));
                return;
            }
            1 => Halves::Low,
            2 => Halves::High,
            _ => Halves::Both,
        };
        let digits = if value & 1 == 0 { Digits::Binary } else { Digits::Decimal };
        let mut counter = self.counter;
        counter.set_mode(Mode::of(value >> 1), digits);
        *self = Self { counter, halves, ..Self::new(Level::High) };
    }

    fn read_back(&mut self, command: u8, now: Ticks) {
        if command & KEEP_COUNT == 0 {
            self.count.get_or_insert(self.counter.count(now));
        }
        if command & KEEP_STATUS == 0 {
            let status = self.status_now(now);
            self.status.get_or_insert(status);
        }
    }

    fn status_now(&self, now: Ticks) -> u8 {
        let output = if self.counter.output(now) == Level::High { STATUS_OUTPUT } else { 0 };
        let null = if self.counter.is_without_count() { STATUS_NULL } else { 0 };
        let digits = u8::from(self.counter.digits() == Digits::Decimal);
        output | null | (self.halves as u8) << 4 | (self.counter.mode() as u8) << 1 | digits
    }

    fn read(&mut self, now: Ticks) -> u8 {
        if let Some(byte) = self.status.take().or_else(|| self.to_read.take()) {
            return byte;
        }
        let count = self.count.take().unwrap_or_else(|| self.counter.count(now));
        let [low, high] = count.to_le_bytes();
        match self.halves {
            Halves::Low => low,
            Halves::High => high,
            Halves::Both => {
                self.to_read = Some(high);
                low
            }
        }
    }

    fn write(&mut self, value: u8, now: Ticks) {
        let count = match (self.halves, self.written.take()) {
            (Halves::Low, _) => [value, 0],
            (Halves::High, _) => [0, value],
            (Halves::Both, Some(low)) => [low, value],
            (Halves::Both, None) => {
                self.written = Some(value);
                return;
            }
        };
        self.counter.load(u16::from_le_bytes(count), now);
    }
}

#[cfg(test)]
mod tests;
