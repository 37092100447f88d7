//! Bytes of registers, and which of their bits software may change.
//!
//! Invariant: a write changes a bit only if its mask says so, so no write needs to be understood here, and a write of any
//! value to any offset is harmless. What lies beyond the end reads as all ones and takes nothing.

use crate::bus::Width;

/// A file of registers, little-endian.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaskedBytes {
    bytes: Vec<u8>,
    /// Bits that a write changes.
    writable: Vec<u8>,
    /// Bits that a write of 1 clears.
    clears: Vec<u8>,
}

impl MaskedBytes {
    /// `len_bytes` zeroes, of which nothing may be changed.
    #[must_use]
    pub fn new(len_bytes: u16) -> Self {
        let zeroes = || vec![0; usize::from(len_bytes)];
        Self { bytes: zeroes(), writable: zeroes(), clears: zeroes() }
    }

    /// A load by software.
    #[must_use]
    pub fn read(&self, offset: u16, width: Width) -> u64 {
        let byte = |at: u8| self.bytes.get(usize::from(offset) + usize::from(at)).copied().unwrap_or(0xff);
        (0..width.bytes()).rev().fold(0, |value, at| value << 8 | u64::from(byte(at)))
    }

    /// A store by software: changes what may be changed.
    pub fn write(&mut self, offset: u16, width: Width, value: u64) {
        for (at, new) in (usize::from(offset)..).zip(value.to_le_bytes()).take(usize::from(width.bytes())) {
            let Some(old) = self.bytes.get(at).copied() else { return };
            let (may, clears) = (self.writable[at], self.clears[at]);
            self.bytes[at] = (old & !may | new & may) & !(new & clears);
        }
    }

    /// Sets every bit that software may change or clear to 0.
    pub fn reset(&mut self) {
        for (at, byte) in self.bytes.iter_mut().enumerate() {
            *byte &= !(self.writable[at] | self.clears[at]);
        }
    }

    /// Software may change the bits of `mask` at `offset`.
    pub fn allow(&mut self, offset: u16, mask: &[u8]) {
        join(&mut self.writable, offset, mask);
    }

    /// A 1 that software writes to a bit of `mask` at `offset` clears it.
    pub fn clear_by_ones(&mut self, offset: u16, mask: &[u8]) {
        join(&mut self.clears, offset, mask);
    }

    /// `N` bytes as the device sees them.
    #[must_use]
    pub fn get<const N: usize>(&self, offset: u16) -> [u8; N] {
        let at = usize::from(offset);
        std::array::from_fn(|i| self.bytes[at + i])
    }

    /// Sets bytes as the device does, whatever software may change.
    pub fn set(&mut self, offset: u16, bytes: &[u8]) {
        let at = usize::from(offset);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

fn join(masks: &mut [u8], offset: u16, mask: &[u8]) {
    for (to, from) in masks[usize::from(offset)..].iter_mut().zip(mask) {
        *to |= from;
    }
}
