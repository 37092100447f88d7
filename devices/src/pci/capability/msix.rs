//! MSI-X: a table of messages in a BAR, each with a mask.
//!
//! Invariant: a vector that is masked, by its own bit or by the function's, is pending until it is unmasked and then
//! sent once. Source: PCI 3.0, 6.8.2.

use parking_lot::Mutex;
use pcie::Msi;

use super::{Capability, CapabilityId};
use crate::bus::Width;
use crate::pci::ConfigSpace;

/// Its id.
pub const ID: CapabilityId = CapabilityId::Standard(0x11);

const CONTROL: u16 = 2;
const TABLE: u16 = 4;
const PENDING: u16 = 8;

const ENABLE: u16 = 1 << 15;
const FUNCTION_MASK: u16 = 1 << 14;

/// Bytes of a table entry: address, data, vector control.
pub const ENTRY_BYTES: u64 = 16;
const MASKED: u32 = 1;

/// Where the table and the pending bits lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// In which BAR.
    pub bar: u8,
    /// The table's offset there, a multiple of 8.
    pub table: u32,
    /// The pending bits' offset there, a multiple of 8.
    pub pending: u32,
}

/// A vector's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vector(pub u16);

/// The table of `vectors` vectors at `place`.
///
/// # Panics
/// If there are none, or more than 2048.
#[must_use]
pub fn capability(vectors: u16, place: Place) -> Capability {
    assert!((1..=2048).contains(&vectors), "{vectors} vectors; a table has 1 to 2048");
    Capability::new(ID, 12)
        .constant(CONTROL, (vectors - 1).to_le_bytes())
        .writable_at(CONTROL, (ENABLE | FUNCTION_MASK).to_le_bytes())
        .constant(TABLE, (place.table | u32::from(place.bar)).to_le_bytes())
        .constant(PENDING, (place.pending | u32::from(place.bar)).to_le_bytes())
}

/// Whether the function uses it.
#[must_use]
pub fn is_enabled(config: &ConfigSpace) -> bool {
    control(config) & ENABLE != 0
}

fn is_masked(config: &ConfigSpace) -> bool {
    control(config) & (ENABLE | FUNCTION_MASK) != ENABLE
}

fn control(config: &ConfigSpace) -> u16 {
    config.find(ID).map_or(0, |at| config.get16(at + CONTROL))
}

/// The table and its pending bits.
#[derive(Debug)]
pub struct Table {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    words: [u32; 4],
    pending: bool,
}

impl Table {
    /// All masked, none pending.
    #[must_use]
    pub fn new(vectors: u16) -> Self {
        Self { entries: Mutex::new(vec![Entry::RESET; usize::from(vectors)]) }
    }

    /// All masked, none pending, as after power-on.
    pub fn reset(&self) {
        self.entries.lock().fill(Entry::RESET);
    }

    /// Nothing is pending: whoever was to hear of it does not wait for it any more.
    pub fn forget_pending(&self) {
        self.entries.lock().iter_mut().for_each(|entry| entry.pending = false);
    }

    /// The message to send for `vector` now; none if it is masked, and then it is pending.
    pub fn take(&self, vector: Vector, config: &ConfigSpace) -> Option<Msi> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(usize::from(vector.0))?;
        if is_masked(config) || entry.is_masked() {
            entry.pending = true;
            return None;
        }
        Some(entry.message())
    }

    /// What was pending and is not masked any more; to be called after a mask may have gone.
    pub fn unmasked(&self, config: &ConfigSpace) -> Vec<Msi> {
        if is_masked(config) {
            return Vec::new();
        }
        let mut entries = self.entries.lock();
        let ready = entries.iter_mut().filter(|entry| entry.pending && !entry.is_masked());
        ready
            .map(|entry| {
                entry.pending = false;
                entry.message()
            })
            .collect()
    }

    /// A load at `offset` of the table.
    #[must_use]
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        let word = |offset| self.word(offset).map_or(0, u64::from);
        match width {
            Width::Dword => word(offset),
            Width::Qword => word(offset) | word(offset + 4) << 32,
            Width::Byte | Width::Word => width.ones(),
        }
    }

    /// A store at `offset` of the table; only aligned ones of 4 and 8 bytes are defined, others do nothing.
    pub fn write(&self, offset: u64, width: Width, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        if matches!(width, Width::Dword | Width::Qword) {
            self.set_word(offset, u32::from_le_bytes([a, b, c, d]));
        }
        if width == Width::Qword {
            self.set_word(offset + 4, u32::from_le_bytes([e, f, g, h]));
        }
    }

    /// A load of 64 pending bits, from vector 8 * `offset` on.
    #[must_use]
    pub fn pending(&self, offset: u64) -> u64 {
        let entries = self.entries.lock();
        let first = usize::try_from(offset / 8 * 64).unwrap_or(usize::MAX);
        let bits = entries.iter().skip(first).take(64).zip(0..);
        bits.fold(0, |bits, (entry, at)| bits | u64::from(entry.pending) << at)
    }

    fn word(&self, offset: u64) -> Option<u32> {
        let (entry, word) = place(offset)?;
        Some(self.entries.lock().get(entry)?.words[word])
    }

    fn set_word(&self, offset: u64, value: u32) {
        let Some((entry, word)) = place(offset) else { return };
        if let Some(entry) = self.entries.lock().get_mut(entry) {
            entry.words[word] = value;
        }
    }
}

/// Which entry, and which word of it, lies at `offset`; none if it is not aligned.
fn place(offset: u64) -> Option<(usize, usize)> {
    let entry = usize::try_from(offset / ENTRY_BYTES).ok()?;
    let word = usize::try_from(offset % ENTRY_BYTES / 4).ok()?;
    offset.is_multiple_of(4).then_some((entry, word))
}

impl Entry {
    const RESET: Self = Self { words: [0, 0, 0, MASKED], pending: false };

    const fn is_masked(&self) -> bool {
        self.words[3] & MASKED != 0
    }

    fn message(&self) -> Msi {
        let [low, high, data, _] = self.words;
        Msi { address: u64::from(low & !0b11) | u64::from(high) << 32, data }
    }
}

#[cfg(test)]
mod tests;
