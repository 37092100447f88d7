//! Multiboot 1: an image with a header in its first 8 KiB, loaded as an ELF file or where the header says.
//!
//! Invariant: what the image asks for in the header's lower 16 flags is given or refused, never passed over. Source:
//! Multiboot Specification 0.6.96.

mod information;

use super::bytes::u32_at;
use super::elf::{Elf, is_elf};
use super::room::Room;
use super::{BootError, File, Payload};
use crate::kvm::processor::Entry;

const MAGIC: u32 = 0x1bad_b002;
/// What EAX holds on entry.
const LOADER_MAGIC: u32 = 0x2bad_b002;
/// The header lies here at most, 4-byte aligned.
const SEARCHED_BYTES: usize = 8192;

/// Flags: modules at page boundaries, memory information (both always given), a video mode, addresses in the header.
const PAGE_ALIGN: u32 = 1 << 0;
const MEMORY_INFORMATION: u32 = 1 << 1;
const ADDRESSES: u32 = 1 << 16;
/// The flags that must not be passed over.
const REQUIRED: u32 = 0xffff;

/// Where a header lies in the file, and what it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    offset: usize,
    flags: u32,
}

/// The header of `image`, if it has one.
#[must_use]
pub fn find(image: &[u8]) -> Option<Header> {
    (0..SEARCHED_BYTES).step_by(4).find_map(|offset| {
        let [magic, flags, checksum] = [0, 4, 8].map(|at| u32_at(image, offset + at));
        let (flags, sum) = (flags?, magic?.wrapping_add(flags?).wrapping_add(checksum?));
        (magic == Some(MAGIC) && sum == 0).then_some(Header { offset, flags })
    })
}

/// Loads `kernel`, the image of `payload` unpacked, its module and what it is told.
///
/// # Errors
/// [`BootError`] in one line.
pub fn load(
    room: &mut Room<'_>,
    kernel: &File,
    payload: &Payload,
    header: Header,
) -> Result<Entry, BootError> {
    let unknown = header.flags & REQUIRED & !(PAGE_ALIGN | MEMORY_INFORMATION);
    if unknown != 0 {
        return Err(malformed(kernel, format!("it asks for {unknown:#x} in its flags, which is not there")));
    }
    let rip = if header.flags & ADDRESSES != 0 {
        load_by_addresses(room, kernel, header)?
    } else if is_elf(&kernel.bytes) {
        let elf = Elf::parse(kernel)?;
        elf.load(room)?;
        u32::try_from(elf.entry)
            .map_err(|_| malformed(kernel, format!("its entry {:#x} is above 4 GiB", elf.entry)))?
    } else {
        return Err(malformed(kernel, "it is no ELF file, and its header has no addresses"));
    };
    let ebx = information::write(room, payload)?;
    Ok(Entry { rip, eax: LOADER_MAGIC, ebx, ..Entry::default() })
}

fn malformed(kernel: &File, what: impl Into<String>) -> BootError {
    BootError::Malformed { file: kernel.name.clone(), format: "Multiboot image", what: what.into() }
}

/// Loads what lies around the header as its five addresses say; where to start.
fn load_by_addresses(room: &mut Room<'_>, kernel: &File, header: Header) -> Result<u32, BootError> {
    let image = &kernel.bytes;
    let field = |number: usize| {
        u32_at(image, header.offset + 12 + 4 * number)
            .ok_or_else(|| malformed(kernel, "it ends within its header"))
    };
    let (own, load, load_end, bss_end) = (field(0)?, field(1)?, field(2)?, field(3)?);
    let wrong = || {
        let what = format!("header {own:#x}, load {load:#x}..{load_end:#x}, bss end {bss_end:#x}");
        malformed(kernel, format!("its addresses do not fit together: {what}"))
    };
    let before = usize::try_from(own.checked_sub(load).ok_or_else(wrong)?).map_err(|_| wrong())?;
    let start = header.offset.checked_sub(before).ok_or_else(wrong)?;
    let len = match load_end {
        0 => image.len() - start,
        end => usize::try_from(end.checked_sub(load).ok_or_else(wrong)?).map_err(|_| wrong())?,
    };
    let bytes = start.checked_add(len).and_then(|end| image.get(start..end)).ok_or_else(wrong)?;
    room.put(&kernel.name, load.into(), bytes)?;
    let end = u64::from(load) + len as u64;
    let bss_bytes = u64::from(bss_end).saturating_sub(end);
    room.take(&kernel.name, end, bss_bytes)?;
    field(4)
}
