//! Dates, and what software sees of them.

use std::time::Duration;

use super::{CmosClock, Date, STATUS_B, State};

/// Century, year, month, day, weekday, hour, minute, second.
fn date(seconds: u64) -> [u8; 8] {
    let Date { century, year, month, day, weekday, hour, minute, second } = Date::of(seconds);
    [century, year, month, day, weekday, hour, minute, second]
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(date(0), [19, 70, 1, 1, 5, 0, 0, 0]);
    assert_eq!(date(951_782_399), [20, 0, 2, 28, 2, 23, 59, 59]);
    assert_eq!(date(951_782_400), [20, 0, 2, 29, 3, 0, 0, 0], "a century that is a leap year");
    assert_eq!(date(1_709_251_200), [20, 24, 3, 1, 6, 0, 0, 0]);
    assert_eq!(date(4_107_542_400), [21, 0, 3, 1, 2, 0, 0, 0], "a century that is none");
    assert_eq!(date(u64::MAX)[..4], [99, 99, 12, 31]);
}

fn register(index: u8, status_b: u8, now: Duration) -> u8 {
    let mut state = State { index, memory: [0; 128] };
    state.memory[usize::from(STATUS_B)] = status_b;
    state.read(now)
}

#[test]
fn numbers_are_decimal_digits_unless_software_wants_them_binary() {
    // 2024-02-29 12:34:56.
    let now = Duration::from_secs(1_709_210_096);
    let time = [0x32, 9, 8, 7, 6, 4, 2, 0];
    assert_eq!(time.map(|index| register(index, 0, now)), [0x20, 0x24, 0x02, 0x29, 0x05, 0x12, 0x34, 0x56]);
    assert_eq!(time.map(|index| register(index, 4, now)), [20, 24, 2, 29, 5, 12, 34, 56]);
}

#[test]
fn it_is_updated_while_a_second_ends() {
    let at = |micros| register(0x0a, 0, Duration::from_micros(micros));
    assert_eq!([0, 997_700, 997_800, 999_999, 1_000_000].map(at), [0x26, 0x26, 0xa6, 0xa6, 0x26]);
}

#[test]
fn memory_is_kept_and_the_time_is_not_set() {
    let clock = CmosClock::default();
    let write = |index, value| {
        clock.write(0, index);
        clock.write(1, value);
        clock.read(1)
    };
    assert_eq!((write(0x40, 7), write(0xc0, 8)), (7, 8), "the highest bit chooses nothing");
    assert_eq!((write(0x0b, 0xff), write(0x0c, 0xff), write(0x0d, 0)), (0x86, 0, 0x80));
    assert_ne!(write(9, 0xff), 0xff);
    assert_eq!(clock.read(0), 0xff);
    for value in 0..=u8::MAX {
        let _ = write(value, value);
    }
}
