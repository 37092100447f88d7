//! 8254 interval timer, and the bits of port 0x61 that belong to it.
//!
//! Invariant: what software reads follows from what it wrote and from the time alone. Channel 0 interrupts by an edge as
//! often as `SHORTEST` allows; periods that the host was late for are one interrupt. Sources: Intel 82C54 data sheet;
//! IBM PC AT Technical Reference for port 0x61.

mod counter;
mod timer;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::interrupt::Line;
use crate::worker::{Hooks, Stop, Worker};
use counter::Ticks;
use timer::{Channel, Timer};

/// Its first port.
pub const PORT: u16 = 0x40;
/// How many ports it takes.
pub const PORTS: u16 = 4;
/// The port with the gate and the output of channel 2.
pub const GATE_PORT: u16 = 0x61;
/// The input of the I/O APIC that channel 0 interrupts by: where ISA interrupt 0 leads on every PC.
pub const PIN: u8 = 2;

/// Its clock.
const FREQUENCY_HZ: u128 = 1_193_182;
const NANOSECONDS: u128 = 1_000_000_000;
/// A guest that asks for more interrupts than this gets fewer.
const SHORTEST: Duration = Duration::from_micros(200);

/// The timer.
pub struct Pit {
    shared: Arc<Shared>,
    worker: Worker<()>,
}

struct Shared {
    timer: Mutex<Timer>,
    started: Instant,
}

impl Pit {
    /// A timer whose channel 0 interrupts by `line`, with a thread that has `hooks`.
    ///
    /// # Errors
    /// What the host says if it has no thread left.
    pub fn start(line: Line, hooks: Hooks) -> io::Result<Self> {
        let shared = Arc::new(Shared { timer: Mutex::default(), started: Instant::now() });
        let own = Arc::clone(&shared);
        let worker = Worker::start("timer".to_owned(), hooks, move |stop| own.interrupt(stop, &line))?;
        Ok(Self { shared, worker })
    }

    /// An `in` from the port `offset` ports on; each byte is an access of its own.
    pub fn read(&self, offset: u16, bytes: &mut [u8]) {
        let mut timer = self.shared.timer.lock();
        let channel = Channel::at(offset);
        bytes.fill_with(|| channel.map_or(0xff, |channel| timer.read(channel, self.shared.now())));
    }

    /// An `out` to the port `offset` ports on.
    pub fn write(&self, offset: u16, bytes: &[u8]) {
        let mut timer = self.shared.timer.lock();
        for byte in bytes {
            match Channel::at(offset) {
                Some(channel) => timer.write(channel, *byte, self.shared.now()),
                None => timer.control(*byte, self.shared.now()),
            }
        }
        drop(timer);
        // Only what was written to channel 0 moves its next interrupt, but a wake-up too many is harmless.
        self.worker.wake();
    }

    /// An `in` from port 0x61.
    #[must_use]
    pub fn read_gate(&self) -> u8 {
        self.shared.timer.lock().read_gate(self.shared.now())
    }

    /// An `out` to port 0x61.
    pub fn write_gate(&self, value: u8) {
        self.shared.timer.lock().write_gate(value, self.shared.now());
    }
}

impl Shared {
    fn now(&self) -> Ticks {
        let ticks = self.started.elapsed().as_nanos() * FREQUENCY_HZ / NANOSECONDS;
        // Half a million years fit.
        Ticks(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    /// The moment of `ticks`, not before they are over.
    fn moment(&self, ticks: Ticks) -> Option<Instant> {
        let nanoseconds = (u128::from(ticks.0) * NANOSECONDS).div_ceil(FREQUENCY_HZ);
        self.started.checked_add(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
    }

    /// Interrupts whenever channel 0's output has risen.
    fn interrupt(&self, stop: &Stop, line: &Line) {
        // The guest may have asked before this thread came to its first turn.
        let mut seen = Ticks(0);
        let mut last: Option<Instant> = None;
        while !stop.is_requested() {
            let due = self.timer.lock().next_interrupt(seen);
            let Some(moment) = due.and_then(|due| self.moment(due)) else {
                thread::park();
                continue;
            };
            let allowed = last.map_or(moment, |last| moment.max(last + SHORTEST));
            let now = Instant::now();
            if allowed > now {
                thread::park_timeout(allowed - now);
                continue;
            }
            (seen, last) = (self.now(), Some(now));
            line.pulse();
        }
    }
}

#[cfg(test)]
mod tests;
