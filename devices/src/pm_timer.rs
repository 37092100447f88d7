//! ACPI's power management timer: a counter that runs since the machine was made.
//!
//! Invariant: it has 32 bits, as the FADT says; who knows of 24 bits finds them in the lower ones. Writes do nothing. Source: ACPI 6.5, 4.8.3.3.

use std::time::{Duration, Instant};

/// Its first port.
pub const PORT: u16 = 0x608;
/// How many ports it takes.
pub const PORTS: u16 = 4;

const FREQUENCY_HZ: u128 = 3_579_545;
const NANOSECONDS: u128 = 1_000_000_000;

/// The timer.
#[derive(Debug)]
pub struct PmTimer {
    started: Instant,
}

impl Default for PmTimer {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl PmTimer {
    /// An `in` from the port `offset` ports on: the bytes of one moment.
    pub fn read(&self, offset: u16, bytes: &mut [u8]) {
        let now = value(self.started.elapsed());
        for (byte, at) in bytes.iter_mut().zip(usize::from(offset)..) {
            *byte = now[at % now.len()];
        }
    }
}

fn value(elapsed: Duration) -> [u8; 4] {
    let ticks = elapsed.as_nanos() * FREQUENCY_HZ / NANOSECONDS;
    let [a, b, c, d, ..] = ticks.to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PmTimer, value};

    #[test]
    fn it_counts_at_its_frequency_in_32_bits() {
        let at = |seconds| u32::from_le_bytes(value(Duration::from_secs(seconds)));
        assert_eq!([0, 1, 4].map(at), [0, 3_579_545, 4 * 3_579_545]);
        assert_eq!(u64::from(at(1200)), 1200 * 3_579_545 - (1 << 32));
        let _ = at(u64::MAX);
    }

    #[test]
    fn bytes_are_those_of_the_port_that_was_named() {
        let timer = PmTimer::default();
        let mut bytes = [1; 9];
        timer.read(3, &mut bytes);
        assert_eq!((bytes[4], bytes[8]), (bytes[0], bytes[0]), "one moment, again and again");
        timer.read(u16::MAX, &mut bytes);
        timer.read(0, &mut []);
    }
}
