//! Ctrl-A, and what comes after it.
//!
//! Invariant: at a terminal, Ctrl-A x leaves, Ctrl-A h helps and Ctrl-A Ctrl-A is one Ctrl-A for the guest; of anything
//! else that is not a terminal every byte is the guest's.

const CONTROL_A: u8 = 1;

/// What is said at the beginning.
pub(super) const HINT: &str = "keys go to the guest; Ctrl-A x leaves it, Ctrl-A h helps";
/// What is said instead to whoever has put the program into the background.
pub(super) const ELSEWHERE: &str = "the terminal is another program's, so no keys go to the guest";
/// What Ctrl-A h says.
pub(super) const HELP: &str =
    "Ctrl-A x  leave the guest\nCtrl-A h  this help\nCtrl-A Ctrl-A  Ctrl-A for the guest";

/// What a byte of input means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// Nothing yet.
    Nothing,
    /// A byte for the guest.
    Byte(u8),
    /// The user asks what there is.
    Help,
    /// The user leaves.
    Leave,
}

/// What came before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keys {
    /// No terminal.
    Plain,
    /// Nothing.
    Open,
    /// Ctrl-A.
    Escaped,
}

impl Keys {
    /// Of a terminal, or not.
    pub(super) const fn new(is_terminal: bool) -> Self {
        if is_terminal { Self::Open } else { Self::Plain }
    }

    /// What the next byte means.
    pub(super) fn press(&mut self, byte: u8) -> Key {
        match (*self, byte) {
            (Self::Open, CONTROL_A) => {
                *self = Self::Escaped;
                Key::Nothing
            }
            (Self::Plain | Self::Open, byte) => Key::Byte(byte),
            (Self::Escaped, byte) => {
                *self = Self::Open;
                match byte {
                    b'x' | b'X' => Key::Leave,
                    b'h' | b'H' | b'?' => Key::Help,
                    CONTROL_A => Key::Byte(byte),
                    _ => Key::Nothing,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keys};

    #[test]
    fn control_a_leaves_or_is_doubled_at_a_terminal() {
        let mut keys = Keys::new(true);
        let pressed = [1, 1, b'x', 1, b'c', b'x', 1, b'h', 1, b'x'].map(|byte| keys.press(byte));
        let expected = [
            Key::Nothing,
            Key::Byte(1),
            Key::Byte(b'x'),
            Key::Nothing,
            Key::Nothing,
            Key::Byte(b'x'),
            Key::Nothing,
            Key::Help,
            Key::Nothing,
            Key::Leave,
        ];
        assert_eq!(pressed, expected);
    }

    #[test]
    fn without_a_terminal_every_byte_is_the_guests() {
        let mut keys = Keys::new(false);
        assert_eq!([1, b'x'].map(|byte| keys.press(byte)), [Key::Byte(1), Key::Byte(b'x')]);
    }
}
