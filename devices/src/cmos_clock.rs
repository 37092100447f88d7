//! MC146818: the clock in CMOS, with the memory behind it.
//!
//! Invariant: it shows the host's time in UTC, and software cannot set it; it interrupts never. While a second ends it says
//! that it is being updated, as long before as the chip does. Source: Motorola MC146818 data sheet; the century's place is
//! that of a PC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The port that chooses a register, and the one behind it.
pub const PORT: u16 = 0x70;
/// How many ports it takes.
pub const PORTS: u16 = 2;
/// The register with the century.
pub const CENTURY: u8 = 0x32;

const REGISTERS: usize = 128;
/// The other bit of the first port masks interrupts that nobody sends.
const INDEX: u8 = 0x7f;

/// Registers: time, then status.
const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const WEEKDAY: u8 = 0x06;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;

/// Status A: an update goes on; the divider runs at 32,768 Hz, 1024 periodic interrupts a second would come.
const UPDATING: u8 = 1 << 7;
const DIVIDER: u8 = 0x26;
/// Status B: what software may change (numbers are binary; it sets the time, which changes nothing), and 24 hours a day.
const BINARY: u8 = 1 << 2;
const SETTING: u8 = 1 << 7;
const DAY_OF_24_HOURS: u8 = 1 << 1;
/// Status D: the battery is good.
const VALID: u8 = 1 << 7;

/// An update begins so long before the second ends.
const UPDATE: Duration = Duration::from_micros(2228);
const SECOND: Duration = Duration::from_secs(1);
const SECONDS_A_DAY: u64 = 86_400;

/// The clock.
#[derive(Debug)]
pub struct CmosClock(Mutex<State>);

#[derive(Debug)]
struct State {
    index: u8,
    memory: [u8; REGISTERS],
}

impl Default for CmosClock {
    fn default() -> Self {
        Self(Mutex::new(State { index: 0, memory: [0; REGISTERS] }))
    }
}

impl CmosClock {
    /// An `in` from the port `offset` ports on.
    #[must_use]
    pub fn read(&self, offset: u16) -> u8 {
        // A host whose clock stands before 1970 shows that year's beginning.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if offset == 0 { 0xff } else { self.0.lock().read(now) }
    }

    /// An `out` to the port `offset` ports on.
    pub fn write(&self, offset: u16, value: u8) {
        let mut state = self.0.lock();
        match (offset, state.index) {
            (0, _) => state.index = value & INDEX,
            (_, STATUS_B) => state.memory[usize::from(STATUS_B)] = value & (BINARY | SETTING),
            (_, index) => state.memory[usize::from(index)] = value,
        }
    }
}

impl State {
    fn read(&self, now: Duration) -> u8 {
        let kept = self.memory[usize::from(self.index)];
        let date = Date::of(now.as_secs());
        let value = match self.index {
            SECONDS => date.second,
            MINUTES => date.minute,
            HOURS => date.hour,
            WEEKDAY => date.weekday,
            DAY => date.day,
            MONTH => date.month,
            YEAR => date.year % 100,
            CENTURY => date.century,
            STATUS_A => return DIVIDER | if is_updating(now) { UPDATING } else { 0 },
            STATUS_B => return kept | DAY_OF_24_HOURS,
            STATUS_C => return 0,
            STATUS_D => return VALID,
            _ => return kept,
        };
        if self.memory[usize::from(STATUS_B)] & BINARY == 0 {
            ((value / 10) << 4) | (value % 10)
        } else {
            value
        }
    }
}

fn is_updating(now: Duration) -> bool {
    Duration::from_nanos(now.subsec_nanos().into()) >= SECOND - UPDATE
}

/// A moment of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Date {
    century: u8,
    /// Of the century.
    year: u8,
    month: u8,
    day: u8,
    /// 1 is Sunday.
    weekday: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Date {
    /// So many seconds after 1970 began; after the year 9999 the last day that fits.
    fn of(seconds: u64) -> Self {
        const LAST_DAY: u64 = 2_932_896;
        let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        let day = (seconds / SECONDS_A_DAY).min(LAST_DAY);
        let (mut year, mut left) = (1970, day);
        while left >= days_of_year(year) {
            left -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while left >= days_of_month(year, month) {
            left -= days_of_month(year, month);
            month += 1;
        }
        Self {
            century: small(year / 100),
            year: small(year % 100),
            month: small(month),
            day: small(left + 1),
            // 1970 began on a Thursday.
            weekday: small((day + 4) % 7 + 1),
            hour: small(seconds / 3600 % 24),
            minute: small(seconds / 60 % 60),
            second: small(seconds % 60),
        }
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests;
