//! How software reaches a register: an offset, a width, a value.
//!
//! Invariant: a value that is read or written fits its [`Width`]; the bits above are 0. What no register answers reads
//! as all ones, as on a bus where nobody drives the data lines.

/// How many bytes an access moves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Word,
    /// 4 bytes.
    Dword,
    /// 8 bytes.
    Qword,
}

impl Width {
    /// The width of `len_bytes` bytes, if one access moves that many.
    #[must_use]
    pub const fn of(len_bytes: usize) -> Option<Self> {
        match len_bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> u8 {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// What an access of this width reads where nothing answers.
    #[must_use]
    pub const fn ones(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// Registers that software reaches by loads and stores.
///
/// Both calls may come from any vCPU's thread at any time, with any offset below the region's length.
pub trait Registers: Send + Sync {
    /// What a load of `width` at `offset` returns.
    fn read(&self, offset: u64, width: Width) -> u64;
    /// A store of `value`.
    fn write(&self, offset: u64, width: Width, value: u64);
}

/// The value of up to 8 little-endian bytes.
#[must_use]
pub fn value_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// Fills `bytes`, little-endian, with `value`; what is beyond 8 bytes becomes 0.
pub fn fill(bytes: &mut [u8], value: u64) {
    bytes.fill(0);
    for (to, from) in bytes.iter_mut().zip(value.to_le_bytes()) {
        *to = from;
    }
}
