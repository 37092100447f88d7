//! The hardware address of a network interface.
//!
//! Invariant: it names one interface, so it is no group's and not zero. Source: IEEE 802, 8.2.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// In the first byte: a group's; not one that a vendor gave.
const GROUP: u8 = 1;

/// An address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MacAddress([u8; 6]);

/// Why a text is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AddressError {
    /// It does not have its form.
    #[error("is no hardware address; give six bytes, such as 52:54:00:12:34:56")]
    Form,
    /// Of several interfaces.
    #[error("is the address of a group (its first byte is odd); give one such as 52:54:00:12:34:56")]
    Group,
    /// Of none.
    #[error("is the address of nobody; give one such as 52:54:00:12:34:56")]
    Zero,
}

impl MacAddress {
    /// One that no vendor gave, for the interface with that number.
    #[must_use]
    pub const fn local(number: u8) -> Self {
        Self([0x52, 0x54, 0, 0x12, 0x34, 0x56_u8.wrapping_add(number)])
    }

    /// Its bytes, as they are sent.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for MacAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let byte = |word: &str| {
            let is_plain = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            u8::from_str_radix(word, 16).ok().filter(|_| is_plain)
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes: [u8; 6] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(AddressError::Form)?;
        match bytes {
            [first, ..] if first & GROUP != 0 => Err(AddressError::Group),
            [0, 0, 0, 0, 0, 0] => Err(AddressError::Zero),
            _ => Ok(Self(bytes)),
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressError, MacAddress};

    #[test]
    fn an_address_names_one_interface() {
        let parsed: Result<MacAddress, _> = "52:54:00:AB:cd:ef".parse();
        assert_eq!(parsed.map(|address| address.to_string()), Ok("52:54:00:ab:cd:ef".to_owned()));
        for (text, error) in [
            ("53:54:00:ab:cd:ef", AddressError::Group),
            ("ff:ff:ff:ff:ff:ff", AddressError::Group),
            ("00:00:00:00:00:00", AddressError::Zero),
            ("52:54:00:ab:cd", AddressError::Form),
            ("52:54:00:ab:cd:ef:01", AddressError::Form),
            ("52:54:00:ab:cd:+f", AddressError::Form),
            ("", AddressError::Form),
        ] {
            assert_eq!(text.parse::<MacAddress>(), Err(error), "{text}");
        }
    }
}
