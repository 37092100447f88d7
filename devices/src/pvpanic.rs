//! pvpanic: a port by which a guest's kernel says that it panicked.
//!
//! Invariant: a read says which events are understood, and reading changes nothing; bits of other events say nothing.
//! Source: QEMU's docs/specs/pvpanic.rst.

/// The port, one byte wide.
pub const PORT: u16 = 0x505;
/// By what ACPI calls it, so that a driver finds it.
pub const ACPI_ID: &str = "QEMU0001";

const PANICKED: u8 = 1 << 0;
const CRASH_LOADED: u8 = 1 << 1;

/// What an `in` reads.
pub const SUPPORTED: u8 = PANICKED | CRASH_LOADED;

/// What a guest says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It panicked, and that is its end.
    Panicked,
    /// It panicked, and a kernel that it has loaded for this goes on.
    CrashLoaded,
}

/// The event that `value` stands for. A guest that has panicked has, whatever else it says.
#[must_use]
pub const fn event(value: u8) -> Option<Event> {
    if value & PANICKED != 0 {
        Some(Event::Panicked)
    } else if value & CRASH_LOADED != 0 {
        Some(Event::CrashLoaded)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, event};

    #[test]
    fn each_event_has_its_bit_and_other_bits_say_nothing() {
        assert_eq!([0, 4, 0xfc].map(event), [None; 3]);
        assert_eq!([1, 3, 0xff].map(event), [Some(Event::Panicked); 3]);
        assert_eq!([2, 0xfe].map(event), [Some(Event::CrashLoaded); 2]);
    }
}
