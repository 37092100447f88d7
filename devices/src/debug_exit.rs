//! The debug exit: a port by which a guest ends the machine and says how.
//!
//! Source: the `isa-debug-exit` device of other machine models, whose status this one reproduces.

/// The port. Four bytes wide.
pub const PORT: u16 = 0xf4;
/// How many ports it takes.
pub const PORTS: u16 = 4;

/// What the guest said, of at most four bytes.
#[must_use]
pub const fn value(written: u64) -> u32 {
    let [a, b, c, d, ..] = written.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The process's exit status for tests that were written for this device: odd, so that it is never 0; the lowest seven
/// bits of `value` are seen.
#[must_use]
pub const fn status(value: u32) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low << 1 | 1
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn a_status_is_what_was_written_twice_and_one() {
        assert_eq!((status(0), status(1), status(0x10), status(0xff)), (1, 3, 33, 255));
    }
}
