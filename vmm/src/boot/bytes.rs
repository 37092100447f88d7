//! Little-endian numbers in a file's bytes, which may end anywhere.
//!
//! Invariant: reading beyond the end gives nothing; it never panics.

/// `N` bytes at `offset`.
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

/// 8 bits at `offset`.
pub(super) fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

/// 16 bits at `offset`.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(array(bytes, offset)?))
}

/// 32 bits at `offset`.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(array(bytes, offset)?))
}

/// 64 bits at `offset`.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(array(bytes, offset)?))
}

/// Puts `value` at `offset` of a block that is long enough.
pub(super) fn put<const N: usize>(block: &mut [u8], offset: usize, value: [u8; N]) {
    block[offset..offset + N].copy_from_slice(&value);
}
