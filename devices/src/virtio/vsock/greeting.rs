//! Who connects to the host's socket, and says to which port of the guest.
//!
//! Invariant: nobody is waited for, and what is read ends with the line: what follows is the guest's. Source: Firecracker,
//! docs/vsock.md (`CONNECT PORT`, a line).

use std::os::fd::OwnedFd;
use std::str;

use rustix::io::{Errno, read};

/// The longest line, with its end.
const MOST_BYTES: usize = 32;
const WORD: &str = "CONNECT ";

/// A connection that has not said yet where it leads.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) stream: OwnedFd,
    line: Vec<u8>,
}

/// What is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Not enough.
    Nothing,
    /// It wants that port.
    Port(u32),
    /// It is gone, or says something else.
    Nonsense,
}

impl Greeting {
    pub(super) const fn new(stream: OwnedFd) -> Self {
        Self { stream, line: Vec::new() }
    }

    /// Reads what has come of the line, byte by byte.
    pub(super) fn hear(&mut self) -> Heard {
        while self.line.len() < MOST_BYTES {
            let mut byte = [0];
            match read(&self.stream, &mut byte) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Heard::Nothing,
                Ok(0) | Err(_) => return Heard::Nonsense,
                Ok(_) if byte == *b"\n" => return port(&self.line).map_or(Heard::Nonsense, Heard::Port),
                Ok(_) => self.line.extend(byte),
            }
        }
        Heard::Nonsense
    }
}

fn port(line: &[u8]) -> Option<u32> {
    let digits = str::from_utf8(line).ok()?.strip_prefix(WORD)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn a_line_is_a_word_and_a_port() {
        assert_eq!(port(b"CONNECT 52"), Some(52));
        assert_eq!(port(b"CONNECT 4294967295"), Some(u32::MAX));
        for wrong in
            ["", "CONNECT", "CONNECT ", "CONNECT +5", "CONNECT 4294967296", "connect 5", "CONNECT 5\r"]
        {
            assert_eq!(port(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(port(&[0xff, 0xfe]), None);
    }
}
