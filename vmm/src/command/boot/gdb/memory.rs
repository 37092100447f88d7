//! Memory as a stopped processor sees it: by its own tables, page by page.
//!
//! Invariant: only memory is touched; an address that leads to a device, or nowhere, is refused, and of an access to several
//! pages none is written unless all lead to memory. The walk is KVM's, so it marks entries as accessed, as a load does.

use mmu::address::{PAGE_SIZE, PhysAddr};

use crate::kvm::ProcessorHandle;
use crate::machine::control::Control;

/// It does not lead to memory, in full or at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unreachable;

/// A part of an access that lies in one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    linear: u64,
    len_bytes: usize,
}

/// Where `len_bytes` at `at` lie, by page. The very last byte of the address space belongs to no access: the stub counts past it.
fn parts(at: u64, len_bytes: usize) -> Result<impl Iterator<Item = Part>, Unreachable> {
    let end = at.checked_add(len_bytes as u64).ok_or(Unreachable)?;
    let next = move |part: &Part| {
        let linear = part.linear + part.len_bytes as u64;
        (linear < end).then(|| part_at(linear, end))
    };
    Ok(std::iter::successors((at < end).then(|| part_at(at, end)), next))
}

fn part_at(linear: u64, end: u64) -> Part {
    let len = (PAGE_SIZE - linear % PAGE_SIZE).min(end - linear);
    // A page at most.
    Part { linear, len_bytes: usize::try_from(len).unwrap_or(usize::MAX) }
}

/// Where the linear address `at` lies, if that is in memory for `len_bytes`.
pub(super) fn place(
    processor: &ProcessorHandle,
    control: &Control,
    at: u64,
    len_bytes: usize,
) -> Result<PhysAddr, Unreachable> {
    let found = processor.translate(at).map_err(|_| Unreachable)?.ok_or(Unreachable)?;
    let end = found.0.checked_add(len_bytes as u64).ok_or(Unreachable)?;
    if end <= control.memory().len_bytes() { Ok(found) } else { Err(Unreachable) }
}

/// Reads from `at` on; how many bytes, fewer if what is behind cannot be reached.
pub(super) fn read(
    processor: &ProcessorHandle,
    control: &Control,
    at: u64,
    bytes: &mut [u8],
) -> Result<usize, Unreachable> {
    let mut done = 0;
    for part in parts(at, bytes.len())? {
        let into = bytes.get_mut(done..done + part.len_bytes).ok_or(Unreachable)?;
        match place(processor, control, part.linear, part.len_bytes) {
            Ok(from) if control.memory().try_read_bytes(from, into) => done += part.len_bytes,
            Ok(_) | Err(Unreachable) if done > 0 => break,
            Ok(_) | Err(Unreachable) => return Err(Unreachable),
        }
    }
    Ok(done)
}

/// Where each part of a write of `len_bytes` goes, all in memory.
pub(super) fn places(
    processor: &ProcessorHandle,
    control: &Control,
    at: u64,
    len_bytes: usize,
) -> Result<Vec<(PhysAddr, usize)>, Unreachable> {
    let place_of = |part: Part| Ok((place(processor, control, part.linear, part.len_bytes)?, part.len_bytes));
    parts(at, len_bytes)?.map(place_of).collect()
}

/// Writes `bytes` to their places.
pub(super) fn write(
    control: &Control,
    places: &[(PhysAddr, usize)],
    bytes: &[u8],
) -> Result<(), Unreachable> {
    let mut rest = bytes;
    for (to, len_bytes) in places {
        let (now, behind) = rest.split_at_checked(*len_bytes).ok_or(Unreachable)?;
        if !control.memory().try_write_bytes(*to, now) {
            return Err(Unreachable);
        }
        rest = behind;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Part, Unreachable, parts};

    fn found(at: u64, len_bytes: usize) -> Result<Vec<(u64, usize)>, Unreachable> {
        Ok(parts(at, len_bytes)?.map(|Part { linear, len_bytes }| (linear, len_bytes)).collect())
    }

    #[test]
    fn an_access_is_cut_at_pages_and_never_wraps() {
        assert_eq!(found(0x1000, 0), Ok(vec![]));
        assert_eq!(found(0x1ffe, 4), Ok(vec![(0x1ffe, 2), (0x2000, 2)]));
        assert_eq!(found(0x1fff, 0x1002), Ok(vec![(0x1fff, 1), (0x2000, 0x1000), (0x3000, 1)]));
        assert_eq!(found(u64::MAX - 1, 1), Ok(vec![(u64::MAX - 1, 1)]));
        assert_eq!(found(u64::MAX, 1), Err(Unreachable));
        assert_eq!(found(u64::MAX - 8, usize::MAX), Err(Unreachable));
    }
}
